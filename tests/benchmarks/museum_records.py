"""Real records of museums for the benchmarks of the text tower."""

import argparse
import os
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from artrec_core.columns import DOCUMENT, LINE, RAW, RECORD, SOURCE, conform
from artrec_core.config import Source
from artrec_core.data.documents import with_documents
from artrec_core.data.sources import read_lines, to_artworks
from tests.benchmarks.readme_tables import BenchmarkParser

MUSEUMS = ("tate", "carnegie", "walters")
DAY = "2026-03-30"
MAX_LINES, MAX_WORDS = 20_000, 60


def museum_artworks(data: Path) -> Iterator[pl.DataFrame]:
    """The artworks of each museum with their documents; no document appears twice in a museum."""
    for museum in MUSEUMS:
        path = str(data / "museums" / f"{museum}.jsonl.gz")
        source = Source(name=museum, kind=museum, path=path, limit=MAX_LINES)  # type: ignore[arg-type]
        lines = list(read_lines(source, DAY))
        raw = conform(pl.DataFrame({SOURCE: museum, LINE: range(len(lines)), RECORD: lines}), RAW)
        yield with_documents(to_artworks(source, raw).rows, MAX_WORDS).unique(DOCUMENT, maintain_order=True)


class MuseumParser(BenchmarkParser):
    """A benchmark's parser that also takes the folder of the data."""

    def __init__(self, description: str | None, *tables: str) -> None:
        super().__init__(description, *tables)
        self.add_argument(
            "--data",
            type=Path,
            default=os.environ.get("ARTREC_DATA"),
            help="the folder that contains museums/ (default: ARTREC_DATA)",
        )

    def parse_options(self) -> argparse.Namespace:
        """The options; ends with the usage if the folder is not given."""
        options = super().parse_options()
        if options.data is None:
            self.error("give the folder that contains museums/ with --data or ARTREC_DATA")
        return options
