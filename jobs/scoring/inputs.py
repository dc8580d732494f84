"""Checks and digests of inputs that `score` and `publish` share."""

from collections.abc import Iterable

from artrec_core.config import Recipe
from artrec_core.errors import ArtrecError
from artrec_core.lake import digest_of
from jobs.step import Night


def check_one_run(night: Night, tables: Iterable[str], writer: str) -> None:
    """Check that one run of the step `writer` made all these tables of the night.

    A run that was killed halfway leaves tables of two runs. Their rows do not show it: after a registry was created
    anew, version 1 can be another model.

    Raises
    ------
    ArtrecError
        If the tables come from several runs.
    """
    if len({night.lake.manifest(table, night.day).fingerprint for table in tables}) > 1:
        raise ArtrecError(
            f"the tables of {night.day} come from several runs of {writer}; run `artrec {writer} --date {night.day}` again"
        )


def block_digests(recipe: Recipe) -> dict[str, str]:
    """A digest of the content of each block-list file, by `block:<file>`."""
    from artrec_core.recs.strategies.filters import read_block_files

    blocks = [recipe.score.block, *(strategy.block for strategy in recipe.strategies)]
    return {f"block:{file}": digest_of(raw.hex()) for file, raw in read_block_files(blocks).items()}
