"""The validation report: one self-contained HTML page. Values from the data, such as titles, are escaped."""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from markupsafe import Markup

from expectations.verdict import EXAMPLES_PER_RULE, Validation

if TYPE_CHECKING:
    import jinja2

HERE = Path(__file__).parent


def page_css() -> str:
    """The style sheet of all pages that artrec writes, for a `<style>` element."""
    return (HERE / "page.css").read_text(encoding="utf-8")


def validation_page(validation: Validation) -> bytes:
    """The validation report as HTML in UTF-8. It escapes values, which the Data Docs of Great Expectations do not."""
    page = _templates().get_template("validation.html.j2")
    # The style sheet is the only text that is not escaped; it is part of artrec.
    css = Markup(page_css())
    return page.render(validation=validation, css=css, examples_per_rule=EXAMPLES_PER_RULE).encode()


@cache
def _templates() -> "jinja2.Environment":
    import jinja2  # here, so that `artrec --help` does not load it

    templates = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters["count"] = lambda number: f"{number:,}"
    return templates
