from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from artrec_core import processor
from artrec_core.model import text_encoder
from artrec_core.model.text_encoder import TextEncoder, batches_by_length, encode, prepare_training
from artrec_core.processor import InstructionSets
from tests.artrec_core.model.worlds import tiny_model

TEXTS = ["the red boat", "the blue horse river saint flower", "a", "night dance", "the red boat"]


@pytest.fixture(params=["bert", "llama"])
def encoder(request: pytest.FixtureRequest, tmp_path: Path) -> TextEncoder:
    return TextEncoder.load(tiny_model(tmp_path / request.param, request.param), max_tokens=12)


def test_pooling_follows_the_architecture(tmp_path: Path):
    assert TextEncoder.load(tiny_model(tmp_path / "b", "bert")).pooling == "mean"
    assert TextEncoder.load(tiny_model(tmp_path / "l", "llama")).pooling == "last"


def test_vectors_have_unit_length_and_do_not_depend_on_order_or_batches(encoder: TextEncoder):
    vectors = encode(encoder, TEXTS)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert np.array_equal(vectors[0], vectors[4])
    assert np.array_equal(encode(encoder, TEXTS[::-1])[::-1], vectors)
    assert np.allclose(encode(encoder, TEXTS, batch_tokens=1), vectors, atol=1e-5)


@pytest.fixture
def set_threads() -> Iterator[Callable[[int], None]]:
    """torch's setting, which is put back."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_batches_shared_among_threads_give_the_same_vectors(
    precision: str, tmp_path: Path, set_threads: Callable[[int], None]
):
    texts = [" ".join(["boat", "horse", "red"][: 1 + number % 3]) + f" {number}" for number in range(40)]
    encoder = TextEncoder.load(tiny_model(tmp_path / "base"), precision=precision)
    done: list[int] = []
    set_threads(1)
    alone = encode(encoder, texts, batch_tokens=16)
    set_threads(3)
    assert np.array_equal(encode(encoder, texts, batch_tokens=16, advance=done.append), alone)
    assert torch.get_num_threads() == 3
    assert sum(done) == len(texts)
    assert len(done) > 3


def test_a_batch_that_fails_fails_the_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, set_threads: Callable[[int], None]
):
    encoder = TextEncoder.load(tiny_model(tmp_path / "base"))
    monkeypatch.setattr(encoder, "tokens", lambda texts: [[1, 2], [1, 10**6]])
    set_threads(2)
    with pytest.raises(IndexError, match="out of range"):
        encode(encoder, ["a", "b"], batch_tokens=2)
    assert torch.get_num_threads() == 2


def test_long_documents_are_cut(encoder: TextEncoder):
    tokens = encoder.tokens(["boat " * 500])[0]
    assert len(tokens) == 12
    assert np.isfinite(encode(encoder, ["boat " * 500])).all()


def test_control_tokens_in_a_text_are_text(encoder: TextEncoder):
    plain, spiked = encoder.tokens(["boat", "boat [SEP] [CLS] [MASK]"])
    for special in (2, 4):
        assert spiked.count(special) == plain.count(special)
    assert spiked.count(3) == plain.count(3)


def test_no_text_at_all_has_a_vector(encoder: TextEncoder):
    assert np.isfinite(encode(encoder, [""])).all()
    assert encode(encoder, []).shape == (0, 32)


def test_saved_and_loaded_it_gives_the_same_vectors_and_digest(encoder: TextEncoder, tmp_path: Path):
    encoder.save(tmp_path / "saved")
    again = TextEncoder.load(tmp_path / "saved")
    assert np.array_equal(encode(again, TEXTS), encode(encoder, TEXTS))
    assert again.digest() == encoder.digest()


def test_lora_moves_few_weights_and_is_merged_when_saved(encoder: TextEncoder, tmp_path: Path):
    prepare_training(encoder, "lora", lora_rank=2, checkpointing=True)
    moving = [weight for weight in encoder.parameters() if weight.requires_grad]
    assert 0 < sum(weight.numel() for weight in moving) < sum(weight.numel() for weight in encoder.parameters()) / 2
    for weight in moving:
        weight.data.add_(0.1)
    vectors = encode(encoder, TEXTS)
    encoder.save(tmp_path / "saved")
    assert np.allclose(encode(TextEncoder.load(tmp_path / "saved"), TEXTS), vectors, atol=1e-5)


def test_batches_waste_little_and_hold_every_row_once():
    lengths = [3, 60, 4, 59, 5]
    batches = list(batches_by_length(lengths, 128))
    assert batches == [[1, 3], [4, 2, 0]]


@pytest.mark.parametrize(("has_units", "precision"), [(True, "bfloat16"), (False, "float32")])
def test_auto_precision_is_settled_by_the_processor_and_saved(
    has_units: bool, precision: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(processor, "detect_sets", lambda: InstructionSets(bf16=has_units))
    monkeypatch.delenv(processor.SETTING, raising=False)
    encoder = TextEncoder.load(tiny_model(tmp_path / "base", "bert"), precision="auto")
    encoder.save(tmp_path / "saved")
    assert TextEncoder.load(tmp_path / "saved").precision == precision


@pytest.mark.fast_products("bfloat16")
def test_bfloat16_keeps_the_direction_of_a_vector(tmp_path: Path):
    folder = tiny_model(tmp_path / "base", "bert")
    exact, coarse = (encode(TextEncoder.load(folder, precision=one), TEXTS) for one in ("float32", "bfloat16"))
    assert not np.array_equal(exact, coarse)
    assert ((exact * coarse).sum(1) > 0.999).all()


@pytest.mark.parametrize("kind", ["bert", "llama"])
def test_without_units_bfloat16_is_made_in_float32(kind: str, small_processor: None, tmp_path: Path):
    folder = tiny_model(tmp_path / "base", kind)
    exact, half = (TextEncoder.load(folder, precision=one) for one in ("float32", "bfloat16"))
    assert np.array_equal(encode(exact, TEXTS), encode(half, TEXTS))
    groups = half.pad_groups(half.tokens(TEXTS), 2)
    assert torch.equal(exact.eval().encode_groups(groups), half.eval().encode_groups(groups))
    half.save(tmp_path / "saved")
    assert TextEncoder.load(tmp_path / "saved").precision == "bfloat16"


def test_a_precision_the_processor_lacks_is_said_once(
    small_processor: None, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    text_encoder._log_once.cache_clear()
    caplog.set_level("INFO", "artrec.model")
    folder = tiny_model(tmp_path / "base", "bert")
    for precision in ("bfloat16", "float32", "bfloat16"):
        TextEncoder.load(folder, precision=precision)
    assert [line for line in caplog.messages if "bfloat16 products" in line] == caplog.messages
    assert len(caplog.messages) == 1
