"""Real records of museums for benchmarks, and where they lie."""

import argparse
import os
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from artrec_core.columns import DOCUMENT, LINE, RAW, RECORD, SOURCE, conform
from artrec_core.config import Source
from artrec_core.data.documents import with_documents
from artrec_core.data.sources import read_lines, to_artworks

MUSEUMS = ("tate", "carnegie", "walters")
DAY = "2026-03-30"
MOST_LINES, MOST_WORDS = 20_000, 60


def museum_works(data: Path) -> Iterator[pl.DataFrame]:
    """The artworks of each museum with their documents, no document twice."""
    for museum in MUSEUMS:
        path = str(data / "museums" / f"{museum}.jsonl.gz")
        source = Source(name=museum, kind=museum, path=path, limit=MOST_LINES)  # type: ignore[arg-type]
        lines = list(read_lines(source, DAY))
        raw = conform(pl.DataFrame({SOURCE: museum, LINE: range(len(lines)), RECORD: lines}), RAW)
        yield with_documents(to_artworks(source, raw).rows, MOST_WORDS).unique(DOCUMENT, maintain_order=True)


class Data(argparse.ArgumentParser):
    """A parser that also asks where the data lie, for a benchmark of that docstring."""

    def __init__(self, description: str | None) -> None:
        super().__init__(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
        self.add_argument(
            "--data",
            type=Path,
            default=os.environ.get("ARTREC_DATA"),
            help="the folder that holds museums/ (or ARTREC_DATA)",
        )

    def parsed(self) -> argparse.Namespace:
        """The arguments; ends with usage where nobody said where the data lie."""
        found = self.parse_args()
        if found.data is None:
            self.error("say with --data or ARTREC_DATA where museums/ is")
        return found
