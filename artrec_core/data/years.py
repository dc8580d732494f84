"""Parsing of years from the text of museums.

Years BC are negative; there is no year 0. Centuries are counted strictly: the 19th century is 1801 to 1900, the 4th
century BC is -400 to -301.
"""

import re
from functools import lru_cache

# (first year, last year); None where the span is open or the year is unknown.
YearSpan = tuple[int | None, int | None]

LATEST_YEAR = 2100

_ORDINALS = {"first": "1st", "second": "2nd", "third": "3rd", "fourth": "4th"}
_MONTH = r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)\.?"

# Applied in this order, to lower-case text in which all dashes are hyphens.
_REWRITES = [
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"\bb\.\s?c\.(\s?e\.)?", "bc"),
        (r"\b(a\.\s?d\.|c\.\s?e\.)", "ad"),
        (r"\bbce\b", "bc"),
        (r"\bce\b", "ad"),
        (r"(?<!\d)\d{1,3}(,\d{3})+(?!\d)", " "),
        (r"\bah\s*\d+(\s*-\s*\d+)?", " "),
        (r"(\d)/\d{1,2}(?=\s*bc)", r"\1"),
        (r"\b\d{1,2}/\d{1,2}/(\d{4})\b", r"\1"),
        (r"\b\d{1,2}/(\d{4})\b", r"\1"),
        (rf"\b{_MONTH}\s+\d{{1,2}}(?:st|nd|rd|th)?(?:\s*-\s*(?:{_MONTH}\s+)?\d{{1,2}})?\s*,", " "),
        (rf"\b\d{{1,2}}(?:st|nd|rd|th)?\s+{_MONTH}\b", " "),
        (rf"\b{_MONTH}\s+\d{{1,2}}(?!\d)", " "),
        (r"(?<!st )(?<!nd )(?<!rd )(?<!th )\b(first|second|third|fourth)\b", lambda match: _ORDINALS[match[1]]),
        (r"\blast (half)", r"2nd \1"),
        (r"\blast (third)", r"3rd \1"),
        (r"\blast (quarter)", r"4th \1"),
        (r"\bquater\b", "quarter"),
        (r"\bmillenium\b", "millennium"),
        (r"\b(?:beginning|start) of (?:the )?", "early "),
        (r"\bend of (?:the )?", "late "),
        (r"\bmiddle\b", "mid"),
        (r"(\d(?:st|nd|rd|th))[\s-]*(?:centuries|cent\.?|c\.?)(?![a-z])", r"\1 century"),
        (r"\b(?:circa|cca|ca|ci|c)\b\\?[.,]?\s*|\bc(?=\d)", ""),
        (r"\b(?:probably|possibly|perhaps|likely|about|around|approximately)\b", ""),
        (r"[?\[\]]", ""),
        (r"\(\s*\)", ""),
        (r"(?:period|dynasty|kingdom|era)\s*\([^()]*\)(?=.*\d)", ""),
        (r"\((?:designed|modell?ed|conceived|patented)\b.*", ""),
        (r"\s+", " "),
    )
]

# A clause with one of these words describes a later state of the artwork. It counts only if no year was found before it.
_LATER_STATE = re.compile(
    r"\b(?:cast|casting|print\w*|reprint\w*|publish\w*|exhibit\w*|manufactur\w*|reproduc\w*|remade|reconstruct\w*"
    r"|reassembl\w*|assembl\w*|rework\w*|restor\w*|retouch\w*|replica|edition\w*|enlarged|copy|copies|addition\w*"
    r"|repaint\w*|decorat\w*|mount\w*|setting|binding|borders?|frame|hilt|hinges|annotat\w*|produc\w*|dated|version|posthumous\w*)\b"
)

_TERM = re.compile(
    r"""(?<![\w.])
    (?:(?P<before>ad|bc)\s*)?
    (?:(?P<part>early|mid|late|[1-4](?:st|nd|rd|th)(?:-[1-4](?:st|nd|rd|th))?\s(?:half|quarter|third))
       (?:[\s-]*(?:to|-)[\s-]*(?P<part_to>early|mid|late))?
       [\s-]*(?:of\s)?(?:the\s)?)?
    (?:(?P<ordinal>\d{1,2})(?:st|nd|rd|th)(?:[\s-]*(?P<unit>century|millennium))?
      |(?P<decade>\d{1,3}0)'?s
      |(?P<year>\d{1,4}))
    (?!\w)
    (?:\s*(?P<after>ad|bc)\b)?""",
    re.VERBOSE,
)
_FROM = re.compile(r"(?:\bafter|\bpost|\bsince|\bfrom|no earlier than|not before)[\s-]*$")
_UNTIL = re.compile(r"(?:\bbefore|\bpre|\buntil|\bup to|\bby|no later than|not after)[\s-]*$")
_PARTS = {"early": (0, 3), "mid": (1, 3), "late": (2, 3)}
_DIVISIONS = {"half": 2, "third": 3, "quarter": 4}


