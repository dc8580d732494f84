"""Baselines are tuned on the validation artworks and on nothing else."""

import numpy as np
import pytest

from artrec_core.evaluation import baselines
from artrec_core.evaluation.baselines import (
    BASELINES,
    LEARN_FROM,
    BaselineGrid,
    SettingsSearch,
    choose_settings,
    fit_baseline,
    interaction_matrix,
)
from artrec_core.recs.interaction_models import Ease
from tests.artrec_core.model.worlds import history
from tests.artrec_core.recs.evaluation_worlds import task_of, tribes, with_other_tests


@pytest.mark.parametrize("name", sorted(BASELINES))
def test_settings_and_scores_do_not_depend_on_the_test_artworks(name: str):
    (task, _), (other_task, _) = (task_of(histories) for histories in (tribes(), with_other_tests(tribes())))
    search, other_search = choose_settings(name, task), choose_settings(name, other_task)
    assert search == other_search
    scores, other_scores = (
        fit_baseline(name, search.settings, variant).scores(variant.test_user_rows) for variant in (task, other_task)
    )
    np.testing.assert_array_equal(scores, other_scores)


class Signed(Ease):
    """EASE with its scores multiplied by a sign."""

    def __init__(self, sign: int) -> None:
        super().__init__(1.0)
        self.sign = sign

    def scores(self, users: np.ndarray) -> np.ndarray:
        return self.sign * super().scores(users)


def test_the_settings_with_the_best_validation_metric_are_chosen(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(baselines.BASELINES, "ease", BaselineGrid(Signed, {"sign": (-1, 1)}))
    search = choose_settings("ease", task_of(tribes())[0])
    assert search.settings == {LEARN_FROM: "positive", "sign": 1}
    assert [trial["sign"] for trial in search.trials] == [-1, 1]
    assert search.validation == pytest.approx(search.trials[1]["ndcg@10"], abs=1e-6)


def test_of_equal_metrics_the_earlier_settings_win():
    search = SettingsSearch()
    search.record({"alpha": 1}, 0.5)
    search.record({"alpha": 2}, 0.5)
    assert search.settings == {"alpha": 1}


def test_a_baseline_learns_from_seen_or_from_positive_artworks():
    rows = [(user, artwork, kind, minute, kind == "like") for minute, (user, artwork, kind) in enumerate(
        [("p00", "w00", "like"), ("p00", "w01", "view"), ("p00", "w00", "like"), ("p01", "w02", "view")]
    )]  # fmt: skip
    task, _ = task_of(history(rows))
    histories = task.before_test_sequences
    assert np.argwhere(interaction_matrix(histories, 24, "positive").toarray()).tolist() == [[0, 0]]
    seen = interaction_matrix(histories, 24, "seen")
    assert np.argwhere(seen.toarray()).tolist() == [[0, 0], [0, 1], [1, 2]]
    assert seen.max() == 1


def test_without_validation_users_the_defaults_are_chosen():
    task, _ = task_of(history([("p00", "w00", "like", 1, True)]))
    assert choose_settings("ease", task).settings == {LEARN_FROM: "positive", "regularization": 500.0}
