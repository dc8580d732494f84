import numpy as np
import pytest

from artrec_core.recs.selection import nth_smallest


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
    given = values.copy()
    assert [nth_smallest(values, n) for n in range(size)] == sorted(given.tolist())
    assert np.array_equal(values, given)
