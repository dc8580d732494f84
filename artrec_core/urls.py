"""Removing user names, passwords and tokens of URLs from texts that are shown. It imports nothing heavy."""

import re
from urllib.parse import quote, unquote

HIDDEN = "***"

# Lengths are limited, so that long log lines do not take long. `https://host/a@b` has no login.
# `scheme://user:pass/word@host` has one, although `/` should be written %2F there.
_SCHEME = r'(?P<scheme>(?<![\w+.-])[\w+.-]*:/{1,2})(?=[^\s/"<>]{0,1000}[:@])'
_LOGIN = re.compile(_SCHEME + r'(?P<login>[^\s"<>]{0,1000})@')
# A text that begins with a URL usually is only this URL. Its password may contain blanks and quotes.
_FIRST_LOGIN = re.compile(rf"^{_SCHEME}(?P<login>.*)@")
_NAMES = r"pass(?:word|wd|phrase|code)?|pwd|token|secret|credentials?|signature|(?:api|access|account|secret)[_-]?key(?:[_-]?id)?"
_SECRET = re.compile(
    rf"(?P<name>(?<![\w.%-])[\w.%-]*(?:{_NAMES})|(?<=[?&])(?:user|sig))=(?P<value>'[^']*'|[^\s&;#\"'<>]*)",
    re.IGNORECASE,
)
_SEPARATORS = re.compile(r"[@:/?#\[\]%\s]+")


def redact(text: str, *urls: str) -> str:
    """Remove user names, passwords and secret query parameters of URLs from a text.

    Hosts, paths and addresses without a login, such as `s3://bucket/key`, do not change. URLs need not be well formed.
    If it is not clear where a password ends, more is removed rather than less.

    Parameters
    ----------
    text
        A URL, or any text that contains URLs.
    urls
        URLs whose secrets are also removed where they stand alone: drivers quote the part of a URL that they cannot read.

    Returns
    -------
    The text with `***` in place of the secrets.
    """
    for secret in sorted({secret for url in urls for secret in _secrets(url)}, key=len, reverse=True):
        text = re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", HIDDEN, text)
    for login in (_FIRST_LOGIN, _LOGIN):
        text = login.sub(rf"\g<scheme>{HIDDEN}@", text)
    return _SECRET.sub(rf"\g<name>={HIDDEN}", text)


def _secrets(url: str) -> set[str]:
    """The password and the secret query parameters of a URL: whole, decoded, encoded, and in parts a driver may quote."""
    values = [match["value"] for match in _SECRET.finditer(url) if match["name"].lower() != "user"]
    if match := _FIRST_LOGIN.match(url):
        values.append(match["login"].partition(":")[2])
    spellings = {spelling for value in values for spelling in (value, unquote(value), quote(unquote(value), safe=""))}
    return {piece for spelling in spellings for piece in (spelling, *_SEPARATORS.split(spelling)) if piece}
