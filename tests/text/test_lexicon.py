"""The lexicon as a file: it comes back, and nothing else is taken for one."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save

from seq2seq.errors import CheckpointError
from seq2seq.text.lexicon import Lexicon

ROWS = [[], [4, 5], [], [6]]


def lexicon_of(rows: list[list[int]], frequent: list[int]) -> Lexicon:
    targets = [target for row in rows for target in row]
    return Lexicon(*(torch.tensor(part, dtype=torch.int32) for part in (targets, [*map(len, rows)], frequent)))


def test_round_trip(tmp_path: Path) -> None:
    lexicon = lexicon_of(ROWS, [6, 4])
    lexicon.save(tmp_path / "file")
    assert all(map(torch.equal, Lexicon.load(tmp_path / "file", 4, 7), lexicon))


@given(st.lists(st.lists(st.integers(4, 9), max_size=5), min_size=1, max_size=5), st.integers(1, 6))
def test_the_best_of_each_piece(rows: list[list[int]], count: int) -> None:
    table = lexicon_of(rows, []).best(count, 3)
    assert table.tolist() == [[*row, *[3] * count][:count] for row in rows]


GOOD = lexicon_of(ROWS, [6, 4])


@pytest.mark.parametrize(
    "wrong",
    [
        GOOD._replace(targets=GOOD.targets.long()),
        GOOD._replace(targets=GOOD.targets[:-1]),
        GOOD._replace(targets=torch.tensor([4, 5, 7], dtype=torch.int32)),
        GOOD._replace(targets=torch.tensor([4, 5, -1], dtype=torch.int32)),
        GOOD._replace(frequent=torch.tensor([7], dtype=torch.int32)),
        GOOD._replace(frequent=GOOD.frequent.unsqueeze(0)),
        GOOD._replace(lengths=GOOD.lengths[:-1]),
        GOOD._replace(lengths=torch.tensor([-1, 3, 0, 1], dtype=torch.int32)),
    ],
)
def test_numbers_of_other_vocabularies_are_refused(tmp_path: Path, wrong: Lexicon) -> None:
    wrong.save(tmp_path / "file")
    with pytest.raises(CheckpointError, match=r"file: not a lexicon of 4 source and 7 target pieces$"):
        Lexicon.load(tmp_path / "file", 4, 7)


@pytest.mark.parametrize("content", [None, b"", b"\0" * 20, save({"targets": GOOD.targets})])
def test_no_lexicon_at_all_is_refused(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "file").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"file: not a readable lexicon \(.+\)$"):
        Lexicon.load(tmp_path / "file", 4, 7)
