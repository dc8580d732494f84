"""The note of training as plots and metrics."""

import math

from jobs.pages.training import compare_methods, metric_text, running_mean, training_curves


def test_the_best_method_of_a_metric_comes_first() -> None:
    (metric,) = compare_methods({"als": {"hr@10": 0.1}, "model": {"hr@10": 0.3}, "oracle": {"hr@10": 0.5}})
    assert metric.name == "Hit rate at 10"
    assert [(score.name, score.value, score.is_model, score.is_ceiling) for score in metric.scores] == [
        ("ceiling: the true tastes", 0.5, False, True),
        ("artrec's model", 0.3, True, False),
        ("ALS", 0.1, False, False),
    ]
    assert metric.largest == 0.5


def test_a_value_that_is_no_finite_number_is_left_out() -> None:
    assert list(compare_methods({"model": {"hr@10": math.nan, "note": "text"}, "als": {"ndcg@10": None}})) == []


def test_an_unknown_metric_keeps_its_name() -> None:
    assert metric_text("novelty@5") == ("novelty@5", "")


def test_each_phase_and_figure_has_a_curve() -> None:
    lines = [{"phase": "text", "engine": "zero2", "steps": 2}, {"phase": "text", "step": 1, "loss": 2.0}]
    lines += [{"phase": "user", "epoch": n, "loss": 3.0 - n, "validation": 0.1 * n} for n in (1, 2)]
    titles = [curve.title for curve in training_curves(lines)]
    assert titles == [
        "Language model: training loss",
        "User tower: training loss",
        "User tower: held-out visitors",
    ]


def test_running_mean_keeps_the_ends() -> None:
    assert running_mean([(1, 0), (2, 3), (3, 6)]) == [(1, 1.5), (2, 3), (3, 4.5)]
