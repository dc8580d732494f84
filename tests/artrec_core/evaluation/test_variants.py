"""Our model and its ablations, trained on two tribes with a tiny text tower."""

from pathlib import Path

import numpy as np
import pytest

from artrec_core.config import Recipe, load
from artrec_core.evaluation.ablations import OWN_MODELS, variant
from artrec_core.evaluation.variants import train_variant, training_data
from artrec_core.model.run import MODEL
from artrec_core.model.two_tower import WEIGHTS, TwoTower
from tests.artrec_core.model.worlds import tiny_model
from tests.artrec_core.recs.evaluation_worlds import ARTWORK_IDS, task_of, tribes, with_other_tests
from tests.conftest import ROOT


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("base"))


@pytest.fixture
def recipe() -> Recipe:
    overrides = ["train.launcher=process", "train.user_epochs=3", "train.text_epochs=1", "train.text_batch=8"]
    overrides += ["model.dim=16", "model.layers=1", "model.max_tokens=16"]
    return load(ROOT / "infra" / "recipes" / "demo.toml", overrides)


@pytest.mark.parametrize("name", OWN_MODELS)
def test_weights_do_not_depend_on_the_test_artworks(name: str, recipe: Recipe, base: Path, tmp_path: Path):
    weights, models = [], []
    for histories in (tribes(), with_other_tests(tribes())):
        folder = tmp_path / str(len(weights))
        task, _ = task_of(histories, vectors=True)
        frozen = recipe.model_copy(update={"model": recipe.model.model_copy(update={"tuning": "frozen"})})
        model = train_variant(task, variant(frozen, name, seed=3), name, folder, base)
        weights.append((folder / MODEL / WEIGHTS).read_bytes())
        models.append(model)
    assert weights[0] == weights[1]
    np.testing.assert_array_equal(models[0].user_vectors, models[1].user_vectors)


def test_without_ids_artworks_with_equal_texts_have_equal_vectors(recipe: Recipe, base: Path, tmp_path: Path):
    task, _ = task_of(tribes(), vectors=True)
    frozen = recipe.model_copy(update={"model": recipe.model.model_copy(update={"tuning": "frozen"})})
    model = train_variant(task, variant(frozen, "text-only", 0), "text-only", tmp_path, base)
    np.testing.assert_array_equal(model.item_vectors[0], model.item_vectors[2])  # both are boats
    assert (model.item_vectors[0] != model.item_vectors[1]).any()


def test_id_only_trains_without_any_text(recipe: Recipe):
    data = training_data(task_of(tribes(), vectors=True)[0], recipe, "id-only")
    assert data.text_vectors is not None
    assert not data.text_vectors.any()
    assert (data.queries, data.interests) == ([], [])
    assert (data.interest_of == -1).all()


def test_no_interests_trains_without_stated_interests(recipe: Recipe):
    task, _ = task_of(tribes(), vectors=True)
    data = training_data(task, variant(recipe, "text-frozen", 0), "no-interests")
    assert data.interests == []
    assert (data.interest_of == -1).all()
    assert data.text_vectors is not None
    assert len(data.text_vectors) == len(data.documents)
    assert len(data.queries) == len(task.queries)


def test_only_a_frozen_text_tower_trains_on_vectors_of_the_base_model(recipe: Recipe):
    task, _ = task_of(tribes(), vectors=True)
    assert training_data(task, recipe, "full").text_vectors is None
    assert training_data(task, variant(recipe, "text-frozen", 0), "text-frozen").text_vectors is not None


def test_hidden_artworks_are_not_in_the_training_data(recipe: Recipe):
    task, _ = task_of(tribes(), hidden=["w00", "w05"], vectors=True)
    data = training_data(task, variant(recipe, "text-frozen", 0), "text-frozen")
    assert data.artwork_ids == [artwork_id for artwork_id in ARTWORK_IDS if artwork_id not in ("w00", "w05")]
    assert [data.artwork_ids[row] for _, row in data.queries] == data.artwork_ids
    assert task.text_vectors is not None
    assert data.text_vectors is not None
    np.testing.assert_array_equal(data.text_vectors, np.delete(task.text_vectors, [0, 5], axis=0))
    assert data.texts == [text for row, text in enumerate(task.texts) if row not in (0, 5)]


def test_a_hidden_artwork_is_ranked_by_its_text_and_the_unknown_id(recipe: Recipe, base: Path, tmp_path: Path):
    task, _ = task_of(tribes(), hidden=["w00", "w05"])
    model = train_variant(task, variant(recipe, "full", 0), "full", tmp_path, base)
    tower = TwoTower.load(tmp_path / MODEL)
    assert tower.id_rows(["w00", "w01"]).tolist() == [22, 0]
    from artrec_core.model.embeddings import item_vectors, text_vectors

    document = task.catalogue["document"][0]
    np.testing.assert_allclose(
        model.item_vectors[0], item_vectors(tower, ["new"], text_vectors(tower, [document]))[0], atol=1e-5
    )
    assert model.item_vectors.shape == (24, 16)
