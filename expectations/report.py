"""The validation report: one self-contained page, safe against whatever a title holds."""

from functools import cache
from pathlib import Path

import jinja2
from markupsafe import Markup

from expectations.verdict import EXAMPLES_A_RULE, Validation

HERE = Path(__file__).parent


def page_css() -> str:
    """The style sheet of every page artrec writes, to be put into a `<style>`."""
    return (HERE / "page.css").read_text(encoding="utf-8")


def validation_page(validation: Validation) -> bytes:
    """The validation report as UTF-8 HTML. Great Expectations' own Data Docs do not escape values; this does."""
    page = _templates().get_template("validation.html.j2")
    # The style sheet is ours: the only text that goes in unescaped.
    css = Markup(page_css())
    return page.render(validation=validation, css=css, examples_a_rule=EXAMPLES_A_RULE).encode()


@cache
def _templates() -> jinja2.Environment:
    templates = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters["count"] = lambda number: f"{number:,}"
    return templates
