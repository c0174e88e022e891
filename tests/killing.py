"""Kill a process of a training under torchrun: python killing.py DIRECTORY FIRST LAST.

For each seed from FIRST to LAST a run on two processes begins, one of them is killed with SIGKILL at a random
moment, torchrun starts both again, and the run must end with the weights of an undisturbed one, bit for bit.
"""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

UPDATES = 300
GIVEN = [
    "experiment=phrasebook",
    "trainer.batch_tokens=240",
    f"trainer.max_steps={UPDATES}",
    "trainer.save_every=7",
    "trainer.num_samples=0",
    "trainer.validate_every=100",
    "decode.workers=1",
    "schedule.warmup_steps=10",
    "machine.precision=fp32",
    *[f"model.{part}_size=16" for part in ("embedding", "encoder", "readout")],
    "model.decoder_size=32",
]
LONGEST = 240.0  # seconds that a run takes at most, or it hangs


class Ended(NamedTuple):
    """A run that was disturbed, or not."""

    status: int
    weights: bytes
    said: str
    resumed_from: int | None  # update
    seconds: float
    killed_after: float  # seconds


def run(directory: Path, name: str, kill: random.Random | None = None, longest: float = 0) -> Ended:
    """Train; with ``kill``, a process that it chooses is killed after at most ``longest`` seconds."""
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--max-restarts=2"]
    began = time.monotonic()
    with subprocess.Popen(
        [*command, "-m", "seq2seq", "train", *GIVEN, f"name={name}"],
        cwd=directory,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as torchrun:
        after = _kill_one(torchrun, kill, longest) if kill else 0.0
        try:
            said, _ = torchrun.communicate(timeout=LONGEST)
        except subprocess.TimeoutExpired:
            torchrun.send_signal(signal.SIGTERM)
            said = f"hangs: {torchrun.communicate()[0]}"
    last = directory / "runs" / name / "last" / "model.safetensors"
    resumed = re.findall(r"resuming from .* update (\d+)", said)
    return Ended(
        torchrun.returncode,
        last.read_bytes() if last.exists() else b"",
        said,
        int(resumed[-1]) if resumed else None,
        time.monotonic() - began,
        after,
    )


def _kill_one(torchrun: subprocess.Popen[str], choose: random.Random, longest: float) -> float:
    """Kill one of the processes of ``torchrun``, at a random moment of their first ``longest`` seconds."""
    children = Path(f"/proc/{torchrun.pid}/task/{torchrun.pid}/children")
    while len(found := children.read_text().split()) < 2 and torchrun.poll() is None:
        time.sleep(0.05)
    time.sleep(after := choose.uniform(0, longest))
    with suppress(ProcessLookupError):  # it was faster
        os.kill(int(choose.choice(found)), signal.SIGKILL)
    return after


def main() -> None:
    directory, first, last = Path(sys.argv[1]), *map(int, sys.argv[2:])
    whole = run(directory, "whole")
    for seed in range(first, last + 1):
        ended = run(directory, f"killed{seed}", kill=random.Random(seed), longest=0.9 * whole.seconds)
        same = (ended.status, ended.weights) == (0, whole.weights)
        began = "from the start" if ended.resumed_from is None else f"after update {ended.resumed_from}"
        print(
            f"seed {seed}: killed after {ended.killed_after:.1f} s, went on {began}, {ended.seconds:.0f} s: "
            f"{'same weights' if same else 'WRONG ' + ended.said}",
            flush=True,
        )


if __name__ == "__main__":
    main()
