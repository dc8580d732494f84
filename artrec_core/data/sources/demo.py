"""The demo world: well-known artworks as facts, shipped with the package."""

from collections.abc import Iterator
from importlib import resources
from typing import Any

from artrec_core.data.names import creator, known
from artrec_core.data.text import Record, distinct, list_at, objects_at, text_at, whole_at

LICENCE = "facts"

_TEXTS = (
    "title",
    "title_original",
    "date_text",
    "classification",
    "medium",
    "movement",
    "culture",
    "description",
    "museum",
)


def lines() -> Iterator[bytes]:
    """The raw lines of the package's data files, in the order of their names."""
    files = resources.files("artrec_core.data.demo").iterdir()
    for file in sorted(files, key=lambda file: file.name):
        if file.name.startswith("artworks_") and file.name.endswith(".jsonl"):
            yield from file.read_bytes().splitlines()


def artwork(record: Record) -> dict[str, Any]:
    """One record of the demo world as our columns. Raises `ValueError` where a field holds the wrong kind of value."""
    makers = [
        creator(
            text_at(one, "name"),
            role=text_at(one, "role"),
            nationality=text_at(one, "nationality"),
            gender=text_at(one, "gender"),
            born=whole_at(one, "born"),
            died=whole_at(one, "died"),
        )
        for one in objects_at(record, "creators")
    ]
    return {
        **{key: text_at(record, key) for key in _TEXTS},
        "artwork_id": text_at(record, "id"),
        "creators": known(makers),
        "year_from": whole_at(record, "year_from"),
        "year_to": whole_at(record, "year_to"),
        "subjects": distinct(text_at({"subjects": one}, "subjects") for one in list_at(record, "subjects")),
        "licence": LICENCE,
    }
