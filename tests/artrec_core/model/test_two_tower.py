import torch

from artrec_core.model.two_tower import Shape, TwoTower

TEXT = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])


def tower(id_dropout: float) -> TwoTower:
    torch.manual_seed(0)
    return TwoTower(Shape(3, 3, 8, 1, 1, 4, id_dropout=id_dropout), ["a", "b", "c"]).eval()


def test_works_of_the_same_text_are_told_apart_by_their_ids():
    works = tower(0.2).works(TEXT, torch.arange(3))
    assert not torch.allclose(works[0], works[2], atol=1e-4)


def test_a_work_nobody_has_seen_gets_the_unknown_id():
    model = tower(0.2)
    assert model.rows_of(["c", "new", "a"]).tolist() == [2, 3, 0]
    assert torch.equal(model.works(TEXT[:1], model.rows_of(["new"])), model.works(TEXT[:1], torch.tensor([3])))


def test_where_every_id_is_dropped_no_id_speaks_when_vectors_are_made_either():
    works = tower(1.0).works(TEXT, torch.arange(3))
    assert torch.equal(works[0], works[2])
    assert not torch.allclose(works[0], works[1], atol=1e-2)


def test_artwork_vectors_have_one_length():
    assert torch.allclose(tower(0.2).works(TEXT, torch.arange(3)).norm(dim=1), torch.ones(3))
