"""Segments, seeds and differences of an evaluation, with values worked out by hand."""

from math import log2

import numpy as np
import pytest

from artrec_core.evaluation.report import (
    UserMetrics,
    difference,
    ground_truth,
    measure_lists,
    summary,
    users_per_segment,
)
from tests.artrec_core.model.worlds import history
from tests.artrec_core.recs.evaluation_worlds import ARTWORK_COUNT, task_of, tribes

VECTORS = np.eye(ARTWORK_COUNT, 4, dtype=np.float32) + 1


def small_truth(hidden: list[str] | None = None):
    """Ann has twelve events before the test, Ben two; Ben's test artwork is in no history."""
    rows = [("p00", f"w{row:02d}", "like", row, True) for row in range(13)]
    rows += [("p01", artwork, "like", minute, True) for minute, artwork in enumerate(["w01", "w02", "w20"])]
    task, held_out = task_of(history(rows), hidden=hidden)
    return ground_truth(task, held_out, VECTORS)


def lists(*first: int) -> np.ndarray:
    """A list of twenty artworks for each of these first artworks."""
    return np.array(
        [[artwork, *(row for row in range(ARTWORK_COUNT) if row != artwork)][:20] for artwork in first], np.int32
    )


def test_accuracy_is_measured_by_segment():
    truth = small_truth()
    assert truth.targets.tolist() == [12, 20]
    assert users_per_segment(truth) == {"everyone": 2, "people_with_few_events": 1, "unseen_artworks": 2}
    accuracy = measure_lists(truth, lists(12, 0)).accuracy  # Ann's target is first; Ben's w20 is not among the twenty
    assert accuracy["everyone"]["ndcg@10"] == 0.5
    assert accuracy["people_with_few_events"]["hr@20"] == 0
    assert accuracy["unseen_artworks"]["mrr@5"] == 0.5


def test_hidden_artworks_are_a_segment():
    truth = small_truth(hidden=["w01", "w02", "w03", "w20"])
    accuracy = measure_lists(truth, lists(12, 20), lists(3, 2)).accuracy
    assert users_per_segment(truth)["hidden_artworks"] == 1
    assert accuracy["hidden_artworks"]["hr@5"] == 1
    # Hidden were w01, w02 and w03 for Ann, w01 and w02 for Ben; the lists are 3, 0, 1, 2, … and 2, 0, 1, ….
    assert users_per_segment(truth)["hidden_events"] == 2
    assert accuracy["hidden_events"]["recall@5"] == 1
    assert accuracy["hidden_events"]["precision@5"] == pytest.approx((3 / 5 + 2 / 5) / 2)
    gains = [1 / log2(rank + 1) for rank in range(1, 6)]
    ndcg = [(gains[0] + gains[2] + gains[3]) / sum(gains[:3]), (gains[0] + gains[2]) / sum(gains[:2])]
    assert accuracy["hidden_events"]["ndcg@5"] == pytest.approx(sum(ndcg) / 2, abs=1e-6)


def test_hidden_artworks_are_ranked_among_themselves_for_users_tested_with_one():
    truth = small_truth(hidden=["w01", "w02", "w03", "w20"])
    hidden_lists = np.full((2, 20), -1, np.int32)
    hidden_lists[:, :2] = [3, 2], [3, 20]
    metrics = measure_lists(truth, lists(12, 0), lists(3, 2), hidden_lists)
    # Only Ben is tested with a hidden artwork, and it is second in his list.
    assert users_per_segment(truth)["among_hidden_artworks"] == 1
    assert metrics.accuracy["among_hidden_artworks"]["ndcg@5"] == pytest.approx(1 / log2(3), abs=1e-6)
    assert metrics.per_user["among_hidden_artworks"]["hr@10"].tolist() == [1]
    assert metrics.per_user["hidden_artworks"]["hr@10"].tolist() == [0]


def test_metrics_without_targets_read_the_first_ten():
    beyond = measure_lists(small_truth(), lists(12, 12)).beyond["everyone"]
    assert beyond["coverage@10"] == round(10 / ARTWORK_COUNT, 6)
    # Of sixteen users, none knows w12: log2(17 / 1). Two know w01 and w02: log2(17 / 3). One knows the other seven: log2(17 / 2).
    novelty = (log2(17) + 2 * log2(17 / 3) + 7 * log2(17 / 2)) / 10
    assert beyond["novelty@10"] == pytest.approx(novelty, abs=1e-6)


def test_metrics_without_targets_are_measured_by_segment():
    beyond = measure_lists(small_truth(), lists(12, 20)).beyond
    assert beyond["everyone"]["coverage@10"] == round(11 / ARTWORK_COUNT, 6)
    assert beyond["people_with_few_events"]["coverage@10"] == round(10 / ARTWORK_COUNT, 6)


def metrics_of(*values: float) -> UserMetrics:
    per_user = {"hr@10": np.array(values), "ndcg@10": np.array(values)}
    accuracy, beyond = {"ndcg@10": float(np.mean(values))}, {"coverage@10": values[0]}
    return UserMetrics({"everyone": accuracy}, {"everyone": beyond}, {"everyone": per_user})


def test_seeds_are_averaged_with_their_spread():
    figures = summary([metrics_of(0.0, 0.2), metrics_of(0.2, 0.4)])
    assert figures["accuracy"]["everyone"]["ndcg@10"] == 0.2
    assert figures["beyond"]["everyone"]["coverage@10"] == 0.1
    assert figures["sd"]["everyone"]["ndcg@10"] == pytest.approx(0.2 / 2**0.5, abs=1e-6)
    assert figures["interval"]["everyone"]["ndcg@10"] == {
        "mean": 0.2,
        "low": 0.1,
        "high": 0.3,
    }  # the users' means are 0.1 and 0.3
    assert "sd" not in summary([metrics_of(0.0, 0.2)])


def test_a_difference_is_paired_by_user():
    # Each user gains the same, so the interval has no width although users differ.
    differences = difference([metrics_of(0.5, 1.0)], [metrics_of(0.4, 0.9)])
    assert differences["everyone"]["ndcg@10"] == {"mean": 0.1, "low": 0.1, "high": 0.1}


def test_every_user_of_the_test_is_in_the_ground_truth():
    task, held_out = task_of(tribes())
    assert len(ground_truth(task, held_out, VECTORS).targets) == held_out.test.height == 16
