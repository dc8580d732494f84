import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from artrec_core.data.years import LATEST_YEAR, YearSpan, parse_life, parse_years, reconcile_years

PROSE: list[tuple[str, YearSpan | None]] = [
    # plain years and ranges
    ("1889", (1889, 1889)),
    ("c.1830–5", (1830, 1835)),
    ("c. 1790-1830", (1790, 1830)),
    ("?c.1785", (1785, 1785)),
    ("1900-01", (1900, 1901)),
    ("1794–c.1830–5", (1794, 1835)),
    ("1957–c.66", (1957, 1966)),
    ("1797 or 98", (1797, 1798)),
    ("1642/1661", (1642, 1661)),
    ("1959,1999", (1959, 1999)),
    ("386-557", (386, 557)),
    ("ca. 1850 (?)", (1850, 1850)),
    ("c.18799–1802", (1802, 1802)),
    # open ends
    ("after 1850", (1850, None)),
    ("before 1900", (None, 1900)),
    ("no earlier than 1861", (1861, None)),
    ("after 1836, before 1850", (1836, 1850)),
    # decades and centuries
    ("1820s", (1820, 1829)),
    ("late 1810s to mid–1820s", (1817, 1826)),
    ("c. 1820s-30s", (1820, 1839)),
    ("1600s", (1600, 1699)),
    ("2000s", (2000, 2009)),
    ("19th century", (1801, 1900)),
    ("early 19th century", (1801, 1833)),
    ("mid- to late-19th century", (1834, 1900)),
    ("late 18th C", (1768, 1800)),
    ("17th–18th century", (1601, 1800)),
    ("17th or 18th century", (1601, 1800)),
    ("second half of the 15th century", (1451, 1500)),
    ("3rd quater 18th century", (1751, 1775)),
    ("2nd-3rd quarter 19th century", (1826, 1875)),
    ("1st third 14th century", (1301, 1333)),
    # before Christ
    ("4th century BC", (-400, -301)),
    ("late 5th century BC", (-433, -401)),
    ("5th-4th century BCE", (-500, -301)),
    ("1st century BC-1st century AD", (-100, 100)),
    ("ca. 2500-2300 BC", (-2500, -2300)),
    ("100 BC-AD 200", (-100, 200)),
    ("206 BCE-220 CE", (-206, 220)),
    ("27 BC-AD 14", (-27, 14)),
    ("ca. 1388-1351/50 BC", (-1388, -1351)),
    ("300-150 B.C.E.", (-300, -150)),
    ("late 3rd millenium BC", (-2333, -2001)),
    ("AD 1st-2nd century", (1, 200)),
    ("1-199 CE", (1, 199)),
    # days and months
    ("June 19, 1817", (1817, 1817)),
    ("January 20,1784", (1784, 1784)),
    ("12/13/1775", (1775, 1775)),
    ("8/1959", (1959, 1959)),
    ("June 10-12, 1947", (1947, 1947)),
    # two calendars
    ("1121 AH/AD 1717", (1717, 1717)),
    ("991 AH/AD 1583-995 AH/AD 1587", (1583, 1587)),
    ("1139-1161 AH/AD 1727-1748", (1727, 1748)),
    ("10th century AH/AD 16th century-12th century AH/AD 18th", (1501, 1800)),
    ("1246-1247 (AH 644)", (1246, 1247)),
    # what became of the work later does not count
    ("1912, cast 1965", (1912, 1912)),
    ("1926–7, reprinted 1892", (1926, 1927)),
    ("1953 (designed) c. 1977 (manufactured)", (1953, 1953)),
    ("Vase: 1755 (?); Decoration: 19th century (?)", (1755, 1755)),
    ("exhibited ?1811", (1811, 1811)),
    # years of a reign, numbers that are no years
    ("Edo period (1603-1867), c. 1790-1830", (1790, 1830)),
    ("New Kingdom, 18th Dynasty, c. 1570-1320 BCE", (-1570, -1320)),
    ("c. 1935-1938, Design Patent 102,345, 1937", (1935, 1938)),
    ("18th-19th Dynasty", None),
    ("date not known", None),
    ("n.d.", None),
    ("5", None),
    ("99999", None),
    ("", None),
]


@pytest.mark.parametrize(("prose", "expected"), PROSE, ids=[prose for prose, _ in PROSE])
def test_years_out_of_prose(prose: str, expected: YearSpan | None) -> None:
    assert parse_years(prose) == expected


@pytest.mark.parametrize(
    ("dates", "expected"),
    [
        ("1775–1851", (1775, 1851)),
        ("1703–71", (1703, 1771)),
        ("born 1937", (1937, None)),
        ("c.1770–1804 or 5", (1770, 1804)),
        ("1728 or 32–1784", (1728, 1784)),
        ("1774 (?)-1829", (1774, 1829)),
        ("1614-after 1683", (1614, 1683)),
        ("70 BC-19 BC", (-70, -19)),
        ("63 BC-AD 14", (-63, 14)),
        ("died 605 AH/AD 1209", (None, 1209)),
        ("939-1018 AH/AD 1533-1610", (1533, 1610)),
        ("active 1730–1765", (None, None)),
        ("18th century", (None, None)),
        ("born 1943, born 1942", (None, None)),
        ("1837-present", (None, None)),
        ("founded 1996", (None, None)),
    ],
)
def test_a_life_out_of_prose(dates: str, expected: YearSpan) -> None:
    assert parse_life(dates) == expected


@pytest.mark.parametrize(
    ("own", "prose", "expected"),
    [
        ((1488, 1522), "ca. 1500-1510", (1488, 1522)),
        ((0, 0), "17th-18th century", (1601, 1800)),
        ((1725, 1299), "mid 13th century", (1234, 1267)),
        ((1601, 17000), "11th century AH/AD 17th century", (1601, 1700)),
        ((19, 19), "19th century", (1801, 1900)),
        ((-10000, -7500), "early 1st millennium BC", (-1000, -668)),
        ((-1595, -1175), "18th Dynasty, c. 1570-1200", (-1595, -1175)),
        ((-499, 599), "5th-6th century", (401, 600)),
        ((1900, 1800), "n.d.", (1900, 1800)),
        ((None, None), None, (None, None)),
        ((1850, None), None, (1850, None)),
    ],
)
def test_the_museums_own_years_stand_unless_they_make_no_sense(
    own: YearSpan, prose: str | None, expected: YearSpan
) -> None:
    assert reconcile_years(*own, prose) == expected


@settings(deadline=None)
@given(st.text(alphabet="0123456789 -–/.,;:()?cadbAHstndrh centuryearlymid\x00", max_size=60))
def test_whatever_the_prose_the_years_are_in_order(prose: str) -> None:
    result = parse_years(prose)
    parse_life(prose)
    if result is not None:
        start, end = result
        assert start is not None or end is not None
        assert start is None or end is None or start <= end <= LATEST_YEAR
