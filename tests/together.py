"""Train in several processes at once: python together.py < JSON.

Standard input is a list of starts, done one after another: the number of processes (size), the command line
(given) and, perhaps, what happens to one of them (fault). It is {"rank", "step", "what"}, the name of a signal or
the message of an error, after that update; or {"rank", "fraction"}: killed after that part of the time of the last
start that came to its end, and the others are ended as torchrun does it. Writes for each start the ``Process`` of
every rank.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from reversals import overrides, settings_of, write_reversals
from safetensors.torch import load_file
from torch.distributed import TCPStore

from seq2seq.commands import frame
from seq2seq.commands.train import train
from seq2seq.distributed.group import joined
from seq2seq.errors import DataError
from seq2seq.settings.schema import TrainConfig


class Process(NamedTuple):
    """What a process left."""

    status: int
    said: str  # on standard error
    loaded: str  # of what only several processes need


class Together:
    """Runs on the same data, each started once or more, in so many processes."""

    def __init__(self, directory: Path, *given: str) -> None:
        self.data = write_reversals(directory, {"train": 60, "valid": 7, "test": 1})
        self._given = given
        self._starts: list[dict[str, Any]] = []
        self._names: list[str] = []
        self.processes: dict[str, list[list[Process]]] = {}

    def add(self, name: str, size: int, *given: str, **fault: Any) -> None:
        command = overrides(self.data, *self._given, *given, f"name={name}")
        self._starts.append({"size": size, "given": command, "fault": fault})
        self._names.append(name)

    def run(self) -> None:
        """All that was added, in the processes of one other process, which imports everything once."""
        done = subprocess.run(
            [sys.executable, __file__],
            input=json.dumps(self._starts),
            capture_output=True,
            text=True,
        )
        assert (done.returncode, done.stderr) == (0, "")
        for name, line in zip(self._names, done.stdout.splitlines(), strict=True):
            self.processes.setdefault(name, []).append([Process(*process) for process in json.loads(line)])

    def ends(self, name: str, start: int = 0) -> list[tuple[int, str]]:
        """Statuses and messages of the ranks, in the first or a later start of the run."""
        return [process[:2] for process in self.processes[name][start]]

    def directory(self, name: str) -> Path:
        return self.data / "runs" / name

    def distance(self, one: str, other: str, checkpoint: str = "last") -> float:
        """The largest difference between the weights of two runs."""
        ours, theirs = (
            load_file(self.directory(name) / checkpoint / "model.safetensors") for name in (one, other)
        )
        assert ours.keys() == theirs.keys()
        return max(float((ours[key] - theirs[key]).abs().max()) for key in ours)


def start(size: int, given: list[str], fault: dict[str, Any], longest: float) -> list[Process]:
    """The ``Process`` of each rank."""
    settings = settings_of(*given)
    with ExitStack() as stack:
        port = stack.enter_context(agents_store())
        files = [stack.enter_context(tempfile.TemporaryFile()) for _ in range(2 * size)]
        pids = []
        for rank in range(size):
            if not (pid := os.fork()):
                os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
                os.dup2(files[2 * rank].fileno(), 2)
                status = one(settings, fault, rank, size, port)
                os.write(files[2 * rank + 1].fileno(), loaded().encode())
                os._exit(status)
            pids.append(pid)
        if "fraction" in fault:
            kill_one(pids, fault["rank"], fault["fraction"] * longest)
        ends = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
        texts = []
        for file in files:
            file.seek(0)
            texts.append(file.read().decode())
    return [Process(*process) for process in zip(ends, texts[::2], texts[1::2], strict=True)]


@contextmanager
def agents_store() -> Iterator[int]:
    """The port of a store in a process of its own, as torchrun's is: one with such threads can't be forked."""
    reading, writing = os.pipe()
    if not (pid := os.fork()):
        store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
        os.write(writing, f"{store.port}\n".encode())
        signal.pause()
    os.close(writing)
    try:
        with os.fdopen(reading) as answer:
            yield int(answer.readline())
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def kill_one(pids: list[int], rank: int, seconds: float) -> None:
    """As torchrun does: it looks after its processes every 0.1 s, and ends the others once one has failed."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if all(map(ended, pids)):  # they were faster
            return
        time.sleep(0.01)
    os.kill(pids[rank], signal.SIGKILL)
    time.sleep(0.1)
    for pid in set(pids) - {pids[rank]}:
        os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + 30
    while any(not ended(pid) for pid in pids):
        if time.monotonic() > deadline:
            sys.exit(f"rank {rank} was killed after {seconds} s: the others hang")
        time.sleep(0.02)


def ended(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


def one(settings: TrainConfig, fault: dict[str, Any], rank: int, size: int, port: int) -> int:
    """What one of the processes does; gives its exit status."""
    os.environ.update(
        RANK=f"{rank}",
        LOCAL_RANK=f"{rank}",
        WORLD_SIZE=f"{size}",
        LOCAL_WORLD_SIZE=f"{size}",
        MASTER_ADDR="127.0.0.1",
        MASTER_PORT=f"{port}",
        TORCHELASTIC_USE_AGENT_STORE="True",
    )
    if "step" in fault:
        happen(**fault)
    try:
        with joined() as group, frame.user_errors(TrainConfig):
            train(settings, group)
    except SystemExit as ended:
        if isinstance(ended.code, str):
            print(ended.code, file=sys.stderr, flush=True)
        return 1 if isinstance(ended.code, str) else int(ended.code or 0)
    return 0


def happen(rank: int, step: int, what: str) -> None:
    """Arrange for it to happen after an update."""
    from seq2seq.training.trainer import Trainer

    update = Trainer.update

    def updated(self: Trainer, batches: list[Any]) -> None:
        update(self, batches)
        if (self.group.rank, self.state.step) == (rank, step):
            if what not in signal.Signals.__members__:
                raise DataError(what)
            os.kill(os.getpid(), signal.Signals[what])

    Trainer.update = updated  # type: ignore[method-assign]


def loaded() -> str:
    """What only several processes need."""
    names = [name for name in sys.modules if name.startswith("seq2seq.distributed.processes")]
    return " ".join([*names, *["a process group"] * torch.distributed.is_initialized()])


def main() -> None:
    import torch._dynamo

    import seq2seq.build.training
    import seq2seq.training.tracker

    torch.set_num_threads(1)
    seq2seq.training.tracker.Tracker.draw_curves = lambda *_, **__: None  # type: ignore[method-assign]
    longest = 0.0
    for one_of_them in json.load(sys.stdin):
        began = time.monotonic()
        processes = start(**one_of_them, longest=longest)
        print(json.dumps(processes), flush=True)
        if all(process.status == 0 for process in processes):
            longest = time.monotonic() - began


if __name__ == "__main__":
    main()
