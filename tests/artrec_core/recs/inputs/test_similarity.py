"""Similar artworks are those in the nearest direction."""

import numpy as np

from artrec_core.recs.inputs.similarity import list_diversity, similar_artworks, unit_rows
from artrec_core.recs.topk.search import PreparedItems

VECTORS = np.array([[1, 0], [10, 1], [0, 2], [0, 0]], np.float32)


def test_the_nearest_direction_comes_first_and_the_artwork_itself_never() -> None:
    ids, cosines = similar_artworks(PreparedItems(unit_rows(VECTORS)), 3, np.arange(0, 4))
    assert ids.tolist() == [[1, 2, 3], [0, 2, 3], [1, 0, 3], [0, 1, 2]]
    np.testing.assert_allclose(cosines[0], [10 / np.sqrt(101), 0, 0], rtol=1e-6)


def test_parts_give_the_same_rows() -> None:
    all_ids = similar_artworks(PreparedItems(unit_rows(VECTORS)), 2, np.arange(0, 4))[0]
    parts = [similar_artworks(PreparedItems(unit_rows(VECTORS)), 2, np.arange(row, row + 1))[0] for row in range(4)]
    np.testing.assert_array_equal(np.vstack(parts), all_ids)


def test_diversity_is_one_minus_the_mean_cosine() -> None:
    items = np.array([[2, 0], [0, 1], [3, 0], [0, 0]], np.float32)
    values = list_diversity(np.array([[0, 1, 2], [0, 2, -1], [1, -1, -1], [0, 1, 3]], np.int32), unit_rows(items))
    np.testing.assert_allclose(values, [1 - 1 / 3, 0, 1])
