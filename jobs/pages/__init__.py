"""Pages for people: what a night did, as one self-contained HTML file that needs no network."""

from importlib.resources import files
from typing import Any
from urllib.parse import urlsplit

from jinja2 import DictLoader, Environment, StrictUndefined
from markupsafe import Markup

# The curator's page, as a note of the day and as a template.
PAGE = "report.html"


def render(template: str, **values: Any) -> str:
    """The page of a template of this package. Every value is escaped; a name the template misses is an error."""
    folder = files(__name__)
    environment = Environment(
        loader=DictLoader({template: folder.joinpath(template).read_text(encoding="utf-8")}),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(count=count, percent=percent, seconds=seconds, figure=figure, words=words, web=web)
    style = Markup(folder.joinpath("style.css").read_text(encoding="utf-8"))
    return environment.get_template(template).render(style=style, **values)


def count(value: float) -> str:
    """A count with its thousands apart: `60,112`."""
    return f"{value:,.0f}"


def percent(share: float) -> str:
    """A share (0 to 1) as people read it: `4.2 %`; what is not nothing never reads `0 %`."""
    if 0 < share < 0.0005:
        return "< 0.1 %"
    return f"{100 * share:.0f} %" if share in (0, 1) else f"{100 * share:.1f} %"


def seconds(value: float) -> str:
    """A time: `0.4 s`, `12 s`, `3 min 20 s`, `1 h 5 min`."""
    if value < 10:
        return f"{value:.1f} s"
    whole = round(value)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def figure(value: object) -> str:
    """Whatever a step wrote down, for reading: `{"a": 1, "b": {"c": 2}}` is `a 1, b (c 2)`."""
    if isinstance(value, dict):
        inner = {name: f"({figure(one)})" if isinstance(one, dict) else figure(one) for name, one in value.items()}
        return ", ".join(f"{words(str(name))} {one}" for name, one in inner.items())
    if isinstance(value, list):
        return ", ".join(figure(one) for one in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return count(value)
    return f"{value:.4g}" if isinstance(value, float) else "none" if value is None else str(value)


def words(name: str) -> str:
    """A name of the code as words: `raw_artworks` is `raw artworks`."""
    return name.replace("_", " ")


def web(address: object) -> str | None:
    """The address if it is one that a link may open; a record may hold `javascript:` as well."""
    if not isinstance(address, str):
        return None
    try:
        return address if urlsplit(address).scheme in ("http", "https") else None
    except ValueError:
        return None
