from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from artrec_core.model import training_data
from artrec_core.model.sequences import NO_WORK
from artrec_core.model.training_data import TrainingData, asked_texts
from tests.artrec_core.model.worlds import PEOPLE, small_data


def test_texts_are_documents_interests_and_what_works_are_asked_for_by():
    data = small_data()
    assert data.texts == [*data.documents, "blue boat", *asked_texts(data.queries, data.interests)]
    texts, works = data.asked
    assert [(data.texts[text], work) for text, work in zip(texts, works, strict=True)] == data.queries


def test_of_many_texts_some_are_asked_and_of_fewer_queries_the_same_ones(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(training_data, "MOST_ASKED", 5)
    queries = [(f"text {number // 2}", number) for number in range(40)]
    some = asked_texts(queries, ["boats"])
    assert len(set(some)) == 5
    assert asked_texts(queries[::-1], ["horses"]) == some
    kept = [pair for pair in queries if pair[0] in some]
    assert asked_texts(kept, ["boats"]) == some
    data = replace(small_data(), queries=queries)
    texts, works = data.asked
    assert {data.texts[text] for text in texts} == set(some)
    assert len(works) == len(kept) == 10


def test_where_nobody_stated_interests_none_are_taught():
    data = replace(small_data(), interests=[], interest_of=np.full(PEOPLE + 1, NO_WORK))
    assert data.texts == data.documents
    assert [len(one) for one in data.asked] == [0, 0]
    assert len(data.queries) > 0


def test_nothing_to_ask_for(tmp_path: Path):
    replace(small_data(), queries=[]).save(tmp_path)
    data = TrainingData.load(tmp_path)
    assert [len(one) for one in data.asked] == [0, 0]
    assert data.texts == [*data.documents, *data.interests]
    assert np.array_equal(data.interest_of, small_data().interest_of)
