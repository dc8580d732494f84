"""Reading a recipe: TOML, `--set`, `${…}` from the environment, and errors that name the key."""

import os
import re
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from artrec_core.config.recipe import Recipe
from artrec_core.config.renamed_keys import renamed_key
from artrec_core.config.sections import nearest
from artrec_core.errors import ConfigError


def load(path: str | Path, overrides: Iterable[str] = ()) -> Recipe:
    """Read and check a recipe.

    Parameters
    ----------
    path
        A TOML file. `${NAME}` and `${NAME:-default}` in text values are replaced from the environment.
    overrides
        Values that replace those of the file, each `section.key=value`. The value is read as TOML, else as text.

    Raises
    ------
    ConfigError
        If the recipe cannot be read or is not valid: one line that names the file and the key.
    """
    overrides = list(overrides)
    try:
        values = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"there is no recipe {path}; the ones shipped are in infra/recipes/") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path} cannot be read as TOML: {error}") from None
    for override in overrides:
        apply_override(values, override)
    try:
        return Recipe.model_validate(_expand_variables(values))
    except ValidationError as error:
        override_keys = {override.partition("=")[0].strip() for override in overrides}
        raise ConfigError(f"{path}: " + "; ".join(_explain(fault, override_keys) for fault in error.errors())) from None


def apply_override(values: dict[str, Any], override: str) -> None:
    """Set one value of a recipe.

    Parameters
    ----------
    values
        The tables of the recipe, changed in place.
    override
        `section.key=value`.

    Raises
    ------
    ConfigError
        If the override does not have this form, or its section is a value or a list.
    """
    key, equals, text = override.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f"--set takes section.key=value, not {override!r}")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    *sections, last = key.strip().split(".")
    table: Any = values
    for section in sections:
        table = table[int(section)] if isinstance(table, list) and section.isdigit() else table.setdefault(section, {})
        if not isinstance(table, dict | list):
            raise ConfigError(f"--set {override}: {section!r} is a value, not a section")
    if isinstance(table, list):
        example = f"{sections[0]}.0.{last}"
        raise ConfigError(f"--set {override}: {'.'.join(sections)} is a list; give a position, as in {example}")
    table[last] = value


_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")


def _expand_variables(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _expand_variables(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_expand_variables(item) for item in value]
    return _VARIABLE.sub(_variable_value, value) if isinstance(value, str) else value


def _variable_value(match: re.Match[str]) -> str:
    name, default = match.groups()
    value = os.environ.get(name, default)
    if value is None:
        raise ConfigError(f"the recipe needs the environment variable {name}, which is not set")
    return value


def _explain(error: Any, override_keys: set[str]) -> str:
    location: tuple[int | str, ...] = error["loc"]
    key = ".".join(str(part) for part in location)
    if error["type"] == "extra_forbidden":
        new_key = renamed_key(location)
        if new_key is not None:
            origin = "--set" if key in override_keys else "this file"
            return f"`{key}` is called `{new_key}` now; rename it in {origin}"
        near = nearest(str(location[-1]), _known_keys(location[:-1]))
        return f"unknown key `{key}`" + (f"; did you mean `{near}`?" if near else "")
    if error["type"] == "missing":
        return f"`{key}` is missing"
    message = error["msg"].removeprefix("Value error, ")
    return f"`{key}`: {message}" if key else message


def _known_keys(location: tuple[int | str, ...]) -> list[str]:
    """The keys of the section at this location."""
    model: Any = Recipe
    for part in location:
        if isinstance(part, str):
            annotation = model.model_fields[part].annotation
            arguments = getattr(annotation, "__args__", ())
            model = arguments[0] if arguments else annotation
    return list(model.model_fields)
