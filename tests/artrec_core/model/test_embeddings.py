"""Vectors of a model that was never trained: its weights are random, but what depends on what is known."""

import numpy as np
import polars as pl
import pytest
import torch

from artrec_core.arrays import Float32Array
from artrec_core.columns import HISTORY
from artrec_core.model import embeddings
from artrec_core.model.embeddings import item_vectors, text_vectors, user_vectors
from artrec_core.model.text_encoder import TextEncoder
from artrec_core.model.two_tower import Shape, TwoTower
from tests.artrec_core.model.worlds import history, tiny_model

ARTWORKS = ["w0", "w1", "w2"]
DOCUMENTS = ["the blue boat", "the red horse", "the blue boat"]


@pytest.fixture(scope="module")
def tower(tmp_path_factory: pytest.TempPathFactory) -> TwoTower:
    folder = tmp_path_factory.mktemp("model")
    TextEncoder.load(tiny_model(tmp_path_factory.mktemp("base")), max_tokens=16).save(folder / "text")
    torch.manual_seed(0)
    TwoTower(Shape(32, len(ARTWORKS), 8, 1, 2, 5), ARTWORKS).save(folder)
    return TwoTower.load(folder)


@pytest.fixture(scope="module")
def artworks(tower: TwoTower) -> Float32Array:
    return item_vectors(tower, ARTWORKS, text_vectors(tower, DOCUMENTS))


def people(*rows: tuple[str, str | None]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema={"user_id": pl.String, "interests": pl.String}, orient="row")


NO_EVENTS = pl.DataFrame(schema=HISTORY)
EVENTS = history([("a", "w0", "like", 0, True), ("b", "w1", "like", 1, True), ("a", "w2", "like", 2, True)])


def test_text_vectors_have_unit_length_and_depend_on_the_text_only(tower: TwoTower):
    counts: list[int] = []
    vectors = text_vectors(tower, DOCUMENTS, advance=counts.append)
    assert vectors.shape == (3, 32)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1)
    assert np.array_equal(vectors[0], vectors[2])
    assert sum(counts) == 3
    assert text_vectors(tower, []).shape == (0, 32)


def test_artwork_vectors_depend_on_text_and_id_and_new_artworks_share_the_unknown_id(
    tower: TwoTower, artworks: Float32Array
):
    assert np.allclose(np.linalg.norm(artworks, axis=1), 1)
    assert not np.allclose(artworks[0], artworks[2], atol=1e-4)  # equal texts, different ids
    text = text_vectors(tower, DOCUMENTS)
    unknown = item_vectors(tower, ["new", "w1", "another"], text)
    assert np.array_equal(unknown[1], artworks[1])
    assert np.array_equal(unknown[0], unknown[2])


def test_blocks_do_not_change_artwork_vectors(tower: TwoTower, artworks: Float32Array, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(embeddings, "ARTWORKS_IN_BLOCK", 2)
    assert np.allclose(item_vectors(tower, ARTWORKS, text_vectors(tower, DOCUMENTS)), artworks, atol=1e-6)
    assert item_vectors(tower, [], np.zeros((0, 32), np.float32)).shape == (0, 8)


def test_user_vectors_have_the_order_of_the_users_and_read_their_own_histories_only(
    tower: TwoTower, artworks: Float32Array
):
    vectors = user_vectors(tower, people(("a", None), ("b", None)), EVENTS, ARTWORKS, artworks)
    swapped = user_vectors(tower, people(("b", None), ("a", None)), EVENTS, ARTWORKS, artworks)
    assert np.allclose(vectors, swapped[::-1], atol=1e-6)
    assert not np.allclose(vectors[0], vectors[1], atol=1e-4)
    own_events = EVENTS.filter(pl.col("user_id") == "a")
    assert np.allclose(user_vectors(tower, people(("a", None)), own_events, ARTWORKS, artworks), vectors[:1], atol=1e-6)
    assert user_vectors(tower, people(), EVENTS, ARTWORKS, artworks).shape == (0, 8)


def test_a_user_with_neither_history_nor_interests_gets_the_common_vector(tower: TwoTower, artworks: Float32Array):
    users = people(("nothing", None), ("interests", "blue boat"), ("blank", " "))
    vectors = user_vectors(tower, users, NO_EVENTS, ARTWORKS, artworks)
    assert np.allclose(vectors[0], vectors[2])
    assert not np.allclose(vectors[0], vectors[1], atol=1e-4)


def test_known_vectors_of_interests_are_not_encoded_again(tower: TwoTower, artworks: Float32Array):
    users = people(("a", "blue boat"), ("b", "red horse"), ("c", "blue boat"))
    requested: list[list[str]] = []

    def text_of(texts: list[str]) -> Float32Array:
        requested.append(texts)
        return text_vectors(tower, texts)

    vectors = user_vectors(tower, users, NO_EVENTS, ARTWORKS, artworks, text_of)
    assert [sorted(texts) for texts in requested] == [["blue boat", "red horse"]]
    assert np.allclose(vectors, user_vectors(tower, users, NO_EVENTS, ARTWORKS, artworks), atol=1e-6)


def test_an_empty_catalogue_leaves_the_interests(tower: TwoTower):
    vectors = user_vectors(tower, people(("a", "blue boat")), EVENTS, [], np.zeros((0, 8), np.float32))
    assert np.isfinite(vectors).all()
