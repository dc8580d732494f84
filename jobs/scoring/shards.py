"""Tables made shard by shard, each shard its own writer, so that a killed night resumes at the missing ones."""

from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias

from artrec_core.lake import Lake, WriterManifest
from jobs.step import Night

if TYPE_CHECKING:
    from artrec_core.recs.tables.scored_tables import ScoredTables, TablePiece


class Shard(NamedTuple):
    """Rows begin..end of a table's people or works."""

    begin: int
    end: int
    writer: str


Made: TypeAlias = Iterator[tuple[Shard, WriterManifest]]


class Maker(Protocol):
    """Makes shards of a table, writes them to the lake and commits them."""

    def make(self, table: str, size: int, shards: list[Shard]) -> Made:
        """Shards of `size` people or works (the last may have fewer), in whatever order they are done."""


def cut(total: int, size: int) -> list[Shard]:
    """All shards of so many people or works."""
    ends = pairwise([*range(0, total, size), total])
    return [Shard(begin, end, f"shard-{number:06d}") for number, (begin, end) in enumerate(ends)]


def committed(lake: Lake, day: str, fingerprint: str, table: str, shard: Shard, piece: "TablePiece") -> WriterManifest:
    """Write a shard's rows and commit them."""
    part = lake.write_part(table, day, piece.rows)
    return lake.commit_writer(table, day, shard.writer, [part], fingerprint, piece.relaxed_counts)


class InProcess:
    """Makes one shard after the other, here."""

    def __init__(self, night: Night, scored: "ScoredTables") -> None:
        self.night, self.scored = night, scored

    def make(self, table: str, size: int, shards: list[Shard]) -> Made:
        """Shards in their order."""
        night = self.night
        for shard in shards:
            piece = self.scored.piece(table, shard.begin, shard.end)
            yield shard, committed(night.lake, night.day, night.fingerprint, table, shard, piece)
