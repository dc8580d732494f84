"""Peers at their best, chosen by the validation works and nothing else."""

import numpy as np
import pytest

from artrec_core.evaluation import baselines as peers
from artrec_core.evaluation.baselines import LEARN_FROM, PEERS, Choice, Peer, chosen, fitted, interactions
from artrec_core.recs.interaction_models import Ease
from tests.artrec_core.model.worlds import history
from tests.artrec_core.recs.evaluation_worlds import question_of, tribes, with_other_tests


@pytest.mark.parametrize("name", sorted(PEERS))
def test_settings_and_scores_are_the_same_whatever_the_test_works(name: str):
    (question, _), (again, _) = (question_of(histories) for histories in (tribes(), with_other_tests(tribes())))
    found, same = chosen(name, question), chosen(name, again)
    assert found == same
    first, second = (fitted(name, found.settings, one).scores(one.asked_rows) for one in (question, again))
    np.testing.assert_array_equal(first, second)


class Signed(Ease):
    """EASE, or its opposite."""

    def __init__(self, sign: int) -> None:
        super().__init__(1.0)
        self.sign = sign

    def scores(self, people: np.ndarray) -> np.ndarray:
        return self.sign * super().scores(people)


def test_the_settings_that_validate_best_are_taken(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(peers.PEERS, "ease", Peer(Signed, {"sign": (-1, 1)}))
    choice = chosen("ease", question_of(tribes())[0])
    assert choice.settings == {LEARN_FROM: "positive", "sign": 1}
    assert [one["sign"] for one in choice.tried] == [-1, 1]
    assert choice.validation == pytest.approx(choice.tried[1]["ndcg@10"], abs=1e-6)


def test_a_draw_goes_to_what_was_tried_first():
    choice = Choice()
    choice.judge({"alpha": 1}, 0.5)
    choice.judge({"alpha": 2}, 0.5)
    assert choice.settings == {"alpha": 1}


def test_a_peer_learns_from_what_was_met_or_from_what_was_liked():
    rows = [(user, work, kind, minute, kind == "like") for minute, (user, work, kind) in enumerate(
        [("p00", "w00", "like"), ("p00", "w01", "view"), ("p00", "w00", "like"), ("p01", "w02", "view")]
    )]  # fmt: skip
    question, _ = question_of(history(rows))
    told = question.told(question.before_test)
    assert np.argwhere(interactions(told, 24, "positive").toarray()).tolist() == [[0, 0]]
    met = interactions(told, 24, "seen")
    assert np.argwhere(met.toarray()).tolist() == [[0, 0], [0, 1], [1, 2]]
    assert met.max() == 1


def test_with_nobody_to_validate_the_defaults_stand():
    question, _ = question_of(history([("p00", "w00", "like", 1, True)]))
    assert chosen("ease", question).settings == {LEARN_FROM: "positive", "regularization": 500.0}
