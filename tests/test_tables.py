"""Tables of plain text."""

import pytest

from seq2seq.tables import table

ROWS = [("name", "lines", "what"), ("a", "1,234", "{} is kept"), ("longer", "5", "")]


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    assert table(ROWS) == ["name    lines  what", "a       1,234  {} is kept", "longer  5"]


def test_numbers_stand_on_the_right() -> None:
    assert table(ROWS, "<><") == ["name    lines  what", "a       1,234  {} is kept", "longer      5"]
    assert table([row[:2] for row in ROWS], ">") == ["  name  lines", "     a  1,234", "longer      5"]


def test_rows_of_unequal_length_are_refused() -> None:
    with pytest.raises(ValueError, match="argument 2 is shorter"):
        table([("a", "b"), ("c",)])
