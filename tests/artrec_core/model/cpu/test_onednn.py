from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from artrec_core.model.cpu import onednn
from artrec_core.model.cpu.onednn import PackedLinear, can_pack, pack_backbone
from artrec_core.model.text_encoder import TextEncoder, encode
from tests.artrec_core.model.worlds import DECODERS, ENCODERS, tiny_model

TEXTS = ["the red boat", "the blue horse river saint flower", "a", "night dance"]


def refuse(*_: object) -> None:
    raise RuntimeError("bf16 path needs the cpu support avx_ne_convert or avx512bw")


def double(rows: Tensor, weight: Tensor, bias: Tensor | None, *_: object) -> Tensor:
    """An operator that does something else."""
    return 2 * rows @ torch.ones(rows.shape[-1], 40)


@pytest.fixture(autouse=True)
def probe_again() -> Iterator[None]:
    """The probe runs in each test, and again after it."""
    onednn._hooks_work.cache_clear()
    yield
    onednn._hooks_work.cache_clear()


@pytest.fixture(params=["packed", "refused", "absent", "another"])
def packing(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """torch's private operators: as they are here, refused by the processor, absent, or with other results."""
    if request.param == "refused":
        monkeypatch.setattr(torch.ops.mkldnn, "_reorder_linear_weight", refuse, raising=False)
    if request.param == "absent":
        monkeypatch.setattr(torch.ops, "mkldnn", object())
    if request.param == "another":
        monkeypatch.setattr(torch.ops.mkldnn, "_linear_pointwise", double, raising=False)
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


def test_a_map_that_cannot_be_packed_copies_no_weight_and_that_is_logged_once(
    monkeypatch: pytest.MonkeyPatch,
):
    messages: list[str] = []
    monkeypatch.setattr(torch.ops, "mkldnn", object())
    monkeypatch.setattr(onednn.log, "info", lambda message, dtype: messages.append(message % dtype))
    linear = torch.nn.Linear(24, 40)
    assert PackedLinear(linear, torch.float32).weight.data_ptr() == linear.weight.data_ptr()
    assert not PackedLinear(linear, torch.float32).is_packed
    assert messages == ["oneDNN's packed products in torch.float32 do not work here; texts are encoded without them"]


@pytest.mark.parametrize("kind", [*ENCODERS, *DECODERS])
def test_every_family_s_vectors_stay(kind: str, packing: str, tmp_path: Path):
    encoder = TextEncoder.load(tiny_model(tmp_path / "base", kind)).eval()
    ids, mask = encoder.pad(encoder.tokens(TEXTS))
    with torch.inference_mode():
        plain = encoder(ids, mask).numpy()
    fast = encoder.for_encoding()
    assert any(isinstance(module, PackedLinear) for module in fast.backbone.modules())
    assert np.allclose(encode(encoder, TEXTS), plain, atol=1e-5)
    half = TextEncoder.load(tmp_path / "base", precision="bfloat16")
    assert (encode(half, TEXTS) * plain).sum(1).min() > 0.999


def test_the_copy_shares_what_is_not_a_linear_map(tmp_path: Path):
    backbone = TextEncoder.load(tiny_model(tmp_path / "base")).backbone
    copied = pack_backbone(backbone, torch.float32)
    originals = {id(weight) for weight in backbone.parameters()}
    assert {id(weight) for weight in copied.parameters()} < originals
    assert any(isinstance(module, torch.nn.Linear) for module in backbone.modules())
    assert not any(isinstance(module, torch.nn.Linear) for module in copied.modules())


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
