"""Train runs that die of kill -9 at a given change of their files: python dying.py OVERRIDES... < JSON.

Standard input is {name: [n, ...]}: the first start of the run ``name`` dies just before its n-th change (a file
opened for writing by Python, renamed, cut or removed; a directory made or removed), the next at the next of the
numbers; a last start goes to the end. Writes, for each run, the changes that each start made.
"""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import sys
from collections.abc import Callable

from reversals import settings_of

from seq2seq.commands.train import train
from seq2seq.settings.schema import TrainConfig

CHANGES = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.truncate"}


def count_changes(die_at: int | None) -> Callable[[], int]:
    """Count them from now on, and end at number ``die_at``."""
    changes = 0

    def count(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal changes
        opened = event == "open" and int(str(arguments[2])) & (os.O_WRONLY | os.O_RDWR)
        if opened or event in CHANGES:
            changes += 1
            if changes == die_at:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)
    return lambda: changes


def start(settings: TrainConfig, die_at: int | None) -> int:
    """In a process of its own; gives how many changes it made, or would have made."""
    reading, writing = os.pipe()
    if not (process := os.fork()):
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        changes = count_changes(die_at)
        train(settings)
        os.write(writing, str(changes()).encode())
        os._exit(0)
    os.close(writing)
    _, status = os.waitpid(process, 0)
    with os.fdopen(reading) as answer:
        text = answer.read()
    died = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    assert died if die_at and not text else status == 0, f"{settings.name}: died at {die_at}, status {status}"
    return int(text or die_at or 0)


def main() -> None:
    wanted: dict[str, list[int]] = json.load(sys.stdin)
    settings = settings_of(*sys.argv[1:])
    # Once, before the processes part: what training imports sooner or later.
    import torch._dynamo  # noqa: F401

    import seq2seq.build.training
    import seq2seq.report.card
    import seq2seq.report.training  # noqa: F401

    for name, deaths in wanted.items():
        run = dataclasses.replace(settings, name=name)
        made = [start(run, die_at) for die_at in [*deaths, None]]
        print(json.dumps([name, made]), flush=True)


if __name__ == "__main__":
    main()