@lru_cache(maxsize=65536)
def parse_years(text: str) -> YearSpan | None:
    """Parse the years (first, last) of a date text; None if it names none.

    An open end is None: "after 1850" is (1850, None). A mark of doubt ("c.", "?") does not widen the span. If an artwork
    was cast, printed or restored later, its first date counts. If a date is given in two calendars (AH/AD), the
    Christian one counts.
    """
    spans: list[YearSpan] = []
    for clause in re.split(r"[;,()]", _normalise(text)):
        if spans and _LATER_STATE.search(clause):
            continue
        spans += _spans(clause)
    if not spans:
        return None
    starts = [start for start, _ in spans if start is not None]
    ends = [end for _, end in spans if end is not None]
    span = (min(starts, default=None), max(ends, default=None))
    return None if span[0] is not None and span[1] is not None and span[0] > span[1] else span


def _normalise(text: str) -> str:
    text = re.sub(r"[‐-―−]", "-", text[:400].lower())
    text = _remove_islamic_dates(text)
    for pattern, replacement in _REWRITES:
        text = pattern.sub(replacement, text)
    return text


def _remove_islamic_dates(text: str) -> str:
    """Remove the dates of the other calendar (AH or AM): "991 AH/AD 1583-995 AH/AD 1587" -> " 1583- 1587"."""
    pieces = re.split(r"\b(?:ah|am)\s*/\s*(?:ad|ce)", text)
    # A piece ends with a date of the other calendar. In a range, a Christian date and a hyphen come before it.
    christian = [re.sub(r"(?:^|(?<=[;:,(]))[^;:,(]*$", "", pieces[0])]
    christian += [re.sub(r"(?<=[;:,(-])[^;:,(-]*$", "", piece) for piece in pieces[1:-1]]
    if len(pieces) == 1:
        return text
    # "12th century AH/AD 18th" leaves out the second "century".
    return "".join([*christian, re.sub(r"(\d(?:st|nd|rd|th))\s*$", r"\1 century", pieces[-1])])


def _spans(clause: str) -> list[YearSpan]:
    terms = list(_TERM.finditer(clause))
    is_bc = _terms_bc(terms)
    spans: list[YearSpan] = []
    for index, term in enumerate(terms):
        previous = terms[index - 1] if index else None
        following = terms[index + 1] if index + 1 < len(terms) else None
        span = _span(term, previous, following, clause, is_bc[index])
        words_before = clause[previous.end() if previous else 0 : term.start()]
        if span is None or span[1] > LATEST_YEAR:
            continue
        if _FROM.search(words_before):
            spans.append((span[0], None))
        elif _UNTIL.search(words_before):
            spans.append((None, span[1]))
        else:
            spans.append(span)
    return spans


def _span(
    term: re.Match[str],
    previous: re.Match[str] | None,
    following: re.Match[str] | None,
    clause: str,
    is_bc: bool,
) -> tuple[int, int] | None:
    if term["ordinal"]:
        return _century(term, following, is_bc)
    if term["decade"]:
        return _decade(term, previous, is_bc)
    year = _year(term, previous, following, clause)
    return None if year is None else (-year, -year) if is_bc else (year, year)


def _terms_bc(terms: list[re.Match[str]]) -> list[bool]:
    """Which terms are BC.

    A term without an era takes "BC" from its neighbour if the numbers fall, as in "2500-2300 BC".
    """
    eras: list[str | None] = [term["before"] or term["after"] for term in terms]
    for index in range(len(terms) - 2, -1, -1):
        following = terms[index + 1]
        falls = _size(terms[index]) >= _size(following) and following["before"] is None
        if eras[index] is None and eras[index + 1] == "bc" and falls:
            eras[index] = "bc"
    for index in range(1, len(terms)):
        previous = terms[index - 1]
        if eras[index] is None and previous["before"] == "bc" and _size(terms[index]) <= _size(previous):
            eras[index] = "bc"
    return [era == "bc" for era in eras]


def _size(term: re.Match[str]) -> int:
    return int(term["ordinal"] or term["decade"] or term["year"])


def _century(term: re.Match[str], following: re.Match[str] | None, is_bc: bool) -> tuple[int, int] | None:
    # In "5th-4th century" the second ordinal has the unit. An ordinal without a unit is a dynasty or a day.
    unit = term["unit"] or (following["unit"] if following is not None and following["ordinal"] else None)
    if unit is None or int(term["ordinal"]) == 0:
        return None
    length = 1000 if unit == "millennium" else 100
    count = int(term["ordinal"])
    start = -count * length if is_bc else (count - 1) * length + 1
    return _part(term, start, length)


def _decade(term: re.Match[str], previous: re.Match[str] | None, is_bc: bool) -> tuple[int, int] | None:
    digits: str = term["decade"]
    if len(digits) < 3:
        if previous is None or not previous["decade"]:
            return None
        digits = previous["decade"][: -len(digits)] + digits
    start = int(digits)
    # "1700s" is a century; "2000s" is a decade.
    length = 100 if start % 100 == 0 and start < 2000 else 10
    return _part(term, -start - length + 1 if is_bc else start, length)


