"""The curator's page: what a night did, as one self-contained HTML file that needs no network."""

from importlib.resources import files
from typing import Any
from urllib.parse import urlsplit

from markupsafe import Markup

# The name of the template, and of the note that holds the page of a night.
PAGE = "report.html"
# Tables of users -> their name on the page.
TABLE_NAMES = {"users": "visitors", "people": "visitors"}


def render(template: str, **values: Any) -> str:
    """Fill a template of this package.

    Parameters
    ----------
    template
        File name of the template.
    **values
        What the template shows. Every value is escaped.

    Raises
    ------
    jinja2.UndefinedError
        The template uses a name that is not among the values.
    """
    # Here, so that `artrec --help` does not load it.
    from jinja2 import DictLoader, Environment, StrictUndefined

    folder = files(__name__)
    environment = Environment(
        loader=DictLoader({template: folder.joinpath(template).read_text(encoding="utf-8")}),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        count=count_text,
        percent=percent_text,
        duration=duration_text,
        figure=figure_text,
        words=words,
        table=table_text,
    )
    style = Markup(folder.joinpath("style.css").read_text(encoding="utf-8"))
    return environment.get_template(template).render(style=style, **values)


def count_text(value: float) -> str:
    """A count with a comma between thousands: `60,112`."""
    return f"{value:,.0f}"


def percent_text(share: float) -> str:
    """A share (0 to 1) in percent: `4.2 %`. Only a share of exactly 0 reads `0 %`."""
    if 0 < share < 0.0005:
        return "< 0.1 %"
    return f"{100 * share:.0f} %" if share in (0, 1) else f"{100 * share:.1f} %"


def duration_text(seconds: float) -> str:
    """A duration: `0.4 s`, `12 s`, `3 min 20 s`, `1 h 5 min`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole_seconds = round(seconds)
    if whole_seconds < 60:
        return f"{whole_seconds} s"
    if whole_seconds < 3600:
        return f"{whole_seconds // 60} min {whole_seconds % 60} s"
    return f"{whole_seconds // 3600} h {whole_seconds % 3600 // 60} min"


def figure_text(value: object) -> str:
    """A figure of a step as text: `{"a": 1, "b": {"c": 2}}` is `a 1, b (c 2)`."""
    if isinstance(value, dict):
        texts = {
            name: f"({figure_text(item)})" if isinstance(item, dict) else figure_text(item)
            for name, item in value.items()
        }
        return ", ".join(f"{words(str(name))} {text}" for name, text in texts.items())
    if isinstance(value, list):
        return ", ".join(figure_text(item) for item in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return count_text(value)
    return f"{value:.4g}" if isinstance(value, float) else "none" if value is None else str(value)


def words(name: str) -> str:
    """A name from the code as words: `raw_artworks` is `raw artworks`."""
    return name.replace("_", " ")


def table_text(table: str) -> str:
    """A table as the page calls it: `users` is `visitors`."""
    return words(TABLE_NAMES.get(table, table))


def web_address(address: object) -> str | None:
    """The address if it is a web page's, else None: a museum's record may hold `javascript:` too."""
    if not isinstance(address, str):
        return None
    try:
        return address if urlsplit(address).scheme in ("http", "https") else None
    except ValueError:
        return None
