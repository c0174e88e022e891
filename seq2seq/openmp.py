"""How OpenMP's threads wait: to be set before torch is imported, since the library reads it while it is loaded."""

from __future__ import annotations

import os
import sys

WAITING = {"GOMP_SPINCOUNT": "300", "KMP_BLOCKTIME": "1"}
"""Of GNU's library, turns of a loop, 300,000 unless set; of LLVM's and Intel's, milliseconds, 200 unless set.

Threads that wait in a loop keep the core from whatever else is running, up to all the time that it could compute.
On two Zen 3 cores, 300 cost a program that is alone nothing; beside a loop on one core it kept 53% of its speed,
2,000 kept 45% and 20,000 kept 21%.
"""


def share_cores() -> None:
    """Let threads sleep after a short wait, unless the user has said how they wait, or torch is there already."""
    if "torch" not in sys.modules and "OMP_WAIT_POLICY" not in os.environ:
        for name, value in WAITING.items():
            os.environ.setdefault(name, value)
