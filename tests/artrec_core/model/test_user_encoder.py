import pytest
import torch
from torch import Tensor

from artrec_core.model.user_encoder import INITIAL_DECAYS, Memory, UserEncoder

DIM, KINDS = 8, 3


@pytest.fixture
def encoder() -> UserEncoder:
    torch.manual_seed(0)
    return UserEncoder(dim=DIM, layers=2, heads=2, dropout=0.3, positions=5, kinds=KINDS, gaps=4).eval()


def inputs(users: int = 2, positions: int = 4) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    torch.manual_seed(1)
    first, artworks = torch.randn(users, DIM), torch.randn(users, positions, DIM)
    kinds, gaps = torch.randint(KINDS, (users, positions)), torch.randint(4, (users, positions))
    return first, torch.tensor([True] + [False] * (users - 1)), artworks, kinds, gaps


def test_there_is_a_state_before_the_first_event_and_after_each(encoder: UserEncoder):
    assert encoder(*inputs()).shape == (2, 5, DIM)
    assert encoder(*inputs(positions=0)).shape == (2, 1, DIM)


def test_a_state_does_not_depend_on_later_events(encoder: UserEncoder):
    first, has_interest, artworks, kinds, gaps = inputs()
    states = encoder(first, has_interest, artworks, kinds, gaps)
    changed = artworks.clone()
    changed[:, 2] += 1
    later = encoder(first, has_interest, changed, (kinds + (torch.arange(4) == 2)) % KINDS, gaps)
    assert torch.allclose(later[:, :3], states[:, :3], atol=1e-6)
    assert not torch.allclose(later[:, 3], states[:, 3], atol=1e-3)


def test_padding_at_the_end_changes_nothing(encoder: UserEncoder):
    first, has_interest, artworks, kinds, gaps = inputs()
    short = encoder(first, has_interest, artworks[:, :2], kinds[:, :2], gaps[:, :2])
    assert torch.allclose(encoder(first, has_interest, artworks, kinds, gaps)[:, :3], short, atol=1e-6)


def test_only_a_stated_interest_is_read(encoder: UserEncoder):
    first, has_interest, *events = inputs()
    states, changed = (encoder(vectors, has_interest, *events) for vectors in (first, first + 1))
    assert not torch.allclose(states[0], changed[0], atol=1e-3)
    assert torch.equal(states[1], changed[1])


def test_dropout_is_for_training_only(encoder: UserEncoder):
    values = inputs()
    assert torch.equal(encoder(*values), encoder(*values))
    encoder.train()
    assert not torch.equal(encoder(*values), encoder(*values))


def test_memory_by_hand():
    memory = Memory(dim=2, kinds=2)
    with torch.no_grad():
        memory.weights.weight.copy_(torch.tensor([[0.0], [-100.0]]))  # kind 0 weighs 0.5, kind 1 nothing
        memory.decays.copy_(torch.logit(torch.tensor([0.5, 0.5, 0.5])))
        for number, linear in enumerate(memory.maps):
            linear.weight.copy_(torch.eye(2) if number == 0 else torch.zeros(2, 2))  # type: ignore[operator]
    artworks = torch.tensor([[[1.0, 0.0], [0.0, 1.0], [8.0, 8.0]]])
    first, kinds = torch.tensor([[4.0, 0.0]]), torch.tensor([[0, 0, 1]])
    with torch.no_grad():
        without, with_interest = (memory(first, torch.tensor([stated]), artworks, kinds)[0] for stated in (False, True))
    # Weights of the two artworks halve with each event; the third one weighs nothing.
    expected = torch.tensor([[0.0, 0.0], [0.5, 0.0], [0.25, 0.5], [0.125, 0.25]])
    evidence = torch.tensor([0.5, 1.0, 1.25, 0.875])
    assert torch.allclose(without, expected / evidence.sqrt()[:, None], atol=1e-6)
    # The interest counts as an artwork before the first event, here with weight 0.5 too.
    shares = torch.tensor([0.5, 0.25, 0.125, 0.0625])
    expected[:, 0] += 4 * shares
    assert torch.allclose(with_interest, expected / (evidence + shares).sqrt()[:, None], atol=1e-6)


def test_the_memory_starts_with_its_decays(encoder: UserEncoder):
    assert torch.allclose(torch.sigmoid(encoder.memory.decays), torch.tensor(INITIAL_DECAYS))
