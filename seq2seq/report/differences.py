"""What a translation has otherwise than its reference, word by word."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import SequenceMatcher

from seq2seq.report.words import Unit, units


def marked(reference: str, hypothesis: str) -> list[tuple[str, str]]:
    """Parts of both texts as (kind, text), in an order that reads as one line.

    The kinds are "same" (in both), "ins" (in the hypothesis alone) and "del" (in the reference alone). A text
    begins with a space if one is before it. Those of "same" and "ins", joined, are the hypothesis with single
    spaces.

    >>> marked("The cat sleeps.", "The dog sleeps.")
    [('same', 'The'), ('del', ' cat'), ('ins', ' dog'), ('same', ' sleeps.')]
    """
    theirs, ours = units(reference), units(hypothesis)
    parts: list[tuple[str, str]] = []
    matcher = SequenceMatcher(None, [unit.text for unit in theirs], [unit.text for unit in ours], autojunk=False)
    for kind, begin, end, first, last in matcher.get_opcodes():
        if kind == "equal":
            parts.append(("same", _joined(ours[first:last])))
        else:
            parts += [("del", _joined(theirs[begin:end])), ("ins", _joined(ours[first:last]))]
    filled = [(kind, text) for kind, text in parts if text]
    return [(kind, text if i else text.removeprefix(" ")) for i, (kind, text) in enumerate(filled)]


def _joined(some: Sequence[Unit]) -> str:
    return "".join(" " * unit.spaced + unit.text for unit in some)
