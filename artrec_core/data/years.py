"""Years out of prose, as museums write them. Years before Christ are negative; there is no year 0.

A century is counted strictly: the 19th is 1801 to 1900, the 4th BC is -400 to -301.
"""

import re
from functools import lru_cache

Span = tuple[int | None, int | None]

LATEST_YEAR = 2100

_ORDINALS = {"first": "1st", "second": "2nd", "third": "3rd", "fourth": "4th"}
_MONTH = r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)\.?"

# In this order, on lower-case text whose dashes are hyphens.
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

# A clause with one of these tells of a later state of the work: it counts only where nothing came before it.
_LATER = re.compile(
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
def years(text: str) -> Span | None:
    """The years (from, to) that a phrase tells, or None where it tells none.

    An end that is open is None: "after 1850" is (1850, None). Uncertainty ("c.", "?") is not widened. Of a work that
    was cast, printed or restored later, the first date counts; where two calendars stand (AH/AD), the Christian one.
    """
    found: list[Span] = []
    for clause in re.split(r"[;,()]", _normal(text)):
        if found and _LATER.search(clause):
            continue
        found += _spans(clause)
    if not found:
        return None
    starts = [start for start, _ in found if start is not None]
    ends = [end for _, end in found if end is not None]
    span = (min(starts, default=None), max(ends, default=None))
    return None if span[0] is not None and span[1] is not None and span[0] > span[1] else span


def _normal(text: str) -> str:
    text = re.sub(r"[‐-―−]", "-", text[:400].lower())
    text = _christian(text)
    for pattern, replacement in _REWRITES:
        text = pattern.sub(replacement, text)
    return text


def _christian(text: str) -> str:
    """Without what is told in another calendar: "991 AH/AD 1583-995 AH/AD 1587" -> " 1583- 1587"."""
    pieces = re.split(r"\b(?:ah|am)\s*/\s*(?:ad|ce)", text)
    # Before the mark stands a date of the other calendar; before that, after a hyphen, one of ours.
    kept = [re.sub(r"(?:^|(?<=[;:,(]))[^;:,(]*$", "", pieces[0])]
    kept += [re.sub(r"(?<=[;:,(-])[^;:,(-]*$", "", piece) for piece in pieces[1:-1]]
    if len(pieces) == 1:
        return text
    # "12th century AH/AD 18th" leaves the second "century" out.
    return "".join([*kept, re.sub(r"(\d(?:st|nd|rd|th))\s*$", r"\1 century", pieces[-1])])


def _spans(clause: str) -> list[Span]:
    terms = list(_TERM.finditer(clause))
    backwards = _before_christ(terms)
    found: list[Span] = []
    for at, term in enumerate(terms):
        previous = terms[at - 1] if at else None
        following = terms[at + 1] if at + 1 < len(terms) else None
        span = _span(term, previous, following, clause, backwards[at])
        lead = clause[previous.end() if previous else 0 : term.start()]
        if span is not None and span[1] <= LATEST_YEAR:
            found.append((span[0], None) if _FROM.search(lead) else (None, span[1]) if _UNTIL.search(lead) else span)
    return found


def _span(
    term: re.Match[str],
    previous: re.Match[str] | None,
    following: re.Match[str] | None,
    clause: str,
    before_christ: bool,
) -> tuple[int, int] | None:
    if term["ordinal"]:
        return _century(term, following, before_christ)
    if term["decade"]:
        return _decade(term, previous, before_christ)
    year = _year(term, previous, following, clause)
    return None if year is None else (-year, -year) if before_christ else (year, year)


def _before_christ(terms: list[re.Match[str]]) -> list[bool]:
    """Which terms count backwards: one that does not say follows its neighbour where the numbers fall."""
    eras: list[str | None] = [term["before"] or term["after"] for term in terms]
    for at in range(len(terms) - 2, -1, -1):
        falls = _size(terms[at]) >= _size(terms[at + 1]) and terms[at + 1]["before"] is None
        if eras[at] is None and eras[at + 1] == "bc" and falls:
            eras[at] = "bc"
    for at in range(1, len(terms)):
        if eras[at] is None and terms[at - 1]["before"] == "bc" and _size(terms[at]) <= _size(terms[at - 1]):
            eras[at] = "bc"
    return [era == "bc" for era in eras]


def _size(term: re.Match[str]) -> int:
    return int(term["ordinal"] or term["decade"] or term["year"])


def _century(term: re.Match[str], following: re.Match[str] | None, before_christ: bool) -> tuple[int, int] | None:
    # The unit of "5th-4th century" stands with the second; an ordinal without one is a dynasty or a day.
    unit = term["unit"] or (following["unit"] if following is not None and following["ordinal"] else None)
    if unit is None or int(term["ordinal"]) == 0:
        return None
    length = 1000 if unit == "millennium" else 100
    count = int(term["ordinal"])
    start = -count * length if before_christ else (count - 1) * length + 1
    return _part(term, start, length)


def _decade(term: re.Match[str], previous: re.Match[str] | None, before_christ: bool) -> tuple[int, int] | None:
    digits: str = term["decade"]
    if len(digits) < 3:
        if previous is None or not previous["decade"]:
            return None
        digits = previous["decade"][: -len(digits)] + digits
    start = int(digits)
    # "1700s" is a century; "2000s" cannot be one yet.
    length = 100 if start % 100 == 0 and start < 2000 else 10
    return _part(term, -start - length + 1 if before_christ else start, length)


def _part(term: re.Match[str], start: int, length: int) -> tuple[int, int]:
    """The part of a stretch of years that "early", "late", "2nd half" … name; the whole where none is named."""
    part = term["part"]
    if not part:
        return start, start + length - 1
    if part in _PARTS:
        first, of = _PARTS[part]
        last = _PARTS[term["part_to"]][0] if term["part_to"] else first
    else:
        of = _DIVISIONS[part.split()[1]]
        numbers = [int(digit) - 1 for digit in part if digit.isdecimal()]
        first, last = numbers[0], numbers[-1]
    return start + round(length * first / of), start + round(length * (last + 1) / of) - 1


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
    # "50-320": a small number is a year where a plain year follows, or an era ("1-200 AD").
    ranged = following is not None and clause[term.end() : following.start()].strip() in ("-", "to")
    if ranged and following is not None and following["year"]:
        return int(digits) or None if len(following["year"]) == 3 or following["after"] else None
    # "AD 30-70", "AD 1-99".
    era = previous is not None and (previous["before"] or previous["after"])
    return int(digits) or None if era and previous is not None and previous["year"] else None


_DATE = r"(\d{2,4})(?:\s*(?:or|/)\s*\d{1,4})?\s*(bc|ad)?"
_LIFE = re.compile(rf"^\W*(?:ad )?{_DATE}\s*-\s*(?:after |before |by )?(?:ad )?{_DATE}")
_BORN = re.compile(r"(?:\bborn|\bb\.)\s*(?:in )?(\d{3,4})")
_DIED = re.compile(r"(?:\bdied|\bd\.)\s*(?:in |after |before )?(\d{3,4})")


@lru_cache(maxsize=32768)
def life(text: str) -> Span:
    """A person's years of birth and death: "1775–1851", "born 1937", "died 942 AH/AD 1536"; (None, None) for others.

    Years of activity, of a firm, or of several people are nobody's life.
    """
    if len(re.findall(r"born|;", text)) > 1 or re.search(
        r"active|\bfl\b|flourish|found|establish|present|century", text
    ):
        return None, None
    # The word stands before the date of the other calendar: "died 605 AH/AD 1209".
    text = _normal(re.sub(r"\b(born|died)\b[^,;]*?AH\s*/\s*AD", r"\1", text))
    if whole := _LIFE.match(text):
        born, died = int(whole[1]), int(whole[3])
        if whole[4] == "bc" and (whole[2] == "bc" or (whole[2] is None and born >= died)):
            return -born, -died
        if born >= 1000 and died < 100:
            # "1703–71"
            died += born // 100 * 100
        return (-born if whole[2] == "bc" else born), died
    born_in, died_in = _BORN.search(text), _DIED.search(text)
    return (int(born_in[1]) if born_in else None), (int(died_in[1]) if died_in else None)


def settled(start: int | None, end: int | None, prose: str | None) -> Span:
    """The museum's own years where they make sense, else what the prose tells, else the museum's own as they are.

    Year 0 stands for "not known". The museum's own years give way where they run backwards, lie in the future, miss the
    prose by more than a generation, or stretch over a thousand years that the prose does not tell of. Years that make
    no sense are handed on where nothing better is told, so that a gate can name them.
    """
    start, end = start or None, end or None
    told = years(prose) if prose else None
    if start is None or end is None or start > end or end > LATEST_YEAR:
        return told or (start, end)
    return told if told is not None and _contradict(start, end, *told) else (start, end)


def _contradict(start: int, end: int, told_from: int | None, told_to: int | None) -> bool:
    if told_from is None or told_to is None:
        return False
    if end - start > 1000:
        return (told_to - told_from) * 2 < end - start
    # "c. 1570-1200", where the prose leaves out that it is before Christ.
    forgotten_era = end < 0 < told_from and start - 30 <= -told_from <= end + 30
    return (told_to < start - 30 or told_from > end + 30) and not forgotten_era
