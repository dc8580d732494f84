from pathlib import Path

import numpy as np
import pytest
import torch

from artrec_core.model.cpu.onednn import PackedLinear, can_pack, pack_backbone
from artrec_core.model.text_encoder import TextEncoder, encode
from tests.artrec_core.model.worlds import DECODERS, ENCODERS, tiny_model

TEXTS = ["the red boat", "the blue horse river saint flower", "a", "night dance"]


def refuse(*_: object) -> None:
    raise RuntimeError("bf16 path needs the cpu support avx_ne_convert or avx512bw")


@pytest.fixture(params=["packed", "refused", "absent"])
def packing(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """What torch does of packing: as it is here, refused by the processor, or not there."""
    if request.param == "refused":
        monkeypatch.setattr(torch.ops.mkldnn, "_reorder_linear_weight", refuse, raising=False)
    if request.param == "absent":
        monkeypatch.setattr(torch.ops, "mkldnn", object())
    return str(request.param)


@pytest.mark.parametrize("rows", [1, 7, 300])
@pytest.mark.parametrize("bias", [True, False])
def test_a_packed_map_is_the_map(rows: int, bias: bool, packing: str):
    torch.manual_seed(0)
    linear, inputs = torch.nn.Linear(24, 40, bias=bias), torch.randn(2, rows, 24)
    with torch.inference_mode():
        exact = linear(inputs)
        assert torch.allclose(PackedLinear(linear, torch.float32)(inputs), exact, atol=1e-5)
        gelu = PackedLinear(linear, torch.float32, gelu=True)(inputs)
        assert torch.allclose(gelu, torch.nn.functional.gelu(exact), atol=1e-5)
        half = PackedLinear(linear, torch.bfloat16)(inputs)
    assert half.dtype == torch.bfloat16
    assert torch.allclose(half.float(), exact, atol=0.03)


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="this build of torch has no oneDNN")
@pytest.mark.parametrize(
    "dtype", [torch.float32, pytest.param(torch.bfloat16, marks=pytest.mark.fast_products("bfloat16"))]
)
def test_a_map_is_packed_where_the_processor_does_it(dtype: torch.dtype):
    assert PackedLinear(torch.nn.Linear(24, 40), dtype).is_packed


def test_a_map_that_cannot_be_packed_copies_no_weight(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.ops, "mkldnn", object())
    linear = torch.nn.Linear(24, 40)
    assert PackedLinear(linear, torch.float32).weight.data_ptr() == linear.weight.data_ptr()


@pytest.mark.parametrize("kind", [*ENCODERS, *DECODERS])
def test_every_family_s_vectors_stay(kind: str, packing: str, tmp_path: Path):
    encoder = TextEncoder.load(tiny_model(tmp_path / "base", kind)).eval()
    ids, mask = encoder.pad(encoder.tokens(TEXTS))
    with torch.inference_mode():
        plain = encoder(ids, mask).numpy()
    fast = encoder.for_encoding()
    assert any(isinstance(one, PackedLinear) for one in fast.backbone.modules())
    assert np.allclose(encode(encoder, TEXTS), plain, atol=1e-5)
    half = TextEncoder.load(tmp_path / "base", precision="bfloat16")
    assert (encode(half, TEXTS) * plain).sum(1).min() > 0.999


def test_the_copy_shares_what_is_not_a_linear_map(tmp_path: Path):
    backbone = TextEncoder.load(tiny_model(tmp_path / "base")).backbone
    found = pack_backbone(backbone, torch.float32)
    theirs = {id(weight) for weight in backbone.parameters()}
    assert {id(weight) for weight in found.parameters()} < theirs
    assert any(isinstance(one, torch.nn.Linear) for one in backbone.modules())
    assert not any(isinstance(one, torch.nn.Linear) for one in found.modules())


def test_training_moves_the_packed_vectors(tmp_path: Path):
    encoder = TextEncoder.load(tiny_model(tmp_path / "base"))
    before = encode(encoder, TEXTS)
    assert encoder.for_encoding() is encoder.for_encoding()
    with torch.no_grad():
        for weight in encoder.parameters():
            weight.add_(0.05 * torch.randn_like(weight))
    assert not np.allclose(before, encode(encoder, TEXTS), atol=1e-3)


def test_weights_in_sixteen_bits_are_left_as_they_are(tmp_path: Path):
    encoder = TextEncoder.load(tiny_model(tmp_path / "base"), precision="bfloat16", weights=torch.bfloat16)
    assert not can_pack(encoder.backbone)
    assert encoder.for_encoding() is encoder
