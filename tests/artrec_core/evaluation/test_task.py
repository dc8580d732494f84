"""A task contains everything but the test artworks."""

from pathlib import Path

import numpy as np

from artrec_core.evaluation.task import EvaluationTask
from tests.artrec_core.recs.evaluation_worlds import task_of, tribes, with_other_tests


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_other_test_artworks_give_the_same_files(tmp_path: Path):
    (task, held_out), (other_task, other_held_out) = (
        task_of(histories) for histories in (tribes(), with_other_tests(tribes()))
    )
    assert (held_out.test["artwork_id"] != other_held_out.test["artwork_id"]).all()
    task.save(tmp_path / "task")
    other_task.save(tmp_path / "other")
    assert files(tmp_path / "task") == files(tmp_path / "other")
    assert len(files(tmp_path / "task")) > 5


def test_a_task_is_loaded_as_it_was_saved(tmp_path: Path):
    task, _ = task_of(tribes(), hidden=["w03"], vectors=True)
    task.save(tmp_path)
    loaded = EvaluationTask.load(tmp_path)
    assert loaded.before_test.equals(task.before_test)
    assert (loaded.hidden_ids, loaded.queries) == (["w03"], task.queries)
    np.testing.assert_array_equal(loaded.text_vectors, task.text_vectors)


def test_hidden_artworks_are_in_no_history_and_excluded_only_for_users_who_had_seen_them():
    task, held_out = task_of(tribes(), hidden=["w03", "w04"])
    for frame in (task.train, task.validation, task.before_test):
        assert frame.height > 0
        assert not frame["artwork_id"].is_in(["w03", "w04"]).any()
    user_ids = held_out.before_test.filter(artwork_id="w03")["user_id"].to_list()
    assert user_ids
    excluded, excluded_without_hidden = (
        task.excluded_pairs(with_hidden=with_hidden).toarray()[:, 3] > 0 for with_hidden in (True, False)
    )
    assert task.test_users["user_id"].filter(excluded).to_list() == user_ids
    assert not excluded_without_hidden.any()
