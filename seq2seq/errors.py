"""Errors meant for the person at the terminal: one line that names the place, the value and the remedy."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable


class UserError(Exception):
    """Something that the user can put right; printed as one line, without a traceback."""


class ConfigError(UserError):
    """A setting is wrong. The message names its full key, its value and what is valid."""


class DataError(UserError):
    """A data file is missing or malformed. The message names ``path`` or ``path:line``."""


class TrainingError(UserError):
    """Training can't continue. The message says how far it has come and what to try."""


class DecodingError(UserError):
    """Search can't continue. The message says why and what to try."""


class CheckpointError(UserError):
    """A run directory or checkpoint can't be used as asked."""


class ExportError(UserError):
    """A model can't be exported as asked. The message says why and what to try."""


def out_of_memory(error: BaseException) -> bool:
    """Whether ``error`` means that memory is too small: Python's own error, or torch's, which has no own type."""
    said = re.search("out of memory|not enough memory|can't allocate|bad_alloc|calculation overflowed", str(error))
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and bool(said))


def lost_process(error: BaseException) -> str | None:
    """What became of the connection, if ``error`` means that another process of a training can't be reached."""
    if not isinstance(error, RuntimeError) or not re.search("gloo|NCCL|TCPStore|SocketImpl", str(error)):
        return None  # torch raises these as RuntimeError
    return re.sub(r"^\[\S+\] |\. This is typically.*", "", " ".join(str(error).split()))[:120]


def did_you_mean(given: object, valid: Iterable[str]) -> str:
    """'; did you mean X?' for the nearest of ``valid``, or nothing."""
    nearest = difflib.get_close_matches(str(given), list(valid), n=1, cutoff=0.6)
    return f"; did you mean {nearest[0]}?" if nearest else ""
