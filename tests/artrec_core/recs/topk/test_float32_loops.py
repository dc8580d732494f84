import numpy as np
import pytest

from artrec_core.recs.topk.float32_loops import first_floor, nth_smallest


@pytest.mark.parametrize("size", [1, 2, 3, 17, 400])
@pytest.mark.parametrize("kind", ["different", "all equal", "few different", "sorted", "with infinities"])
def test_the_nth_smallest_is_where_a_sort_puts_it(size: int, kind: str):
    rng = np.random.default_rng(size)
    values = rng.standard_normal(size)
    if kind == "all equal":
        values[:] = -1.5
    if kind == "few different":
        values = np.round(values)
    if kind == "sorted":
        values.sort()
    if kind == "with infinities":
        values[rng.random(size) < 0.4] = -np.inf
    original = values.copy()
    assert [nth_smallest(values, n) for n in range(size)] == sorted(original.tolist())
    assert np.array_equal(values, original)


@pytest.mark.parametrize("size", [16, 40, 4096])
@pytest.mark.parametrize("kind", ["random", "equal", "falling"])
def test_enough_scores_reach_the_first_floor(size: int, kind: str):
    rng = np.random.default_rng(size)
    scores_by_kind = {"random": rng.standard_normal(size), "equal": np.ones(size), "falling": -np.arange(size)}
    scores = scores_by_kind[kind].astype(np.float32)
    pieces = size // 16
    for n in range(1, pieces + 1):
        floor = first_floor(scores, n, 16)
        assert np.isfinite(floor)
        assert (scores >= floor).sum() >= n
    assert first_floor(scores, pieces + 1, 16) == -np.inf


def test_the_first_floor_is_close_to_the_best_scores():
    scores = np.random.default_rng(0).standard_normal(4096).astype(np.float32)
    assert (scores >= first_floor(scores, 100, 16)).sum() < 200
