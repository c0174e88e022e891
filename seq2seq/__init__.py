"""Recurrent sequence-to-sequence translation with attention.

``seq2seq.load("runs/NAME").translate(["Ein Hund läuft."])`` translates with a trained model, and
``seq2seq.load()`` with the one that is built in. Training is a command, ``seq2seq train``; so is everything else,
and ``seq2seq --help`` lists them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seq2seq.errors import CheckpointError, ConfigError, DataError, DecodingError, TrainingError, UserError
from seq2seq.openmp import share_cores

if TYPE_CHECKING:
    from seq2seq.build.inference import load
    from seq2seq.decoding.translator import Candidate, Translation, Translator

__version__ = "0.1.0"
__all__ = [
    "Candidate",
    "CheckpointError",
    "ConfigError",
    "DataError",
    "DecodingError",
    "TrainingError",
    "Translation",
    "Translator",
    "UserError",
    "__version__",
    "load",
]


def __getattr__(name: str) -> Any:
    """Import names that need torch only when they are first used: `seq2seq --help` should not wait for torch."""
    if name in ("load", "Candidate", "Translation", "Translator"):
        share_cores()
    if name == "load":
        from seq2seq.build.inference import load

        return load
    if name in ("Candidate", "Translation", "Translator"):
        from seq2seq.decoding import translator

        return getattr(translator, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
