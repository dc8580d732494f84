"""What models are told: all but the test."""

from pathlib import Path

import numpy as np

from artrec_core.evaluation.task import Question
from tests.artrec_core.recs.evaluation_worlds import question_of, tribes, with_other_tests


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_other_test_works_make_the_very_same_question(tmp_path: Path):
    (question, held_out), (again, other) = (
        question_of(histories) for histories in (tribes(), with_other_tests(tribes()))
    )
    assert (held_out.test["artwork_id"] != other.test["artwork_id"]).all()
    question.save(tmp_path / "question")
    again.save(tmp_path / "again")
    assert files(tmp_path / "question") == files(tmp_path / "again")
    assert len(files(tmp_path / "question")) > 5


def test_a_question_comes_back_as_saved(tmp_path: Path):
    question, _ = question_of(tribes(), hidden=["w03"], vectors=True)
    question.save(tmp_path)
    loaded = Question.load(tmp_path)
    assert loaded.before_test.equals(question.before_test)
    assert (loaded.hidden, loaded.queries) == (["w03"], question.queries)
    np.testing.assert_array_equal(loaded.text_vectors, question.text_vectors)


def test_hidden_works_are_in_no_history_but_left_out_of_the_lists_of_whom_they_are_known_to():
    question, held_out = question_of(tribes(), hidden=["w03", "w04"])
    for frame in (question.train, question.validation, question.before_test):
        assert frame.height > 0
        assert not frame["artwork_id"].is_in(["w03", "w04"]).any()
    met = held_out.before_test.filter(artwork_id="w03")["user_id"].to_list()
    assert met
    known, told = (question.met(hidden=which).toarray()[:, 3] > 0 for which in (True, False))
    assert question.asked["user_id"].filter(known).to_list() == met
    assert not told.any()
