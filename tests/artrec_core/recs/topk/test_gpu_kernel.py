"""The kernels, on a GPU or step by step in Triton's interpreter (see conftest.py)."""

from typing import Any

import numpy as np
import pytest
import torch

from artrec_core.recs.topk import gpu_engine, gpu_pruning
from artrec_core.recs.topk.gpu_pruning import Bounds, find_pairs_by_kernel
from artrec_core.recs.topk.gpu_rounding import round_vectors
from tests.artrec_core.recs.hard_vectors import brute, vectors

pytest.importorskip("triton", reason="the kernels need Triton")
kernels: Any = pytest.importorskip("artrec_core.recs.topk.gpu_kernel")
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def test_canonical_scores_are_those_of_the_cpu() -> None:
    rng = np.random.default_rng(2)
    users, items = (torch.from_numpy(vectors("cancelling", 5, 29, rng)) for _ in range(2))
    rows, ids = torch.tensor([4, 0, 3]), torch.tensor([1, 2, 2])
    expected = gpu_engine.canonical_scores_by_torch(users[rows], items[ids])
    scores = kernels.canonical_scores(*(array.to(DEVICE) for array in (users, items, rows, ids)))
    assert scores.tolist() == expected.tolist()
    assert len(kernels.canonical_scores(users, items, rows[:0], ids[:0])) == 0


@pytest.mark.parametrize("kind", ["random", "duplicated", "cancelling", "one loud"])
def test_no_pair_of_the_k_best_is_dropped(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # A small sample and few programs make several passes over the 300 items.
    monkeypatch.setattr(gpu_pruning, "SAMPLE", 32)
    monkeypatch.setattr(gpu_pruning, "PROGRAMS", 2)
    rng = np.random.default_rng(1)
    users, items = vectors("random", 5, 20, rng), vectors(kind, 300, 20, rng)
    device_items = gpu_engine.prepare_items(items, DEVICE, fused=True, tile=kernels.Tile(16, 64, 4, 2))
    rounded = round_vectors(torch.from_numpy(users).to(DEVICE), device_items.rounded.shape[1], torch.float16)
    bounds = Bounds.of(rounded, device_items.scale, 20)
    ranks = torch.full((5,), 3, device=DEVICE)
    pairs = find_pairs_by_kernel(rounded.values, bounds, device_items, ranks, 10**4)
    best_ids, _ = brute(users, items, 3)
    possible = set(zip(pairs.rows.tolist(), pairs.ids.tolist(), strict=True))
    assert pairs.is_complete.all()
    assert {(user, item) for user in range(5) for item in best_ids[user].tolist()} <= possible
    assert all(item < 300 for _, item in possible)


@pytest.mark.parametrize("width", [16, 128, 129, 256, 384, 385, 512])
def test_users_and_loaded_items_fit_shared_memory(width: int) -> None:
    tile = kernels.tile_for(width)
    assert (tile.users + tile.items * tile.stages) * width * 2 <= 227 * 1024


def test_entries_of_the_first_users() -> None:
    tensors = [torch.arange(8).reshape(4, 2) for _ in range(4)]
    entries = kernels.Entries(*tensors, torch.tensor([True, False, True, False])).of(3)
    assert entries.hits.tolist() == [[0, 1], [2, 3], [4, 5]]
    assert entries.overflowed.tolist() == [True, False, True]
