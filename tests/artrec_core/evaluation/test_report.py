"""Segments, seeds and differences of an evaluation, in numbers small enough to work out by hand."""

from math import log2

import numpy as np
import pytest

from artrec_core.evaluation.report import Card, asked_a_segment, card, difference, exam, summary
from tests.artrec_core.model.worlds import history
from tests.artrec_core.recs.evaluation_worlds import WORKS, question_of, tribes

VECTORS = np.eye(WORKS, 4, dtype=np.float32) + 1


def sitting(hidden: list[str] | None = None):
    """ann has twelve events before the test, ben two; ben's test work is in nobody's history."""
    rows = [("p00", f"w{row:02d}", "like", row, True) for row in range(13)]
    rows += [("p01", work, "like", minute, True) for minute, work in enumerate(["w01", "w02", "w20"])]
    question, held_out = question_of(history(rows), hidden=hidden)
    return exam(question, held_out, VECTORS)


def lists(*first: int) -> np.ndarray:
    """Twenty works a person, the given one first."""
    return np.array([[one, *(row for row in range(WORKS) if row != one)][:20] for one in first], np.int32)


def test_accuracy_is_told_apart_by_segment():
    marked = sitting()
    assert marked.targets.tolist() == [12, 20]
    assert asked_a_segment(marked) == {"everyone": 2, "people_with_few_events": 1, "unseen_artworks": 2}
    found = card(marked, lists(12, 0)).accuracy  # ann's first is right; ben's w20 is beyond the twenty
    assert found["everyone"]["ndcg@10"] == 0.5
    assert found["people_with_few_events"]["hr@20"] == 0
    assert found["unseen_artworks"]["mrr@5"] == 0.5


def test_hidden_works_are_tested_as_such():
    marked = sitting(hidden=["w01", "w02", "w03", "w20"])
    found = card(marked, lists(12, 20), lists(3, 2)).accuracy
    assert asked_a_segment(marked)["hidden_artworks"] == 1
    assert found["hidden_artworks"]["hr@5"] == 1
    # Of ann were hidden w01, w02, w03, of ben w01, w02; the lists are 3, 0, 1, 2, … and 2, 0, 1, ….
    assert asked_a_segment(marked)["hidden_events"] == 2
    assert found["hidden_events"]["recall@5"] == 1
    assert found["hidden_events"]["precision@5"] == pytest.approx((3 / 5 + 2 / 5) / 2)
    gains = [1 / log2(rank + 1) for rank in range(1, 6)]
    ndcg = [(gains[0] + gains[2] + gains[3]) / sum(gains[:3]), (gains[0] + gains[2]) / sum(gains[:2])]
    assert found["hidden_events"]["ndcg@5"] == pytest.approx(sum(ndcg) / 2, abs=1e-6)


def test_hidden_works_are_ranked_among_themselves_for_whom_they_test():
    marked = sitting(hidden=["w01", "w02", "w03", "w20"])
    alone = np.full((2, 20), -1, np.int32)
    alone[:, :2] = [3, 2], [3, 20]
    found = card(marked, lists(12, 0), lists(3, 2), alone)
    # ben alone is tested with one of them, and it is his second.
    assert asked_a_segment(marked)["among_hidden_artworks"] == 1
    assert found.accuracy["among_hidden_artworks"]["ndcg@5"] == pytest.approx(1 / log2(3), abs=1e-6)
    assert found.values["among_hidden_artworks"]["hr@10"].tolist() == [1]
    assert found.values["hidden_artworks"]["hr@10"].tolist() == [0]


def test_what_needs_no_target_is_read_off_the_first_ten():
    beyond = card(sitting(), lists(12, 12)).beyond["everyone"]
    assert beyond["coverage@10"] == round(10 / WORKS, 6)
    # w12 nobody knows: log2(17 / 1); w01 and w02 two of sixteen, the other seven one: log2(17 / 3) and log2(17 / 2).
    novelty = (log2(17) + 2 * log2(17 / 3) + 7 * log2(17 / 2)) / 10
    assert beyond["novelty@10"] == pytest.approx(novelty, abs=1e-6)


def test_what_needs_no_target_is_told_by_segment_too():
    found = card(sitting(), lists(12, 20)).beyond
    assert found["everyone"]["coverage@10"] == round(11 / WORKS, 6)
    assert found["people_with_few_events"]["coverage@10"] == round(10 / WORKS, 6)


def made(*values: float) -> Card:
    each = {"hr@10": np.array(values), "ndcg@10": np.array(values)}
    figures, beyond = {"ndcg@10": float(np.mean(values))}, {"coverage@10": values[0]}
    return Card({"everyone": figures}, {"everyone": beyond}, {"everyone": each})


def test_seeds_are_averaged_with_their_spread():
    told = summary([made(0.0, 0.2), made(0.2, 0.4)])
    assert told["accuracy"]["everyone"]["ndcg@10"] == 0.2
    assert told["beyond"]["everyone"]["coverage@10"] == 0.1
    assert told["sd"]["everyone"]["ndcg@10"] == pytest.approx(0.2 / 2**0.5, abs=1e-6)
    assert told["interval"]["everyone"]["ndcg@10"] == {
        "mean": 0.2,
        "low": 0.1,
        "high": 0.3,
    }  # people who are 0.1 and 0.3 on average
    assert "sd" not in summary([made(0.0, 0.2)])


def test_a_difference_is_paired_by_people():
    # Each person gains the same: however much people differ, there is no doubt about it.
    found = difference([made(0.5, 1.0)], [made(0.4, 0.9)])
    assert found["everyone"]["ndcg@10"] == {"mean": 0.1, "low": 0.1, "high": 0.1}


def test_everyone_with_a_test_is_asked():
    question, held_out = question_of(tribes())
    assert len(exam(question, held_out, VECTORS).targets) == held_out.test.height == 16
