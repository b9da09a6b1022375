"""Ragged arrays and sparse lines."""

import numpy as np

from shortlist.data.ragged import lines_of


def test_lines_of_arrays_hold_these_arrays_also_where_they_are_parts_of_a_file() -> None:
    file = np.arange(100, dtype=np.float32)  # SciPy's own constructor copies so small a part
    columns, offsets = np.array([2, 0, 1], np.int32), np.array([0, 1, 3], np.int32)
    lines = lines_of(file[5:8], columns, offsets, (2, 3))
    assert np.shares_memory(lines.data, file)
    assert lines.toarray().tolist() == [[0, 0, 5], [6, 7, 0]]
