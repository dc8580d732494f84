"""The gate's decision about a challenger: it and the champion are measured on the same held-out split of a night."""

import numpy as np
import polars as pl

from artrec_core.arrays import BoolArray
from artrec_core.columns import ARTWORK_ID, CONTENT_HASH, USER_ID, VECTOR
from artrec_core.errors import ArtrecError
from artrec_core.evaluation.baselines import choose_settings, fit_baseline
from artrec_core.evaluation.gate import Criterion, Decision, decide
from artrec_core.evaluation.holdout import HeldOutResult, HeldOutSplit, faulty_result, measure_vectors
from artrec_core.evaluation.task import EvaluationTask
from artrec_core.model.embeddings import item_vectors, user_vectors
from artrec_core.model.registry import Registry, Version
from artrec_core.model.training_split import TrainingSplit, read_training_split, training_pairs
from artrec_core.model.two_tower import TwoTower
from artrec_core.recs.inputs.arrays import vectors_of
from jobs.embedding.documents import encode_documents
from jobs.step import Night
from jobs.training.tags import HOLDOUT, REFIT


def compare_versions(night: Night, registry: Registry, challenger: Version) -> Decision:
    """The gate's decision about a version of this night, compared with the present champion if that is another version."""
    split = read_training_split(night.lake, night.day, holdout=night.recipe.train.holdout)
    held_out_split = _held_out_split(split)
    champion, champion_result, doubts, fair = registry.champion(), None, [], None
    if champion is not None:
        champion_result = measure_version(night, registry, champion, split, held_out_split)
        if champion_result.fault is not None:
            says = f"it cannot be compared with version {champion.name}: {champion_result.fault}"
            champion_result, doubts = None, [Criterion("champion", False, says, doubt=True)]
        else:
            fair = not_trained_on(night, champion, split)
    rollback = registry.latest_rollback(challenger.name)
    if rollback is not None:
        says = f"it was rolled back at {rollback.at} ({rollback.why})"
        doubts.append(Criterion("history", False, says, doubt=True))
    # The challenger comes second, so that the text vectors that it leaves in the lake are there if it serves the night.
    challenger_result = measure_version(night, registry, challenger, split, held_out_split)
    return decide(
        night.recipe.gate,
        held_out_split,
        challenger_result,
        champion_result,
        held_out=night.recipe.train.holdout,
        fair=fair,
        doubts=doubts,
    )


def _held_out_split(split: TrainingSplit) -> HeldOutSplit:
    """The split that the gate measures on, with the same popularity baseline as the report page's."""
    task = EvaluationTask.from_split(split)
    popularity = fit_baseline("popularity", choose_settings("popularity", task).settings, task)
    return HeldOutSplit.from_histories(
        task.before_test_sequences, len(task.artwork_ids), task.test_user_rows, split.test_artworks, popularity
    )


def measure_version(
    night: Night, registry: Registry, version: Version, split: TrainingSplit, held_out_split: HeldOutSplit
) -> HeldOutResult:
    """Measure a version on the held-out split; a version that cannot be loaded is faulty."""
    try:
        tower = TwoTower.load(registry.fetch(version))
    except ArtrecError as error:
        return faulty_result(str(error), held_out_split)
    parts_by_shard, *_ = encode_documents(night, tower, tower.text_tower_digest, split.catalogue)
    parts = [part for shard_parts in parts_by_shard.values() for part in shard_parts]
    table = night.lake.read_parts("text_vectors", night.day, parts)
    text, _ = vectors_of(split.catalogue[CONTENT_HASH], table.select(CONTENT_HASH, VECTOR), CONTENT_HASH)
    artworks = item_vectors(tower, split.artwork_ids, text)
    users = user_vectors(tower, split.people, split.held_out.before_test, split.artwork_ids, artworks)
    return measure_vectors(users, artworks, held_out_split)


def not_trained_on(night: Night, version: Version, split: TrainingSplit) -> BoolArray:
    """Whether a version was not trained on the held-out artwork of each test user, (n,).

    The answer follows from the tables of the version's own night. If they are gone, a version of an earlier night that
    was trained with a holdout was trained on none of these artworks: each was held out then, or came later. Nothing is
    known of any other version, so it counts as trained on all of them.
    """
    test, day = split.held_out.test, version.tags["run_date"]
    holdout = version.tags.get(HOLDOUT, "true") == "true"
    if any(night.lake.find_manifest(table, day) is None for table in ("catalogue", "histories")):
        return np.full(test.height, holdout and day <= night.day)
    pairs = training_pairs(
        night.lake.read("histories", day),
        night.lake.read("catalogue", day),
        holdout=holdout,
        refit=version.tags.get(REFIT, "true") == "true",
    )
    trained_pairs = pairs.unique().with_columns(pl.lit(True).alias("trained"))
    tests = test.join(trained_pairs, on=[USER_ID, ARTWORK_ID], how="left", maintain_order="left")
    return tests["trained"].is_null().to_numpy()
