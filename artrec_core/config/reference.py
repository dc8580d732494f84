"""The reference of all recipe keys, generated from the models: as plain text and as Markdown."""

import inspect
import json
import textwrap
import types
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from artrec_core.config.recipe import Recipe
from artrec_core.config.sections import Section

NOT_SET = "not set"
REQUIRED = "required"
_TYPE_NAMES = {str: "text", int: "integer", float: "number", bool: "true or false"}
_BOUNDS = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}


@dataclass(frozen=True)
class KeyReference:
    """One key of a section: its name, its type with the allowed values, its default as TOML and its description."""

    name: str
    type: str
    default: str
    description: str


@dataclass(frozen=True)
class SectionReference:
    """One section of a recipe: its header in TOML (empty for the keys before all sections), its promise and its keys."""

    header: str
    description: str
    keys: list[KeyReference]


def list_sections() -> list[SectionReference]:
    """All sections of a recipe, in the order of the models; a section comes before those inside it."""
    return list(_walk(Recipe, "", ""))


def as_text(sections: list[SectionReference], width: int = 100) -> str:
    """The reference as plain text, for a terminal of `width` columns."""
    lines: list[str] = []
    for section in sections:
        lines += [section.header, *textwrap.wrap(section.description, width), ""]
        for key in section.keys:
            opening = f"  {key.name} = {key.default}" if key.default not in {NOT_SET, REQUIRED} else f"  {key.name}"
            suffix = f", {key.default}" if key.default in {NOT_SET, REQUIRED} else ""
            lines += textwrap.wrap(f"{opening}   ({key.type}{suffix})", width, subsequent_indent=" " * 6)
            lines += textwrap.wrap(key.description, width, initial_indent=" " * 6, subsequent_indent=" " * 6)
        lines.append("")
    return "\n".join(lines).strip() + "\n"


def as_markdown(sections: list[SectionReference]) -> str:
    """The reference as Markdown: a heading and a table for each section."""
    blocks: list[str] = []
    for section in sections:
        heading = f"## `{section.header}`" if section.header else "## Before all sections"
        table = ["| key | type | default | description |", "|---|---|---|---|"]
        for key in section.keys:
            default = key.default if key.default in {NOT_SET, REQUIRED} else f"`{key.default}`"
            cells = [f"`{key.name}`", key.type, default, key.description]
            table.append("| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |")
        blocks.append("\n\n".join([heading, section.description, "\n".join(table)]))
    return "\n\n".join(blocks) + "\n"


def _walk(model: type[Section], path: str, header: str) -> Iterator[SectionReference]:
    keys, inner = [], []
    for name, field in model.model_fields.items():
        section = _section_of(field.annotation)
        if section is None:
            keys.append(KeyReference(name, _describe_field(field), _default_of(field), field.description or ""))
        else:
            inner_path = f"{path}.{name}" if path else name
            is_list = get_origin(field.annotation) is list
            inner.append((section, inner_path, f"[[{inner_path}]]" if is_list else f"[{inner_path}]"))
    if keys:
        yield SectionReference(header, " ".join((inspect.getdoc(model) or "").split()), keys)
    for section, inner_path, inner_header in inner:
        yield from _walk(section, inner_path, inner_header)


def _section_of(annotation: Any) -> type[Section] | None:
    """The section that a field holds, alone, in a list or optionally; None for a field with plain values."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation
    if get_origin(annotation) in {list, types.UnionType, Union}:
        sections = [
            member for member in get_args(annotation) if isinstance(member, type) and issubclass(member, Section)
        ]
        return sections[0] if sections else None
    return None


def _describe_field(field: FieldInfo) -> str:
    return _describe(field.annotation, field.metadata)


def _describe(annotation: Any, metadata: list[Any] | tuple[Any, ...] = ()) -> str:
    """A type in words, such as `integer >= 1, or "auto"`."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _describe(arguments[0], _constraints(arguments[1:]))
    if origin is Literal:
        return " | ".join(json.dumps(value) for value in arguments)
    if origin in {types.UnionType, Union}:
        if set(arguments) == {bool, int, float, str}:
            return "values"
        members = [_describe(member, metadata) for member in arguments if member is not type(None)]
        return " or ".join(members)
    if origin is list:
        return f"list of {_describe(arguments[0])}"
    if origin is dict:
        return f"table of {_describe(arguments[1])}"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "{ " + ", ".join(annotation.model_fields) + " }"
    limits = {bound: getattr(limit, bound) for limit in metadata for bound in _BOUNDS if hasattr(limit, bound)}
    if limits.keys() == {"ge", "le"}:
        return f"{_TYPE_NAMES[annotation]} from {limits['ge']:g} to {limits['le']:g}"
    return " ".join([_TYPE_NAMES[annotation], *(f"{_BOUNDS[bound]} {limit:g}" for bound, limit in limits.items())])


def _constraints(metadata: tuple[Any, ...]) -> list[Any]:
    """The constraints in the metadata of an annotated type; `Field(ge=1)` holds them inside."""
    return [limit for entry in metadata for limit in (entry.metadata if isinstance(entry, FieldInfo) else [entry])]


def _default_of(field: FieldInfo) -> str:
    if field.is_required():
        return REQUIRED
    if field.default is None:
        return NOT_SET
    return _as_toml(field.default)


def _as_toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_as_toml(item)}" for key, item in value.items()) + " }" if value else "{}"
    return json.dumps(value, ensure_ascii=False)
