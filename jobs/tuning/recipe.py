"""The best recipe of a search, as TOML: the recipe it began from, remarks and all, with the values that were found."""

from pathlib import Path
from typing import Any

import tomlkit

from artrec_core.config import apply_override, load
from artrec_core.errors import ArtrecError
from artrec_core.files import write_atomically
from artrec_core.model.search_space import Values, apply_values, setting
from artrec_core.urls import redacted


def write(config: str, overrides: list[str], values: Values, out: Path, opening: list[str]) -> None:
    """Write `config` with its overrides and with these values to `out`; `opening` are its first lines.

    Where a value changed, a remark says what it was. An override that holds a password is left out, and a remark says
    that it must be given again. The file is read back: it must be the recipe that was tried.
    """
    before = load(config, overrides)
    document: Any = tomlkit.parse(Path(config).read_text(encoding="utf-8"))
    secret = [override for override in overrides if redacted(override) != override]
    for override in overrides:
        if override not in secret:
            apply_override(document, override)
    for key, value in values.items():
        was = setting(before, key)
        if was != value:
            _put(document, key, value, was)
    again = [f"give again, with its password: --set {redacted(override)}" for override in secret]
    text = _opened(tomlkit.dumps(document), [*opening, *again])
    with write_atomically(out) as building:
        building.write_text(text, encoding="utf-8")
        if load(building, secret) != apply_values(before, values):
            raise ArtrecError(f"{config} could not be written with other values; set them in it by hand: {values}")


def _put(document: Any, key: str, value: Any, was: Any) -> None:
    section, _, name = key.partition(".")
    if section not in document:
        document.add(tomlkit.nl())
        document.add(section, tomlkit.table())
    table = document[section]
    table[name] = value
    if not table[name].trivia.comment:
        table[name].comment(f"was {was}")


def _opened(text: str, opening: list[str]) -> str:
    """The text under its new opening; a recipe's own first line, the command that runs it, would now be wrong."""
    first, _, rest = text.partition("\n")
    kept = rest if first.startswith("#") and "--config" in first else text
    return "".join(f"# {line}\n" for line in opening) + kept
