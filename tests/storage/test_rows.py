"""Rows in two arrays: what is written is read back, and rows are taken as from lists."""

from __future__ import annotations

import mmap
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seq2seq.storage.rows import Rows, written_rows

ROW = st.lists(st.integers(0, 2**16 - 1), max_size=5)
ROWS = st.lists(ROW, max_size=8)


@given(st.lists(ROWS, max_size=4))
def test_written_in_pieces_and_read_back(pieces: list[list[list[int]]]) -> None:
    with TemporaryDirectory() as name:
        directory = Path(name)
        with written_rows(directory, "a", np.uint16) as writer:
            for piece in pieces:
                writer.append(Rows.of(piece))
        rows = Rows.open(directory, "a")
        assert rows.tolist() == [row for piece in pieces for row in piece]
        assert rows.values.dtype == np.uint16
        assert isinstance(rows.values.base, mmap.mmap)
        rows.release()
        assert rows.tolist() == [row for piece in pieces for row in piece]


@given(ROWS.filter(bool), st.data(), st.none() | st.integers(0, 6))
def test_rows_are_taken_as_from_lists(lists: list[list[int]], data: st.DataObject, most: int | None) -> None:
    indices = data.draw(st.lists(st.integers(0, len(lists) - 1)))
    rows = Rows.of(lists)
    taken = rows.take(np.array(indices, np.int64), most)
    assert taken.tolist() == [lists[i][:most] for i in indices]
    assert rows.lengths(np.array(indices, np.int64)).tolist() == [len(lists[i]) for i in indices]
    assert rows.followed_by(taken).tolist() == lists + taken.tolist()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.npy", np.zeros(3, np.uint8)),  # fewer values than the rows have
        ("a.npy", np.zeros(5)),  # floats
        ("a.npy", np.zeros((5, 1), np.uint8)),
        ("a.starts.npy", np.array([1, 5])),
        ("a.starts.npy", np.array([0, 6])),
    ],
)
def test_files_that_do_not_fit_together_are_refused(tmp_path: Path, name: str, content: np.ndarray) -> None:
    with written_rows(tmp_path, "a", np.uint8) as writer:
        writer.append(Rows.of([[1, 2], [3, 4, 5]]))
    Rows.open(tmp_path, "a")
    np.save(tmp_path / name, content)
    with pytest.raises(ValueError, match=r"values for rows|\.npy: not a row of whole numbers"):
        Rows.open(tmp_path, "a")


def test_nothing_in_a_file_is_run(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([print], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match=r"a\.npy: not an array"):
        Rows.open(tmp_path, "a")
