"""Text vectors of documents: which are taken over from an earlier night, and how a killed run resumes."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from artrec_core.columns import TEXT_VECTOR, conform
from artrec_core.config import Recipe, load
from artrec_core.lake import Lake
from artrec_core.model import text_encoder
from jobs import embed, train
from jobs.embedding import documents
from jobs.step import Night, run_step
from tests.artrec_core.model.worlds import tiny_settings
from tests.conftest import ROOT
from tests.jobs.small_night import DAY, NEXT, commit_night


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    return load(ROOT / "infra" / "recipes" / "demo.toml", tiny_settings(tmp_path))


def commit_text_vectors(recipe: Recipe, day: str, text_tower: str = "tower") -> None:
    """Commit a vector [row, 1] for each document of the day's catalogue."""
    lake = Lake(recipe.store.lake)
    catalogue = lake.read("catalogue", day)
    vectors = [[float(row), 1.0] for row in range(catalogue.height)]
    rows = catalogue.select("content_hash", pl.lit(text_tower).alias("text_tower"), pl.Series("vector", vectors))
    part = lake.write_part("text_vectors", day, conform(rows, TEXT_VECTOR))
    made_from = {f"catalogue@{day}": lake.manifest("catalogue", day).digest}
    lake.commit("text_vectors", day, {"all": [part]}, fingerprint="f", code_version="test", made_from=made_from)


def test_vectors_of_the_same_text_tower_are_found_by_document(recipe: Recipe):
    commit_night(recipe, DAY, artworks=3)
    commit_text_vectors(recipe, DAY)
    night = Night(recipe, NEXT)
    vectors = dict(documents.earlier_document_vectors(night, "tower").iter_rows())
    assert vectors == {"the red horse 0": [0, 1], "the blue boat 1": [1, 1], "the red horse 2": [2, 1]}
    assert documents.earlier_document_vectors(night, "another tower").height == 0


def test_vectors_count_only_while_their_catalogue_stands(recipe: Recipe):
    commit_night(recipe, DAY, artworks=3)
    commit_text_vectors(recipe, DAY)
    night = Night(recipe, DAY)
    assert documents.earlier_document_vectors(night, "tower").height == 3
    commit_night(recipe, DAY, artworks=3, changed="w01")
    assert documents.earlier_document_vectors(night, "tower").height == 0


def test_days_with_missing_parts_are_left_out_and_the_newest_comes_first(recipe: Recipe):
    for day in (DAY, NEXT):
        commit_night(recipe, day)
        commit_text_vectors(recipe, day)
    assert list(documents.complete_days(Night(recipe, NEXT), "text_vectors")) == [NEXT, DAY]
    assert list(documents.complete_days(Night(recipe, DAY), "text_vectors")) == [DAY]
    next((Path(recipe.store.lake) / "text_vectors" / f"run_date={NEXT}").glob("part-*")).unlink()
    assert list(documents.complete_days(Night(recipe, NEXT), "text_vectors")) == [DAY]


def test_vectors_of_a_training_are_committed_by_content_and_interest(recipe: Recipe):
    commit_night(recipe, DAY, artworks=2)
    night = Night(recipe, DAY)
    catalogue = night.lake.read("catalogue", DAY)
    vectors = np.arange(8, dtype=np.float32).reshape(4, 2)  # two artworks, one interest, and another text
    documents.commit_trained_vectors(night, "tower", catalogue, ["blue boat"], vectors)
    text_vectors = night.lake.read("text_vectors", DAY)
    assert dict(text_vectors.select("content_hash", "vector").iter_rows()) == {"0False": [0, 1], "1False": [2, 3]}
    interests = night.lake.read("interest_vectors", DAY)
    assert interests.rows() == [("tower", "blue boat", [4, 5])]


def test_digests_tell_values_and_their_order_apart():
    values = [["a", "b"], ["b", "a"], ["ab"], ["a", None], ["a", "None"]]
    assert len({documents.digest_values(list(row)) for row in values}) == len(values)


def test_an_embed_that_was_killed_resumes_after_the_last_shard(recipe: Recipe, monkeypatch: pytest.MonkeyPatch):
    commit_night(recipe, DAY)
    run_step(train.STEP, recipe, DAY)
    commit_night(recipe, NEXT, artworks=40)
    monkeypatch.setattr(documents, "DOCUMENTS_IN_SHARD", 8)
    night = Night(recipe, NEXT)
    encode, calls = text_encoder.encode, []

    def encode_until_killed(encoder: object, texts: list[str], **settings: object) -> object:
        calls.append(len(texts))
        if len(calls) == 2:
            raise KeyboardInterrupt
        return encode(encoder, texts, **settings)  # type: ignore[arg-type]

    with monkeypatch.context() as killed:
        killed.setattr(text_encoder, "encode", encode_until_killed)
        with pytest.raises(KeyboardInterrupt):
            run_step(embed.STEP, recipe, NEXT)
    assert night.lake.find_manifest("text_vectors", NEXT) is None
    with monkeypatch.context() as watched:
        watched.setattr(text_encoder, "encode", encode_until_killed)
        run_step(embed.STEP, recipe, NEXT)
    # 20 new documents in shards of 8, the second shard twice. Training made the vector of the stated interest.
    assert calls == [8, 8, 8, 4]
