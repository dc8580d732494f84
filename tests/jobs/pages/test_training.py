"""The note of training as plots and measures."""

import math

from jobs.pages.training import curves_of, measures_of, metric_words, running_mean


def test_metrics_are_ranked_and_say_what_they_are() -> None:
    (measure,) = measures_of({"als": {"hr@10": 0.1}, "model": {"hr@10": 0.3}, "oracle": {"hr@10": 0.5}})
    assert measure.name == "Hit rate at 10"
    assert [(one.name, one.value, one.ours, one.ceiling) for one in measure.values] == [
        ("ceiling: the true tastes", 0.5, False, True),
        ("artrec's model", 0.3, True, False),
        ("ALS", 0.1, False, False),
    ]
    assert measure.top == 0.5


def test_a_figure_that_is_none_is_left_out() -> None:
    assert list(measures_of({"model": {"hr@10": math.nan, "note": "text"}, "als": {"ndcg@10": None}})) == []


def test_an_unknown_metric_goes_by_its_name() -> None:
    assert metric_words("novelty@5") == ("novelty@5", "")


def test_a_curve_a_phase_and_figure() -> None:
    lines = [{"phase": "text", "engine": "zero2", "steps": 2}, {"phase": "text", "step": 1, "loss": 2.0}]
    lines += [{"phase": "user", "epoch": n, "loss": 3.0 - n, "validation": 0.1 * n} for n in (1, 2)]
    titles = [curve.title for curve in curves_of(lines)]
    assert titles == [
        "Language model: how training went",
        "User tower: how training went",
        "User tower: people held out",
    ]


def test_running_mean_keeps_the_ends() -> None:
    assert running_mean([(1, 0), (2, 3), (3, 6)]) == [(1, 1.5), (2, 3), (3, 4.5)]
