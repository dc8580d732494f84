"""The demo catalogue: facts about well-known artworks, which are part of the package."""

from collections.abc import Iterator
from importlib import resources
from typing import Any

from artrec_core.data.names import creator, known_creators
from artrec_core.data.text import Record, distinct_values, integer_at, list_at, objects_at, text_at

LICENCE = "facts"

_TEXT_FIELDS = (
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


def raw_lines() -> Iterator[bytes]:
    """The raw lines of the package's data files, in the order of the file names."""
    files = resources.files("artrec_core.data.demo").iterdir()
    for file in sorted(files, key=lambda file: file.name):
        if file.name.startswith("artworks_") and file.name.endswith(".jsonl"):
            yield from file.read_bytes().splitlines()


def artwork(record: Record) -> dict[str, Any]:
    """Map a demo record to the columns of ARTWORK. Raises `ValueError` if a value is of the wrong type."""
    makers = [
        creator(
            text_at(maker, "name"),
            role=text_at(maker, "role"),
            nationality=text_at(maker, "nationality"),
            gender=text_at(maker, "gender"),
            born=integer_at(maker, "born"),
            died=integer_at(maker, "died"),
        )
        for maker in objects_at(record, "creators")
    ]
    return {
        **{field: text_at(record, field) for field in _TEXT_FIELDS},
        "artwork_id": text_at(record, "id"),
        "creators": known_creators(makers),
        "year_from": integer_at(record, "year_from"),
        "year_to": integer_at(record, "year_to"),
        "subjects": distinct_values(
            text_at({"subjects": subject}, "subjects") for subject in list_at(record, "subjects")
        ),
        "licence": LICENCE,
    }
