from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from artrec_core.model import training_data
from artrec_core.model.sequences import NO_ROW
from artrec_core.model.training_data import TrainingData, select_query_texts
from tests.artrec_core.model.worlds import PEOPLE, small_data


def test_texts_are_documents_interests_and_query_texts():
    data = small_data()
    assert data.texts == [*data.documents, "blue boat", *select_query_texts(data.queries, data.interests)]
    texts, artworks = data.query_pairs
    assert [(data.texts[text], artwork) for text, artwork in zip(texts, artworks, strict=True)] == data.queries


def test_of_too_many_query_texts_the_same_are_selected_when_queries_change(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(training_data, "MAX_QUERY_TEXTS", 5)
    queries = [(f"text {number // 2}", number) for number in range(40)]
    selected_texts = select_query_texts(queries, ["boats"])
    assert len(set(selected_texts)) == 5
    assert select_query_texts(queries[::-1], ["horses"]) == selected_texts
    selected_queries = [pair for pair in queries if pair[0] in selected_texts]
    assert select_query_texts(selected_queries, ["boats"]) == selected_texts
    data = replace(small_data(), queries=queries)
    texts, artworks = data.query_pairs
    assert {data.texts[text] for text in texts} == set(selected_texts)
    assert len(artworks) == len(selected_queries) == 10


def test_without_stated_interests_no_query_is_used():
    data = replace(small_data(), interests=[], interest_of=np.full(PEOPLE + 1, NO_ROW))
    assert data.texts == data.documents
    assert [len(rows) for rows in data.query_pairs] == [0, 0]
    assert len(data.queries) > 0


def test_training_data_without_queries(tmp_path: Path):
    replace(small_data(), queries=[]).save(tmp_path)
    data = TrainingData.load(tmp_path)
    assert [len(rows) for rows in data.query_pairs] == [0, 0]
    assert data.texts == [*data.documents, *data.interests]
    assert np.array_equal(data.interest_of, small_data().interest_of)
