"""What scoring and publishing are made from, besides the night's tables."""

from collections.abc import Iterable

from artrec_core.config import Recipe
from artrec_core.errors import ArtrecError
from artrec_core.lake import digest_of
from jobs.step import Night


def check_one_run(night: Night, tables: Iterable[str], writer: str) -> None:
    """Raises `ArtrecError` where tables of the night are of several runs of their step, one of which was killed halfway.

    Their rows cannot tell: in a registry that was made anew, another model is version 1 too.
    """
    if len({night.lake.manifest(table, night.day).fingerprint for table in tables}) > 1:
        raise ArtrecError(
            f"the tables of {night.day} come from several runs of {writer}; run `artrec {writer} --date {night.day}` again"
        )


def block_digests(recipe: Recipe) -> dict[str, str]:
    """The files of block lists, each with a digest of what it says today."""
    from artrec_core.recs.strategies.filters import read_block_files

    blocks = [recipe.score.block, *(strategy.block for strategy in recipe.strategies)]
    return {f"block:{file}": digest_of(raw.hex()) for file, raw in read_block_files(blocks).items()}
