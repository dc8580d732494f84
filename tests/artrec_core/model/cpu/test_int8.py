from pathlib import Path

import numpy as np
import pytest
import torch

from artrec_core.model.cpu.int8 import ROWS_IN_BLOCK, Int8Linear
from artrec_core.model.text_encoder import TextEncoder, encode
from tests.artrec_core.model.worlds import tiny_model

TEXTS = ["the red boat", "the blue horse river saint flower", "a", "night dance"]


def test_a_linear_map_by_hand():
    linear = torch.nn.Linear(2, 2)
    linear.weight.data = torch.tensor([[127.0, -64.0], [1.0, 0.5]])
    linear.bias.data = torch.tensor([0.0, 1.0])
    # Row 1 of the weights has scale 1, row 2 has 1/127, where 0.5 is 63.5 and becomes 64; the input has scale 2/127.
    expected = torch.tensor([[127 * 2 / 127 * 127.0 - 64 * 2 / 127 * 64, 2 + 64 * 64 * 2 / 127 / 127 + 1]])
    assert torch.allclose(Int8Linear(linear)(torch.tensor([[2.0, 1.0]])), expected, atol=1e-4)


def test_nothing_and_zeros_pass():
    linear = Int8Linear(torch.nn.Linear(3, 4, bias=False))
    assert torch.equal(linear(torch.zeros(2, 5, 3)), torch.zeros(2, 5, 4))


def test_a_gelu_behind_the_map_and_more_rows_than_a_block():
    torch.manual_seed(0)
    linear, inputs = torch.nn.Linear(16, 8), torch.randn(3, ROWS_IN_BLOCK - 1, 16)
    inputs[1, 2] *= 1000  # one loud token changes no other token's rounding
    exact, found = linear(inputs).detach(), Int8Linear(linear)(inputs)
    far = (found - exact).abs().amax(-1) / inputs.abs().amax(-1)
    assert far.max() < 0.05
    assert torch.allclose(Int8Linear(linear, gelu=True)(inputs), torch.nn.functional.gelu(found), atol=1e-6)


@pytest.mark.parametrize("broken", [float("nan"), float("inf")])
def test_what_is_no_number_is_not_hidden(broken: float):
    linear, inputs = torch.nn.Linear(3, 2), torch.ones(2, 3)
    inputs[1, 0] = broken
    found = Int8Linear(linear)(inputs)
    assert found[0].isfinite().all()
    assert not found[1].isfinite().any()


@pytest.mark.parametrize("kind", ["bert", "qwen3"])
def test_vectors_keep_their_direction_and_do_not_depend_on_the_batch(kind: str, tmp_path: Path):
    folder = tiny_model(tmp_path / "base", kind)
    exact, coarse = (TextEncoder.load(folder, precision=one) for one in ("float32", "int8"))
    vectors = encode(coarse, TEXTS)
    assert not np.array_equal(vectors, encode(exact, TEXTS))
    assert (vectors * encode(exact, TEXTS)).sum(1).min() > 0.999
    assert np.allclose(encode(coarse, TEXTS, batch_tokens=1), vectors, atol=1e-4)


def test_vectors_are_the_same_without_instructions_for_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder = tiny_model(tmp_path / "base")
    here = encode(TextEncoder.load(folder, precision="int8"), TEXTS)
    monkeypatch.setenv("ARTREC_INSTRUCTIONS", "avx2")
    assert np.array_equal(encode(TextEncoder.load(folder, precision="int8"), TEXTS), here)


def test_training_moves_the_vectors_and_the_precision_is_saved(tmp_path: Path):
    encoder = TextEncoder.load(tiny_model(tmp_path / "base"), precision="int8")
    before = encode(encoder, TEXTS)
    assert encoder.for_encoding() is encoder.for_encoding()
    assert len(list(encoder.parameters())) == len(list(encoder.backbone.parameters()))
    with torch.no_grad():
        for weight in encoder.parameters():
            weight.add_(0.05 * torch.randn_like(weight))
    after = encode(encoder, TEXTS)
    assert not np.allclose(before, after, atol=1e-3)
    encoder.save(tmp_path / "saved")
    again = TextEncoder.load(tmp_path / "saved")
    assert again.precision == "int8"
    assert np.array_equal(encode(again, TEXTS), after)
