import torch

from artrec_core.model.two_tower import Shape, TwoTower

TEXT = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])


def tower(id_dropout: float) -> TwoTower:
    torch.manual_seed(0)
    return TwoTower(Shape(3, 3, 8, 1, 1, 4, id_dropout=id_dropout), ["a", "b", "c"]).eval()


def test_ids_distinguish_artworks_with_the_same_text():
    vectors = tower(0.2).artwork_vectors(TEXT, torch.arange(3))
    assert not torch.allclose(vectors[0], vectors[2], atol=1e-4)


def test_an_artwork_that_is_not_in_the_training_data_gets_the_unknown_id():
    model = tower(0.2)
    assert model.id_rows(["c", "new", "a"]).tolist() == [2, 3, 0]
    assert torch.equal(
        model.artwork_vectors(TEXT[:1], model.id_rows(["new"])), model.artwork_vectors(TEXT[:1], torch.tensor([3]))
    )


def test_a_model_trained_without_ids_gives_vectors_without_ids():
    vectors = tower(1.0).artwork_vectors(TEXT, torch.arange(3))
    assert torch.equal(vectors[0], vectors[2])
    assert not torch.allclose(vectors[0], vectors[1], atol=1e-2)


def test_artwork_vectors_have_unit_length():
    assert torch.allclose(tower(0.2).artwork_vectors(TEXT, torch.arange(3)).norm(dim=1), torch.ones(3))
