"""Seconds an update takes in one process, in two, and on two hosts with a slow network between them."""

from __future__ import annotations

import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

EXPERIMENT = "multi30k_de_en_luong"
WARM_UP, EVERY = 10, 5  # updates: those that do not count, and those between two rows of metrics.jsonl
HOSTS = "host1", "host2"


class Point(NamedTuple):
    """What one setting was measured to take.

    Attributes:
        processes: that train together.
        beside: other trainings of one process that ran at the same time.
        batch_tokens: the budget of a batch, in padded tokens.
        rate: megabits a second between the two hosts; 0: one host.
        bits: of a number as it is sent.
        tokens: target tokens in an update, on average.
        seconds: that an update takes: the median over stretches of ``EVERY`` updates.
    """

    processes: int
    beside: int
    batch_tokens: int
    rate: int
    bits: int
    tokens: float
    seconds: float


def measured(root: str, batch_tokens: Sequence[int], rates: Sequence[int], updates: int) -> Iterator[Point]:
    """Points for each size of batch: alone, two independent trainings, two processes, two hosts at each rate."""
    for size in batch_tokens:
        yield _point(root, size, updates)
        yield _point(root, size, updates, beside=1)
        yield _point(root, size, updates, processes=2)
        yield _point(root, size, updates, processes=2, bits=16)
        for rate in rates:
            yield _point(root, size, updates, processes=2, rate=rate)


def _point(
    root: str, size: int, updates: int, processes: int = 1, beside: int = 0, rate: int = 0, bits: int = 32
) -> Point:
    with tempfile.TemporaryDirectory() as directory, ExitStack() as stack:
        settings = [
            *("-m", "seq2seq", "train", f"experiment={EXPERIMENT}", f"data.root={root}", f"runs_dir={directory}"),
            *(f"trainer.batch_tokens={size}", f"trainer.max_steps={WARM_UP + updates}"),
            *(f"trainer.log_every={EVERY}", "trainer.validate_unit=steps", "trainer.validate_every=100000"),
            *("machine.precision=fp32", f"trainer.all_reduce={'bf16' if bits == 16 else 'fp32'}"),
        ]
        if rate:
            stack.enter_context(_network(rate))
            commands = [[*_on(host), *settings, "name=0"] for host in HOSTS]
        elif processes > 1:
            commands = [[*_torchrun("--standalone", f"--nproc-per-node={processes}"), *settings, "name=0"]]
        else:
            commands = [[sys.executable, *settings, f"name={i}"] for i in range(1 + beside)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        running = [subprocess.Popen(words, env=environment, stdout=subprocess.DEVNULL) for words in commands]
        if max(process.wait() for process in running):
            raise SystemExit(f"error: {' '.join(commands[0])}: failed")
        tokens, seconds = _stretches(Path(directory) / "0" / "metrics.jsonl")
    return Point(processes, beside, size, rate, bits, tokens, seconds)


def _stretches(rows: Path) -> tuple[float, float]:
    """Target tokens and seconds of an update, from the rows of training after the warm-up."""
    train = [json.loads(line) for line in rows.read_text(encoding="utf-8").splitlines()]
    train = [row for row in train if row["kind"] == "train" and row["step"] >= WARM_UP]
    pairs = [
        (before, after) for before, after in itertools.pairwise(train) if after["step"] - before["step"] == EVERY
    ]
    seconds = [(after["time"] - before["time"]) / EVERY for before, after in pairs]
    tokens = [after["tokens_per_second"] * second for (_, after), second in zip(pairs, seconds, strict=True)]
    return statistics.mean(tokens), statistics.median(seconds)


def _torchrun(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "torch.distributed.run", *arguments]


def _on(host: str) -> list[str]:
    number = HOSTS.index(host) + 1
    arguments = [
        *("--nnodes=2", "--nproc-per-node=1", "--rdzv-backend=c10d", "--rdzv-endpoint=10.77.0.1:29500"),
        *("--rdzv-id=cost", f"--rdzv-conf=is_host={2 - number}", f"--local-addr=10.77.0.{number}"),
    ]
    interface = f"GLOO_SOCKET_IFNAME=veth{number}"
    return ["ip", "netns", "exec", host, "env", interface, *_torchrun(*arguments)]


@contextmanager
def _network(rate: int) -> Iterator[None]:
    """Two network namespaces, joined by a cable that carries ``rate`` megabits a second. Needs root."""

    def run(words: str) -> None:
        subprocess.run(words.split(), check=True)

    try:
        for host in HOSTS:
            names = Path("/etc/netns") / host  # without them each connection waits for a name server
            names.mkdir(parents=True, exist_ok=True)
            (names / "hosts").write_text("127.0.0.1 localhost\n10.77.0.1 host1\n10.77.0.2 host2\n", "utf-8")
            (names / "resolv.conf").write_text("nameserver 127.0.0.1\n", encoding="utf-8")
            run(f"ip netns add {host}")
            run(f"ip -n {host} link set lo up")
        run("ip link add veth1 netns host1 type veth peer name veth2 netns host2")
        for number, host in enumerate(HOSTS, 1):
            run(f"ip -n {host} addr add 10.77.0.{number}/24 dev veth{number}")
            run(f"ip -n {host} link set veth{number} up")
            limit = f"tbf rate {rate}mbit burst 1mb latency 200ms"
            run(f"ip netns exec {host} tc qdisc add dev veth{number} root {limit}")
        yield
    finally:
        for host in HOSTS:
            subprocess.run(["ip", "netns", "del", host], check=False)