def _part(term: re.Match[str], start: int, length: int) -> tuple[int, int]:
    """The part of a span of years that "early", "late" or "2nd half" names; the whole span if no part is named."""
    part = term["part"]
    if not part:
        return start, start + length - 1
    if part in _PARTS:
        first, division = _PARTS[part]
        last = _PARTS[term["part_to"]][0] if term["part_to"] else first
    else:
        division = _DIVISIONS[part.split()[1]]
        numbers = [int(digit) - 1 for digit in part if digit.isdecimal()]
        first, last = numbers[0], numbers[-1]
    return start + round(length * first / division), start + round(length * (last + 1) / division) - 1


def _year(
    term: re.Match[str], previous: re.Match[str] | None, following: re.Match[str] | None, clause: str
) -> int | None:
    digits: str = term["year"]
    if len(digits) >= 3 or term["before"] or term["after"]:
        return int(digits) or None
    if previous is not None and previous["year"] and len(previous["year"]) > len(digits):
        between = clause[previous.end() : term.start()]
        if re.fullmatch(r"\s*(?:-|/|or|and|to|&)\s*", between):
            year = int(previous["year"][: -len(digits)] + digits)
            return year if year >= int(previous["year"]) else None
    # "50-320", "1-200 AD": a small number is a year if a year of three digits or a year with an era follows.
    starts_range = following is not None and clause[term.end() : following.start()].strip() in ("-", "to")
    if starts_range and following is not None and following["year"]:
        return int(digits) or None if len(following["year"]) == 3 or following["after"] else None
    # "AD 30-70", "AD 1-99": it is also a year if the year before it has an era.
    era = previous is not None and (previous["before"] or previous["after"])
    return int(digits) or None if era and previous is not None and previous["year"] else None


_DATE = r"(\d{2,4})(?:\s*(?:or|/)\s*\d{1,4})?\s*(bc|ad)?"
_LIFE = re.compile(rf"^\W*(?:ad )?{_DATE}\s*-\s*(?:after |before |by )?(?:ad )?{_DATE}")
_BORN = re.compile(r"(?:\bborn|\bb\.)\s*(?:in )?(\d{3,4})")
_DIED = re.compile(r"(?:\bdied|\bd\.)\s*(?:in |after |before )?(\d{3,4})")


@lru_cache(maxsize=32768)
def parse_life(text: str) -> YearSpan:
    """Parse a person's years of birth and death: "1775–1851", "born 1937", "died 942 AH/AD 1536".

    The result is (None, None) for years of activity, and for the dates of a firm or of several people.
    """
    if len(re.findall(r"born|;", text)) > 1 or re.search(
        r"active|\bfl\b|flourish|found|establish|present|century", text
    ):
        return None, None
    # In "died 605 AH/AD 1209" the word stands before the date that is removed.
    text = _normalise(re.sub(r"\b(born|died)\b[^,;]*?AH\s*/\s*AD", r"\1", text))
    if match := _LIFE.match(text):
        born, died = int(match[1]), int(match[3])
        if match[4] == "bc" and (match[2] == "bc" or (match[2] is None and born >= died)):
            return -born, -died
        if born >= 1000 and died < 100:
            # "1703–71"
            died += born // 100 * 100
        return (-born if match[2] == "bc" else born), died
    birth, death = _BORN.search(text), _DIED.search(text)
    return (int(birth[1]) if birth else None), (int(death[1]) if death else None)


def reconcile_years(start: int | None, end: int | None, date_text: str | None) -> YearSpan:
    """Choose between the years that a museum gives as numbers and those of its date text.

    Parameters
    ----------
    start, end : first and last year as the museum gives them; 0 means "not known"
    date_text : the museum's date in words

    Returns
    -------
    YearSpan
        The museum's numbers if they are plausible, else the years of the date text, else the numbers as they are: a gate
        then reports them. Numbers are not plausible if they run backwards or lie in the future, or if they differ from
        the date text by more than a generation (30 years). They are not plausible either if they span over 1,000 years
        and the text names less than half as many.
    """
    start, end = start or None, end or None
    text_years = parse_years(date_text) if date_text else None
    if start is None or end is None or start > end or end > LATEST_YEAR:
        return text_years or (start, end)
    return text_years if text_years is not None and _contradicts(start, end, *text_years) else (start, end)


def _contradicts(start: int, end: int, text_start: int | None, text_end: int | None) -> bool:
    if text_start is None or text_end is None:
        return False
    if end - start > 1000:
        return (text_end - text_start) * 2 < end - start
    # In "c. 1570-1200" the text leaves out "BC".
    lacks_era = end < 0 < text_start and start - 30 <= -text_start <= end + 30
    return (text_end < start - 30 or text_start > end + 30) and not lacks_era
