"""Products of codes are the same integers with int8 instructions and without."""

import pytest
import torch
from torch import Tensor

from artrec_core.model import code_products
from artrec_core.model.code_products import code_products_are_fast, multiply_codes


def extremes(rows: int, dim: int) -> Tensor:
    """Codes of the largest magnitude; the first rows hold the largest sums there are."""
    torch.manual_seed(0)
    codes = torch.randint(0, 2, (rows, dim)) * 254 - 127
    codes[0], codes[1] = 127, -127
    return codes.to(torch.int8)


def check(dim: int) -> None:
    rows, columns = extremes(5, dim), extremes(70, dim).T
    out = torch.full((5, 70), 7, dtype=torch.int32)
    multiply_codes(rows, columns, out)
    assert torch.equal(out, (rows.long() @ columns.long()).to(torch.int32))


@pytest.mark.parametrize("dim", [1, 33, 1024, 1025, 5000])
def test_without_instructions_the_products_are_exact(dim: int, small_processor: None):
    assert not code_products_are_fast()
    check(dim)


@pytest.mark.fast_products("int8")
@pytest.mark.parametrize("dim", [33, 384, 5000])
def test_by_instructions_the_products_are_exact(dim: int):
    assert code_products_are_fast()
    check(dim)


@pytest.mark.parametrize("torch_has_it", [False, True])
def test_a_torch_without_the_product_or_that_refuses_it_falls_back_and_that_is_logged_once(
    torch_has_it: bool, monkeypatch: pytest.MonkeyPatch
):
    messages: list[str] = []
    monkeypatch.setattr(code_products.log, "info", messages.append)

    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("not on this processor")

    monkeypatch.setattr(code_products, "multiplies_int8", lambda: True)
    if torch_has_it:
        monkeypatch.setattr(torch, "_int_mm", refuse)
    else:
        monkeypatch.delattr(torch, "_int_mm")
    code_products._is_exact.cache_clear()
    try:
        assert not code_products_are_fast()
        check(384)
        assert len(messages) == 1
        assert "float32 products" in messages[0]
    finally:
        code_products._is_exact.cache_clear()


def test_a_product_that_saturates_is_not_used(monkeypatch: pytest.MonkeyPatch):
    def saturate(rows: Tensor, columns: Tensor, *, out: Tensor) -> None:
        out.copy_((rows.long() @ columns.long()).clamp(-32768, 32767))

    monkeypatch.setattr(code_products, "multiplies_int8", lambda: True)
    monkeypatch.setattr(torch, "_int_mm", saturate)
    code_products._is_exact.cache_clear()
    try:
        assert not code_products_are_fast()
    finally:
        code_products._is_exact.cache_clear()
