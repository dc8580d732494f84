"""Reading a recipe: TOML, `--set`, `${…}` from the environment, and errors that name the key."""

import os
import re
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from artrec_core.config.recipe import Recipe
from artrec_core.config.sections import nearest
from artrec_core.errors import ConfigError


def load(path: str | Path, overrides: Iterable[str] = ()) -> Recipe:
    """Read a recipe; each override is `section.key=value`, its value read as TOML (else as text).

    `${NAME}` and `${NAME:-default}` in text values are replaced from the environment.
    Raises `ConfigError`, one line that names the file and the key.
    """
    try:
        values = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"there is no recipe {path}; the ones shipped are in infra/recipes/") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path} cannot be read as TOML: {error}") from None
    for override in overrides:
        apply_override(values, override)
    try:
        return Recipe.model_validate(_expand(values))
    except ValidationError as error:
        raise ConfigError(f"{path}: " + "; ".join(_explain(one, values) for one in error.errors())) from None


def apply_override(values: dict[str, Any], override: str) -> None:
    """Set one value of a recipe's tables, `section.key=value`; `ConfigError` where that is no such line."""
    key, equals, text = override.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f"--set takes section.key=value, not {override!r}")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    *sections, last = key.strip().split(".")
    place: Any = values
    for section in sections:
        place = place[int(section)] if isinstance(place, list) and section.isdigit() else place.setdefault(section, {})
        if not isinstance(place, dict | list):
            raise ConfigError(f"--set {override}: {section!r} is a value, not a section")
    if isinstance(place, list):
        raise ConfigError(f"--set {override}: {'.'.join(sections)} is a list; say which, as in {sections[0]}.0.{last}")
    place[last] = value


_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")


def _expand(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _expand(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_expand(one) for one in value]
    return _VARIABLE.sub(_variable, value) if isinstance(value, str) else value


def _variable(match: re.Match[str]) -> str:
    name, default = match.groups()
    found = os.environ.get(name, default)
    if found is None:
        raise ConfigError(f"the recipe needs the environment variable {name}, which is not set")
    return found


def _explain(error: Any, values: dict[str, Any]) -> str:
    where = ".".join(str(step) for step in error["loc"])
    if error["type"] == "extra_forbidden":
        near = nearest(str(error["loc"][-1]), _known_keys(error["loc"][:-1]))
        return f"unknown key `{where}`" + (f"; did you mean `{near}`?" if near else "")
    if error["type"] == "missing":
        return f"`{where}` is missing"
    message = error["msg"].removeprefix("Value error, ")
    return f"`{where}`: {message}" if where else message


def _known_keys(sections: tuple[int | str, ...]) -> list[str]:
    """The keys of the section at this place."""
    model: Any = Recipe
    for step in sections:
        if isinstance(step, str):
            annotation = model.model_fields[step].annotation
            arguments = getattr(annotation, "__args__", ())
            model = arguments[0] if arguments else annotation
    return list(model.model_fields)
