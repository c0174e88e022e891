"""`seq2seq runs [DIR]`: a table of runs."""

from __future__ import annotations


def main() -> None:
    """Run the command."""
    raise NotImplementedError
