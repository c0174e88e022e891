"""How OpenMP's threads wait: to be set before torch is imported, since the library reads it while it is loaded."""

from __future__ import annotations

import os
import sys

WAITING = {"KMP_BLOCKTIME": "1"}
"""Of LLVM's and Intel's library, milliseconds; 200 unless set. ``seq2seq.neighbours`` does this for GNU's.

Threads that wait in a loop keep the core from whatever else is running, up to all the time that it could compute.
"""


def share_cores() -> None:
    """Let threads sleep after a short wait, unless the user has said how they wait, or torch is there already."""
    if "torch" not in sys.modules and "OMP_WAIT_POLICY" not in os.environ:
        for name, value in WAITING.items():
            os.environ.setdefault(name, value)
