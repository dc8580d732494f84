"""Tables made shard by shard. Each shard is a writer of its own, so that a killed run resumes at the missing shards."""

from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias

from artrec_core.lake import Lake, WriterManifest
from jobs.step import Night

if TYPE_CHECKING:
    from artrec_core.recs.tables.scored_tables import ScoredTables, TablePiece


class Shard(NamedTuple):
    """Users or artworks `begin` to `end` (exclusive) of a table, and the name of the shard's writer in the lake."""

    begin: int
    end: int
    writer: str


ShardManifests: TypeAlias = Iterator[tuple[Shard, WriterManifest]]


class ShardMaker(Protocol):
    """Makes shards of a table, writes them to the lake and commits them."""

    def make(self, table: str, size: int, shards: list[Shard]) -> ShardManifests:
        """Yield each shard with its manifest, in any order. A shard has `size` users or artworks, the last may have fewer."""


def cut_shards(total: int, size: int) -> list[Shard]:
    """Cut `total` users or artworks into shards of `size`. The last shard may be smaller."""
    bounds = pairwise([*range(0, total, size), total])
    return [Shard(begin, end, f"shard-{number:06d}") for number, (begin, end) in enumerate(bounds)]


def commit_shard(
    lake: Lake, day: str, fingerprint: str, table: str, shard: Shard, piece: "TablePiece"
) -> WriterManifest:
    """Write a shard's rows and commit them. The manifest's figures count relaxed constraints by strategy."""
    part = lake.write_part(table, day, piece.rows)
    return lake.commit_writer(table, day, shard.writer, [part], fingerprint, piece.relaxed_counts)


class LocalShardMaker:
    """Makes one shard after the other, in this process."""

    def __init__(self, night: Night, scored_tables: "ScoredTables") -> None:
        self.night, self.scored_tables = night, scored_tables

    def make(self, table: str, size: int, shards: list[Shard]) -> ShardManifests:
        """Yield each shard with its manifest, in the order given."""
        night = self.night
        for shard in shards:
            piece = self.scored_tables.piece(table, shard.begin, shard.end)
            yield shard, commit_shard(night.lake, night.day, night.fingerprint, table, shard, piece)
