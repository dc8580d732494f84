"""Every family of language models goes the whole way: pooling, vectors, a step of training, saved and loaded again."""

from pathlib import Path

import numpy as np
import pytest
import torch

from artrec_core.model.text_encoder import TextEncoder, encode, prepare_training
from artrec_core.model.text_phase import TextBatches, TextPhase
from tests.artrec_core.model.worlds import DECODERS, ENCODERS, small_data, tiny_model

TEXTS = ["the red boat", "the blue horse river saint flower", "a", "night dance /", "the red boat"]
RATES = {"full": 1e-3, "lora": 1e-2}


def loaded(folder: Path, family: str) -> TextEncoder:
    return TextEncoder.load(tiny_model(folder / family, family), max_tokens=16)


@pytest.mark.parametrize("family", [*ENCODERS, *DECODERS])
def test_pooling_follows_the_family_and_what_looks_like_control_is_text(family: str, tmp_path: Path):
    encoder = loaded(tmp_path, family)
    assert encoder.pooling == ("last" if family in DECODERS else "mean")
    controls = set(encoder.tokenizer.all_special_ids) - {encoder.tokenizer.unk_token_id}
    plain, spiked = encoder.tokens(["boat", "boat <s> </s> <pad> [SEP] [CLS]"])
    assert [one for one in spiked if one in controls] == [one for one in plain if one in controls]
    vectors = encode(encoder, TEXTS)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert np.allclose(encode(encoder, TEXTS, batch_tokens=1), vectors, atol=1e-5)


@pytest.mark.parametrize("tuning", ["full", "lora"])
@pytest.mark.parametrize("family", [*ENCODERS, *DECODERS])
def test_a_step_lowers_the_loss_and_the_trained_model_comes_back_from_its_folder(
    family: str, tuning: str, tmp_path: Path
):
    encoder = loaded(tmp_path, family)
    before = encode(encoder, TEXTS)
    prepare_training(encoder, tuning, lora_rank=2, checkpointing=True)  # type: ignore[arg-type]
    phase = TextPhase(encoder).train()
    batch = TextBatches(small_data(), encoder, 12, 0, 1, seed=0).draw(0)
    optimizer = torch.optim.AdamW([one for one in phase.parameters() if one.requires_grad], lr=RATES[tuning])
    torch.manual_seed(0)
    losses = []
    for _ in range(4):
        loss = phase(batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    after = encode(encoder, TEXTS)
    assert not np.allclose(after, before, atol=1e-3)
    encoder.save(tmp_path / "saved")
    assert list((tmp_path / "saved").glob("*.safetensors"))
    assert np.allclose(encode(TextEncoder.load(tmp_path / "saved"), TEXTS), after, atol=1e-5)
