"""Lists are read from a file as they were written."""

from pathlib import Path

import numpy as np

from artrec_core.evaluation.lists import read_lists, write_lists


def test_lists_are_read_as_they_were_written(tmp_path: Path):
    user_ids, artwork_ids = ["ann", "ben", "cat"], ["a", "b", "c"]
    ids = np.array([[2, 0, 1], [1, -1, -1], [-1, -1, -1]], np.int32)
    scores = np.where(ids >= 0, np.float32([3, 2, 1]), np.float32("-inf")).astype(np.float32)
    write_lists(tmp_path / "lists.parquet", user_ids, artwork_ids, ids, scores)
    np.testing.assert_array_equal(read_lists(tmp_path / "lists.parquet", user_ids, artwork_ids, 3), ids)
    np.testing.assert_array_equal(read_lists(tmp_path / "lists.parquet", user_ids[1:], artwork_ids, 2), ids[1:, :2])
