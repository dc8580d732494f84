"""A challenger and the champion on the same frozen split of a night, and what the gate says of them.

Imported where it is needed: polars and torch are heavy.
"""

import numpy as np
import polars as pl

from artrec_core.columns import ARTWORK_ID, CONTENT_HASH, USER_ID, VECTOR
from artrec_core.errors import ArtrecError
from artrec_core.evaluation.gate import Criterion, Decision, decide
from artrec_core.evaluation.holdout import HeldOutResult, HeldOutSplit, faulty_result, measure_vectors
from artrec_core.model.embeddings import item_vectors, user_vectors
from artrec_core.model.registry import Registry, Version
from artrec_core.model.training_split import TrainingSplit, read_training_split, training_pairs
from artrec_core.model.two_tower import TwoTower
from artrec_core.recs.inputs.arrays import vectors_of
from jobs.embedding.documents import encode_documents
from jobs.step import Night
from jobs.training.tags import HOLDOUT, REFIT


def compared(night: Night, registry: Registry, challenger: Version) -> Decision:
    """The gate's decision about a version of this night, against the champion of this moment if there is another."""
    split = read_training_split(night.lake, night.day, holdout=night.recipe.train.holdout)
    frozen = HeldOutSplit.from_histories(
        split.before_test, len(split.artwork_ids), split.test_users, split.test_artworks
    )
    champion, before, doubts, fair = registry.champion(), None, [], None
    if champion is not None:
        before = read(night, registry, champion, split, frozen)
        if before.fault is not None:
            says = f"it cannot be compared with version {champion.name}: {before.fault}"
            before, doubts = None, [Criterion("champion", False, says, doubt=True)]
        else:
            fair = not_trained_on(night, champion, split)
    back = registry.was_rolled_back(challenger.name)
    if back is not None:
        doubts.append(Criterion("history", False, f"it was rolled back at {back.at} ({back.why})", doubt=True))
    # The challenger comes second: what the lake keeps of its texts is then there for the night that it serves.
    own = read(night, registry, challenger, split, frozen)
    held_out = night.recipe.train.holdout
    return decide(night.recipe.gate, frozen, own, before, held_out=held_out, fair=fair, doubts=doubts)


def read(
    night: Night, registry: Registry, version: Version, split: TrainingSplit, frozen: HeldOutSplit
) -> HeldOutResult:
    """What a version makes of the split; a version that cannot be loaded is broken."""
    try:
        tower = TwoTower.load(registry.fetch(version))
    except ArtrecError as error:
        return faulty_result(str(error), frozen)
    parts, *_ = encode_documents(night, tower, tower.text_tower_digest, split.catalogue)
    table = night.lake.read_parts("text_vectors", night.day, [part for some in parts.values() for part in some])
    text, _ = vectors_of(split.catalogue[CONTENT_HASH], table.select(CONTENT_HASH, VECTOR), CONTENT_HASH)
    works = item_vectors(tower, split.artwork_ids, text)
    users = user_vectors(tower, split.people, split.held_out.before_test, split.artwork_ids, works)
    return measure_vectors(users, works, frozen)


def not_trained_on(
    night: Night, version: Version, split: TrainingSplit
) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
    """Which of the people tested a version was not trained on the held-out work of, (n,).

    It follows from the tables of the version's own night. Where they are gone, a version of an earlier night that held works out saw
    none of them (what is tested now was held out then, or came later), and of any other nothing is sure.
    """
    test, day = split.held_out.test, version.tags["run_date"]
    holdout = version.tags.get(HOLDOUT, "true") == "true"
    if any(night.lake.find_manifest(table, day) is None for table in ("catalogue", "histories")):
        return np.full(test.height, holdout and day <= night.day)
    shown = training_pairs(
        night.lake.read("histories", day),
        night.lake.read("catalogue", day),
        holdout=holdout,
        refit=version.tags.get(REFIT, "true") == "true",
    )
    marked = shown.unique().with_columns(pl.lit(True).alias("shown"))
    found = test.join(marked, on=[USER_ID, ARTWORK_ID], how="left", maintain_order="left")
    return found["shown"].is_null().to_numpy()
