"""`artrec recipe`: a recipe with all its defaults, and the reference of all keys."""

from typing import Annotated, Any

import typer

from artrec_core.config import Recipe, load
from artrec_core.config.reference import as_markdown, as_text, list_sections
from artrec_core.errors import ConfigError
from artrec_core.urls import redact
from jobs.step import SetOption, run_command

MARKDOWN_OPENING = """\
# Recipes

A recipe is one TOML file; `artrec <command> --config FILE` reads it. `--set section.key=value` overrides one value, and
`${NAME:-default}` in a text is read from the environment. A key that does not exist is an error that names it.
`artrec recipe --config FILE` prints a recipe with all its defaults.

| recipe | what it is for |
|---|---|
| `demo.toml` | the demo world: 621 well-known artworks and SIMULATED visitors |
| `museums.toml` | the catalogues of three museums and SIMULATED visitors |
| `movielens.toml` | MovieLens-1M: real users, to measure the model |
| `transfer.toml` | a museum that no user visited in training, SIMULATED visitors |
| `llm_1b.toml`, `llm_8b.toml` | language models of one to two and of eight billion parameters, for a GPU cluster |

This page is generated from the models in `artrec_core/config/`. Do not edit it; run
`artrec recipe --help-keys --markdown > infra/recipes/README.md`.

"""


def command(
    config: Annotated[
        str | None, typer.Option("--config", "-c", help="Print this recipe with all its defaults.", metavar="FILE")
    ] = None,
    overrides: SetOption = [],  # noqa: B006
    help_keys: Annotated[bool, typer.Option("--help-keys", help="Print the reference of all keys.")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="With --help-keys: print Markdown.")] = False,
) -> None:
    """Print a recipe with all its defaults, or the reference of all keys."""
    if help_keys:
        typer.echo(markdown_page() if markdown else as_text(list_sections()), nl=False)
    elif config is not None:
        typer.echo(as_toml(load(config, overrides)), nl=False)
    else:
        raise ConfigError("artrec recipe needs --config FILE or --help-keys")


def markdown_page() -> str:
    """The page `infra/recipes/README.md`."""
    return MARKDOWN_OPENING + as_markdown(list_sections())


def as_toml(recipe: Recipe) -> str:
    """The recipe with all its defaults as TOML; keys without a value are left out, passwords are hidden."""
    import tomlkit  # here, so that `artrec --help` does not load it

    return tomlkit.dumps(_redact(recipe.model_dump(mode="json", exclude_none=True)))


def _redact(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _redact(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_redact(item) for item in value]
    return redact(value) if isinstance(value, str) else value


if __name__ == "__main__":
    run_command(command, "python -m jobs.recipe")
