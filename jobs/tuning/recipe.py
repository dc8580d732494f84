"""The best recipe of a search, as TOML: the recipe that it started from, with its comments, and the best values."""

from pathlib import Path
from typing import Any

import tomlkit

from artrec_core.config import apply_override, load
from artrec_core.errors import ArtrecError
from artrec_core.files import write_atomically
from artrec_core.model.search_space import Values, apply_values, setting
from artrec_core.urls import redact


def write(config: str, overrides: list[str], values: Values, out: Path, opening: list[str]) -> None:
    """Write a recipe with other values.

    A comment gives the old value of each setting that changed. An override that holds a password is left out; a comment
    says that it must be given again. The file is read back and must be equal to the recipe that was tried.

    Parameters
    ----------
    config, overrides
        The file of the old recipe and its overrides.
    values
        The new values, by key.
    out
        The file to write.
    opening
        The first lines of the file, as comments.

    Raises
    ------
    ArtrecError
        If the file, read back, is not the recipe that was tried.
    """
    old_recipe = load(config, overrides)
    document: Any = tomlkit.parse(Path(config).read_text(encoding="utf-8"))
    secret_overrides = [override for override in overrides if redact(override) != override]
    for override in overrides:
        if override not in secret_overrides:
            apply_override(document, override)
    for key, value in values.items():
        old_value = setting(old_recipe, key)
        if old_value != value:
            _set_value(document, key, value, old_value)
    reminders = [f"give again, with its password: --set {redact(override)}" for override in secret_overrides]
    text = _replace_opening(tomlkit.dumps(document), [*opening, *reminders])
    with write_atomically(out) as building:
        building.write_text(text, encoding="utf-8")
        if load(building, secret_overrides) != apply_values(old_recipe, values):
            raise ArtrecError(f"{config} could not be written with other values; set them in it by hand: {values}")


def _set_value(document: Any, key: str, value: Any, old_value: Any) -> None:
    section, _, name = key.partition(".")
    if section not in document:
        document.add(tomlkit.nl())
        document.add(section, tomlkit.table())
    table = document[section]
    table[name] = value
    if not table[name].trivia.comment:
        table[name].comment(f"was {old_value}")


def _replace_opening(text: str, opening: list[str]) -> str:
    """The text below a new opening. A recipe's first line with the command that runs it would now be wrong: it goes."""
    first_line, _, rest = text.partition("\n")
    body = rest if first_line.startswith("#") and "--config" in first_line else text
    return "".join(f"# {line}\n" for line in opening) + body
