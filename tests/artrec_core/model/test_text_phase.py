import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from artrec_core.columns import ARTWORK, DOCUMENT, conform
from artrec_core.data.documents import with_documents
from artrec_core.data.sources.demo import artwork, raw_lines
from artrec_core.model.text_encoder import TextEncoder
from artrec_core.model.text_phase import GROUPS, TextBatch, TextBatches, TextPhase
from tests.artrec_core.model.worlds import small_data, tiny_model


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> TextEncoder:
    return TextEncoder.load(tiny_model(tmp_path_factory.mktemp("tiny")), max_tokens=64).eval()


def demo_documents() -> list[str]:
    artworks = pl.DataFrame([artwork(json.loads(line)) for line in raw_lines()], infer_schema_length=None)
    return with_documents(conform(artworks, ARTWORK), 60)[DOCUMENT].to_list()


def batches(encoder: TextEncoder, *, batch_size: int = 12, rank: int = 0, augment: float = 0.0) -> TextBatches:
    return TextBatches(small_data(), encoder, batch_size, rank, 2, seed=3, augment=augment)


def same(first: TextBatch, second: TextBatch) -> bool:
    if len(first.targets) != len(second.targets):
        return False
    return all(torch.equal(a.ids, b.ids) for a, b in zip(first.texts, second.texts, strict=True))


@pytest.mark.parametrize("max_tokens", [64, 128])
def test_padding_is_under_a_tenth_of_the_tokens(encoder: TextEncoder, max_tokens: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(encoder, "max_tokens", max_tokens)
    documents = demo_documents()
    assert len(documents) > 600
    queries = [(document.split(". ")[0], row) for row, document in enumerate(documents)]
    data = replace(
        small_data(), documents=documents, artwork_ids=[str(row) for row in range(len(documents))], queries=queries
    )
    museum_batches = TextBatches(data, encoder, 64, 0, 1, seed=0, augment=0.25)
    shares = [museum_batches.draw(step).padding_share for step in range(5)]
    assert max(shares) < 0.1, shares
    assert min(shares) > 0


def test_a_step_is_drawn_from_its_number_alone(encoder: TextEncoder):
    first_worker = batches(encoder, augment=0.5)
    steps = [first_worker.draw(step) for step in range(4)]
    assert same(batches(encoder, augment=0.5).draw(3), steps[3])
    assert not same(steps[2], steps[3])
    assert not same(batches(encoder, augment=0.5, rank=1).draw(3), steps[3])
    assert len({first_worker.dropout_seed(step) for step in range(4)} | {batches(encoder, rank=1).dropout_seed(0)}) == 5


def test_every_worker_encodes_as_many_groups(encoder: TextEncoder):
    assert {len(batches(encoder, rank=rank).draw(step).texts) for rank in (0, 1) for step in range(3)} == {GROUPS}
    assert len(batches(encoder, batch_size=3).draw(0).texts) == 3


def test_groups_do_not_change_the_loss(encoder: TextEncoder):
    batch = batches(encoder).draw(0)
    texts = {
        int(row): ids[: int(mask.sum())].tolist()
        for group in batch.texts
        for row, ids, mask in zip(*group, strict=True)
    }
    whole = replace(batch, texts=encoder.pad_groups([texts[row] for row in range(len(texts))], 1))
    phase = TextPhase(encoder)
    assert torch.allclose(phase(batch), phase(whole), atol=1e-5)
    assert batch.padding_share < whole.padding_share


def test_only_the_augmented_share_of_documents_changes(encoder: TextEncoder):
    documents = [f"{document}. red lion. blue river. angel." for document in small_data().documents]
    data = replace(small_data(), documents=documents)
    plain, half, full = (
        TextBatches(data, encoder, 24, 0, 1, seed=0, augment=share)._documents(np.arange(24), np.random.default_rng(0))
        for share in (0.0, 0.5, 1.0)
    )
    assert plain == encoder.tokens(documents)
    changed = [sum(a != b for a, b in zip(tokens, plain, strict=True)) for tokens in (half, full)]
    assert 0 < changed[0] < changed[1]


def test_without_matching_no_query_is_encoded_or_counted(encoder: TextEncoder):
    batch = TextBatches(small_data(), encoder, 12, 0, 2, seed=3, matching=False).draw(0)
    with_queries = batches(encoder).draw(0)
    assert (len(batch.query_targets), len(with_queries.query_targets) > 0) == (0, True)
    assert sum(len(group.rows) for group in batch.texts) == batch.artwork_count
    assert torch.allclose(TextPhase(encoder)(batch), TextPhase(encoder, matching=0.0)(with_queries))


def test_a_catalogue_without_queries_or_events_trains_nothing_but_does_not_break(encoder: TextEncoder, tmp_path: Path):
    data = small_data()
    nobody = data.histories.take(np.zeros(0, np.int64))
    bare = replace(data, histories=nobody, user_ids=[], queries=[], interest_of=np.zeros(0, np.int64))
    loss = TextPhase(encoder)(TextBatches(bare, encoder, 8, 0, 1, seed=0).draw(0))
    assert loss.item() == 0
