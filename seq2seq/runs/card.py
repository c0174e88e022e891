"""The model card in best/: a file of the run until somebody edits it, which its last line shows.

From then on it is never replaced or removed: a new best/ takes it over.
"""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path

from seq2seq.runs.layout import BEST, CARD
from seq2seq.storage.atomic import write_bytes

logger = logging.getLogger(__name__)


def sealed(text: str) -> bytes:
    """A card with the last line by which ``is_edited`` knows whether it is still as it was written."""
    digest = hashlib.sha256(text.encode()).hexdigest()
    return f"{text}\n<!-- seq2seq replaces this file until somebody edits it. {digest} -->\n".encode()


def is_card(file: Path) -> bool:
    """Whether this file is in the place of a card."""
    return file.name == CARD and file.parent.name == BEST and file.is_file() and not file.is_symlink()


def is_edited(file: Path) -> bool:
    """Whether this file is a card that is not as it was written."""
    if not is_card(file):
        return False
    written = file.read_bytes()
    return written != sealed(written.decode("utf-8", "replace").rpartition("\n<!--")[0])


def write_card(best: Path, text: str) -> None:
    """Write a card into ``best``, unless the one there was edited, which a message says."""
    if is_edited(best / CARD):
        logger.warning(
            "%s: edited, so it stays as it is; if its scores are those of an earlier update, remove it, and the "
            "next end of a training writes another",
            best / CARD,
        )
    else:
        write_bytes(best / CARD, sealed(text))
