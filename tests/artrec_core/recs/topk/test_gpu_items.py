"""The items on a device: every row once, in tiles whose bounds hold for each of their rows, checked in float64."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from artrec_core.recs.topk import gpu_engine
from tests.artrec_core.recs.hard_vectors import KINDS, vectors


@settings(max_examples=60, deadline=None)
@given(
    kind=st.sampled_from(KINDS), item_count=st.integers(1, 60), dim=st.integers(1, 20), items_in_tile=st.sampled_from([1, 7, 64]),
    dtype=st.sampled_from([torch.bfloat16, torch.float16, torch.float32]), seed=st.integers(0, 2**20),
)  # fmt: skip
def test_the_bounds_of_a_tile_hold_for_each_of_its_items(
    kind: str, item_count: int, dim: int, items_in_tile: int, dtype: torch.dtype, seed: int
) -> None:
    rows = vectors(kind, item_count, dim, np.random.default_rng(seed))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gpu_engine, "ITEMS_WITHOUT_KERNEL", items_in_tile)
        items = gpu_engine.prepare_items(rows, torch.device("cpu"), dtype=dtype)
    assert np.array_equal(items.vectors.numpy(), rows)
    assert sorted(items.order.tolist()) == list(range(item_count))
    assert (len(items.rounded) % items_in_tile, items.items_in_tile, items.tile) == (0, items_in_tile, None)
    assert not items.rounded[item_count:].any()
    exact = items.vectors[items.order].double() * items.scale
    lost = (exact - items.rounded[:item_count, :dim].double()).norm(dim=1)
    tiles = torch.arange(item_count) // items_in_tile
    assert (exact.norm(dim=1) <= items.lengths[tiles]).all()
    assert (lost <= items.lost[tiles]).all()
    longest = float(exact.norm(dim=1).max())
    assert longest == 0 or 0.5 <= longest < 1
