"""A variant of training, in a process of its own: its speed, its memory, and the limit set by its products."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import multiprocessing
import random
import re
import resource
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarking.settings import BenchmarkConfig
from seq2seq import machine, neighbours
from seq2seq.build import training as build
from seq2seq.build.data import read_training_text, tokenizers
from seq2seq.build.model import model as new_model
from seq2seq.build.precision import shapes, training_precision
from seq2seq.data.batch import Batch, TokenizedPairs
from seq2seq.data.loader import gather
from seq2seq.errors import ConfigError
from seq2seq.evaluation.teacher_forcing import batch_loss
from seq2seq.machine import keep_freed_memory, resolve_device, synchronize
from seq2seq.model import Seq2Seq
from seq2seq.model.loss import Loss, output_loss, smoothed_cross_entropy
from seq2seq.precision import FP32, Precision
from seq2seq.runs.layout import run_path
from seq2seq.text.tokenizer_pair import TokenizerPair
from seq2seq.training.optim import new_optimizer

NUM_WORDS = 8000  # of the vocabulary, roughly
STEP = (64, 512, 1536)
LARGE = (2048, 2048, 2048)  # a product whose speed is the processor's
SMALL, SLOW = (128, 128, 128), 5e9  # below this rate, as bf16 without instructions for it, LARGE takes too long
logger = logging.getLogger(__name__)
SPAWN = multiprocessing.get_context("spawn")  # processes that share nothing with this one


class Variant(NamedTuple):
    """A way of computing the same updates."""

    name: str
    fused: bool
    precision: str  # a value of machine.precision
    keeps_memory: bool  # whether the allocator is told to keep what is freed


def variants(config: BenchmarkConfig) -> list[Variant]:
    """The plain loop, and the fast path in each precision; that of ``machine.precision=auto`` is marked."""
    return [
        Variant("plain step loop, fp32, memory as the system has it", False, "fp32", False),
        Variant("plain step loop, fp32, memory kept", False, "fp32", True),
        *(Variant(f"fused, {label}", True, name, True) for name, label in precisions(config).items()),
    ]


def precisions(config: BenchmarkConfig) -> dict[str, str]:
    """The precisions of training → their names in tables."""
    asked, device = config.machine.precision, resolve_device(config.machine.device)
    chosen = precision_of(config, asked).name
    names = dict.fromkeys(("fp32", "bf16", chosen))
    rates = {name: product_rate(Precision(name), device, STEP) for name in ("fp32", "bf16")}
    if chosen != "bf16" and 3 * rates["bf16"] < rates["fp32"]:  # it would take most of the time
        logger.info("bf16 is left out: its products have %.0f%% of the speed", 100 * rates["bf16"] / rates["fp32"])
        del names["bf16"]
    return {name: f"{name} ({asked})" if (name, asked) == (chosen, "auto") else name for name in names}


def precision_of(config: BenchmarkConfig, name: str) -> Precision:
    """What a training run with machine.precision=``name`` would use."""
    settings = dataclasses.replace(config.machine, precision=name)
    return training_precision(settings, resolve_device(settings.device), shapes(config.model, NUM_WORDS))


class Measured(NamedTuple):
    """The results of one round of updates."""

    tokens_per_second: float  # real target tokens
    product_rate: float | None  # operations a second of a large product in this precision, measured right after
    peak_memory: int  # most bytes that the process has used so far
    page_faults: float | None  # for each update


def work(connection: Connection, config: BenchmarkConfig, variant: Variant, sentences: int) -> None:
    """The process of a variant: builds the model, then sends a ``Measured`` whenever it is asked for a round."""
    if variant.keeps_memory:
        keep_freed_memory()
    if config.machine.num_threads is not None:
        torch.set_num_threads(config.machine.num_threads)
    neighbours.give_way(torch.get_num_threads())
    device = resolve_device(config.machine.device)
    precision = precision_of(config, variant.precision)
    config.machine.fused = variant.fused
    torch.manual_seed(config.seed)
    batches, vocab_sizes = fixed_batches(config, sentences)
    model = new_model(config, *vocab_sizes).to(device).train()
    update = updater(config, model, precision, device)
    tokens = sum(len(batch.places) for batch in batches)
    for batch in batches:
        update(batch)
    connection.send("ready")
    while connection.recv() == "round":
        alone = time.monotonic() + 2 * neighbours.SECONDS  # by then it is noticed that the one before has ended
        while time.monotonic() < alone:
            update(batches[0])
        started, faults = time.perf_counter(), page_faults()
        for batch in batches:
            update(batch)
        synchronize(device)
        speed, faults = tokens / (time.perf_counter() - started), page_faults() - faults
        rate = product_rate(precision, device, SMALL)
        if rate > SLOW:
            rate = product_rate(precision, device)
        connection.send(Measured(speed, rate, peak_memory(device), faults / len(batches)))


def seconds_to_first_update(config: BenchmarkConfig) -> float:
    """From the start of a process that has read its settings to the end of its first update; caches are warm."""
    ours, theirs = SPAWN.Pipe()
    process = SPAWN.Process(target=first_update, args=(theirs, config), daemon=True)
    started = time.perf_counter()
    process.start()
    theirs.close()
    ours.recv()
    seconds = time.perf_counter() - started
    process.join()
    return seconds


def first_update(connection: Connection, config: BenchmarkConfig) -> None:
    """Do what train.py does, up to the first update."""
    with TemporaryDirectory() as runs:
        config.runs_dir = runs
        config.name = "first"
        run_path(config).mkdir()
        machine.prepare(config.machine.num_threads)
        trainer = build.training(config)
        trainer.update([next(iter(trainer.loader.epoch(0)))])
        connection.send("done")


class Worker:
    """A variant in a process of its own."""

    def __init__(self, config: BenchmarkConfig, variant: Variant, sentences: int) -> None:
        self.name, self._sentences = variant.name, sentences
        self._connection, theirs = SPAWN.Pipe()
        self._process = SPAWN.Process(target=work, args=(theirs, config, variant, sentences), daemon=True)
        self._process.start()
        theirs.close()  # so that the end of the process is noticed here
        self._answer()  # wait until it has warmed up: it must not do that while another one is timed

    def round(self) -> Measured:
        """All batches once."""
        with contextlib.suppress(BrokenPipeError):  # ``_answer`` explains it
            self._connection.send("round")
        measured: Measured = self._answer()
        return measured

    def _answer(self) -> Any:
        try:
            return self._connection.recv()
        except (EOFError, ConnectionError):
            self._process.join()
            raise ConfigError(
                f"benchmark.sentences={self._sentences}: the process of '{self.name}' ended with status "
                f"{self._process.exitcode}; was the memory enough?"
            ) from None

    def close(self) -> None:
        """End the process."""
        self._connection.send("end")
        self._process.join()


def updater(
    config: BenchmarkConfig, model: Seq2Seq, precision: Precision, device: torch.device
) -> Callable[[Batch], None]:
    """One update, as the trainer makes it."""
    loss_of = output_loss if config.machine.fused else loss_of_all_logits
    optimizer = new_optimizer(model.parameters(), config.optimizer)

    def update(batch: Batch) -> None:
        with precision.products(device):
            loss = batch_loss(model, batch.to(device), config.trainer.label_smoothing, loss_of)
        (loss.smoothed / len(batch.places)).backward()
        nn.utils.clip_grad_norm_(model.parameters(), config.trainer.clip_norm or float("inf"))
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return update


def loss_of_all_logits(output: nn.Linear, readout: Tensor, targets: Tensor, smoothing: float) -> Loss:
    """The loss by its definition, with all logits at once."""
    return smoothed_cross_entropy(output(readout), targets, smoothing)


class Corpus(NamedTuple):
    """The training split, cleaned and split into tokens."""

    tokenizers: TokenizerPair
    pairs: TokenizedPairs


def training_corpus(config: BenchmarkConfig) -> Corpus:
    """The training split; tokenizers and tokens are cached."""
    pair, tokens, _ = tokenizers(config, read_training_text(config.data))
    numbers = np.arange(len(tokens))
    return Corpus(pair, tokens.take(numbers[~tokens.over_length(numbers, config.data.max_length)]))


def groups(config: BenchmarkConfig, pairs: TokenizedPairs, sentences: int) -> list[list[int]]:
    """The pairs of each batch: ``sentences`` of similar length, drawn from all lengths."""
    order = sorted(range(len(pairs)), key=lambda i: (len(pairs.tgt[i]), len(pairs.src[i])))
    chosen = [order[i : i + sentences] for i in range(0, len(order), sentences)][:-1]
    if not chosen:
        raise ConfigError(f"benchmark.sentences={sentences}: the corpus has only {len(pairs):,} pairs")
    random.Random(config.seed).shuffle(chosen)
    return chosen[: config.benchmark.batches]


def fixed_batches(config: BenchmarkConfig, sentences: int) -> tuple[list[Batch], tuple[int, int]]:
    """The batches that every contender trains on, and the sizes of the vocabularies."""
    pair, pairs = training_corpus(config)
    chosen = groups(config, pairs, sentences)
    return [gather(pairs, np.array(group)) for group in chosen], (len(pair.src), len(pair.tgt))


def products_of(config: BenchmarkConfig, vocab_sizes: tuple[int, int], batch: Batch) -> float:
    """Floating-point operations of the matrix products in an update on ``batch``.

    Counted by torch from the shapes that the plain model multiplies, forward and backward, in one update.
    """
    fused, config.machine.fused = config.machine.fused, False
    with torch.random.fork_rng(devices=[]), FlopCounterMode(display=False) as counter:
        model = new_model(config, *vocab_sizes)
        updater(config, model, FP32, torch.device("cpu"))(batch)
    config.machine.fused = fused
    return float(counter.get_total_flops())


def product_rate(
    precision: Precision, device: torch.device, shape: tuple[int, int, int] = LARGE, repeats: int = 5
) -> float:
    """Operations a second of the fastest product of matrices, (m, k) and (k, n); stops after a second."""
    m, k, n = shape
    left = torch.randn(m, k, dtype=precision.dtype, device=device)
    right = torch.randn(k, n, dtype=precision.dtype, device=device)
    seconds: list[float] = []
    while len(seconds) < repeats and sum(seconds) < 1:  # bf16 without instructions for it is slow
        started = time.perf_counter()
        left @ right
        synchronize(device)
        seconds.append(time.perf_counter() - started)
    return 2 * m * k * n / min(seconds)


def page_faults() -> int:
    """How many pages of memory the kernel has given to this process."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


def peak_memory(device: torch.device) -> int:
    """Peak bytes, of the GPU if there is one, else of the process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return peak_of_process("self") or 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def peak_of_process(process: int | str) -> int:
    """Most bytes that a running process has used; 0 if there is no /proc.

    The kernel's other figure, ru_maxrss, starts from the memory of the parent when it started the process.
    """
    try:
        status = Path(f"/proc/{process}/status").read_text(encoding="utf-8")
    except OSError:
        return 0
    peak = re.search(r"VmHWM:\s*(\d+) kB", status)
    return 1024 * int(peak[1]) if peak else 0
