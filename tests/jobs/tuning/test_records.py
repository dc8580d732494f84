"""The files of trials: read back as they were, and ranked."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from jobs.tuning.records import TRIALS, Trial, find_finished, rank_trials, trials_in
from tests.jobs.tuning.searches import finished_trial


def test_trials_are_ranked_by_figure_then_by_number_and_failures_come_last(tmp_path: Path):
    failed = Trial(number=0, values={}, ended="failed", why="diverged")
    trials = [
        failed,
        finished_trial(1, [0.2], a=1),
        finished_trial(2, [0.3], a=2),
        finished_trial(3, [0.3], a=3),
        Trial(number=4, values={"a": 4}),
    ]
    for trial in trials:
        trial.save(tmp_path)
    assert [trial.number for trial in rank_trials(trials_in(tmp_path))] == [2, 3, 1, 0]


def test_only_a_trial_that_is_over_is_found_for_a_point(tmp_path: Path):
    trials = [finished_trial(0, [0.2], a=3), finished_trial(1, [0.4], a=3), Trial(number=2, values={"a": 4})]
    for trial in trials:
        trial.save(tmp_path)
    assert find_finished(tmp_path, {"a": 3}) == trials[0]
    assert find_finished(tmp_path, {"a": 4}) is None


def test_trials_are_read_back_as_they_were_in_the_order_of_their_numbers(tmp_path: Path):
    assert trials_in(tmp_path) == []
    trials = [finished_trial(number, [0.1, 0.3], rate=0.01, name="x", on=True) for number in (11, 2, 100)]
    for trial in trials:
        trial.save(tmp_path)
    assert trials_in(tmp_path) == [trials[1], trials[0], trials[2]]


def test_a_file_with_a_key_that_trials_do_not_have_is_an_error(tmp_path: Path):
    finished_trial(0, [0.1]).save(tmp_path)
    file = tmp_path / TRIALS / "0000.json"
    file.write_text(file.read_text().replace('"figure": 0.1,', '"figure": 0.1, "score": 1,', 1))
    with pytest.raises(ValidationError, match="score"):
        trials_in(tmp_path)
