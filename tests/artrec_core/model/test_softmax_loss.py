"""The loss of next works against the same loss written out, every logit a column."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from artrec_core.model.softmax_loss import next_artwork_loss

NONE = -1


def written_out(
    states: Tensor, works: Tensor, negatives: Tensor, offsets: Tensor, inputs: Tensor, targets: Tensor
) -> Tensor:
    losses = []
    for person, of_person in enumerate(targets.tolist()):
        for position, target in enumerate(of_person):
            if target == NONE:
                continue
            seen = {*inputs[person, :position].tolist(), target}
            logits = [states[person, position] @ works[target]]
            for row, offset in zip(negatives.tolist(), offsets, strict=True):
                if row not in seen:
                    logits.append(states[person, position] @ works[row] + offset)
            losses.append(F.cross_entropy(torch.stack(logits)[None], torch.tensor([0])))
    return torch.stack(losses).mean()


def world(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Three people over nine works, six of them drawn; the second person's history is the shortest."""
    torch.manual_seed(1)
    states = (2 * torch.randn(3, 5, 4, dtype=torch.float64)).to(dtype).requires_grad_()
    works = torch.randn(9, 4, dtype=torch.float64).to(dtype).requires_grad_()
    negatives = torch.tensor([8, 0, 3, 5, 1, 6])
    offsets = torch.randn(6, dtype=torch.float64).to(dtype)
    inputs = torch.tensor([[0, 3, 2, 7], [1, 0, 0, 0], [6, 6, 4, 8]])
    targets = torch.tensor([[3, 2, 7, 5, NONE], [NONE, 8, NONE, NONE, NONE], [4, 4, 8, 8, 0]])
    return states, works, negatives, offsets, inputs, targets


@pytest.mark.parametrize("rows_in_block", [1, 2, 128])
def test_equals_the_loss_written_out_and_its_gradients(rows_in_block: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("artrec_core.model.softmax_loss.ROWS_IN_BLOCK", rows_in_block)
    one, other = world(), world()
    loss, expected = next_artwork_loss(*one), written_out(*other)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-12)
    loss.backward()
    expected.backward()
    for found, wanted in zip(one[:2], other[:2], strict=True):
        torch.testing.assert_close(found.grad, wanted.grad, rtol=1e-10, atol=1e-12)


def gradients_differ_by() -> float:
    """One less the least cosine of the gradients in float32 to those written out in float64."""
    one, other = world(torch.float32), world()
    next_artwork_loss(*one).backward()
    written_out(*other).backward()
    cosines = []
    for found, wanted in zip(one[:2], other[:2], strict=True):
        assert found.grad is not None
        assert wanted.grad is not None
        cosines.append(F.cosine_similarity(found.grad.double().flatten(), wanted.grad.flatten(), dim=0).item())
    return 1 - min(cosines)


@pytest.mark.fast_products("bfloat16")
def test_float32_with_products_in_half_precision_stays_near():
    assert 1e-10 < gradients_differ_by() < 1e-4


def test_without_units_for_bfloat16_the_products_are_float32(small_processor: None):
    assert gradients_differ_by() < 1e-10


def test_works_seen_before_are_no_candidates():
    # Everything but the target has been seen: nothing is left that could win, whatever the logits.
    states, works = torch.randn(1, 3, 2), torch.randn(3, 2)
    targets = torch.tensor([[NONE, NONE, 2]])
    loss = next_artwork_loss(states, works, torch.arange(3), None, torch.tensor([[0, 1]]), targets)
    assert loss.item() == 0


def test_equal_logits_cost_the_logarithm_of_how_many_are_left():
    states, works = torch.zeros(1, 3, 2), torch.ones(5, 2)
    targets = torch.tensor([[0, 1, 4]])  # five, four and three works are left
    loss = next_artwork_loss(states, works, torch.arange(5), None, torch.tensor([[0, 1]]), targets)
    assert loss.item() == pytest.approx((math.log(5) + math.log(4) + math.log(3)) / 3)


def test_huge_logits_stay_finite():
    states = torch.full((1, 2, 1), 1e4, requires_grad=True)
    works = torch.tensor([[1.0], [-1.0]])
    arguments = (torch.arange(2), None, torch.tensor([[1]]), torch.tensor([[1, 0]]))
    loss = next_artwork_loss(states, works, *arguments)
    loss.backward()
    assert loss.item() == pytest.approx(1e4)  # the first target is the far one, 20,000 below; the second stands alone
    assert states.grad is not None
    assert states.grad.isfinite().all()


def test_no_target_costs_nothing():
    states = torch.ones(1, 2, 3, requires_grad=True)
    empty = torch.tensor([[NONE, NONE]])
    loss = next_artwork_loss(states, torch.ones(4, 3), torch.arange(4), None, torch.tensor([[0]]), empty)
    loss.backward()
    assert loss.item() == 0
    assert states.grad is not None
    assert not states.grad.any()
