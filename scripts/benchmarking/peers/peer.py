"""A toolkit as a contender: the same sentences, pieces and sizes, in processes of its own environment."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from benchmarking.peers.toolkit import Job, Toolkit
from benchmarking.settings import BenchmarkConfig
from benchmarking.training import Corpus, Measured, groups, training_corpus
from seq2seq.errors import ConfigError
from seq2seq.openmp import WAITING
from seq2seq.text.tokenizer import UNK
from seq2seq.text.tokenizer_pair import TokenizerPair

DRIVER = Path(__file__).with_name("driver.py")
PASSES = 3  # over the batches of a round: the last one is timed
MODEL_SENTENCES = 128  # of a batch, in training the model to search with
SEARCH_SENTENCES = 64  # of a batch in search


class Searched(NamedTuple):
    """The results of one pass over the test set."""

    seconds: float
    translations: list[str]
    peak_memory: int  # most bytes that the process has used


class Peer:
    """A toolkit in the environment ``benchmark.peers_dir``/KEY, with files in ``directory``/KEY.

    Raises:
        ConfigError: it is not installed there, or has no such attention.
    """

    def __init__(self, config: BenchmarkConfig, toolkit: Toolkit, directory: Path) -> None:
        self.name, self._toolkit, self._config = toolkit.name, toolkit, config
        self._directory = directory / toolkit.key
        self._python = Path(config.benchmark.peers_dir).resolve() / toolkit.key / "bin" / "python"
        if not self._python.exists():
            raise ConfigError(
                f"benchmark.peers_dir={config.benchmark.peers_dir}: no {toolkit.key} there; run make peers"
            )
        if config.attention.variant not in toolkit.scores:
            raise ConfigError(
                f"benchmark.peers={toolkit.key}: {toolkit.name} has no attention {config.attention.variant}"
            )

    def trainer(self, sentences: int) -> PeerTraining:
        """A contender in training, with batches of ``sentences``."""
        corpus = training_corpus(self._config)
        chosen = groups(self._config, corpus.pairs, sentences)
        updates = PASSES * len(chosen)
        job = Job(self._directory / f"train-{sentences}", sentences, in_order=True, updates=updates)
        rows = [row for group in chosen for row in group]
        write_job(self._config, self._toolkit, job, corpus, rows)
        tokens = sum(len(corpus.pairs.tgt[row]) + 1 for row in rows)  # with the sentence end
        return PeerTraining(self, job, len(chosen), tokens)

    def train(self, job: Job, updates: int) -> dict[str, Any]:
        """The driver's report, with the time after every ``updates`` updates."""
        module, *words = self._toolkit.train
        return self.drive(job.directory, "train", str(updates), module, *words, job.file("train.yaml"))

    def drive(self, directory: Path, task: str, *arguments: str) -> dict[str, Any]:
        """Run the driver in the peer's environment; returns its report.

        Raises:
            ConfigError: it fails.
        """
        # -I: neither our PYTHONPATH nor the driver's directory, whose modules are named like the toolkits
        report, log = directory / f"{task}.json", directory / f"{task}.log"
        report.unlink(missing_ok=True)
        words = [str(self._python), "-I", str(DRIVER), task, str(report.resolve()), *arguments]
        environment = {key: value for key, value in os.environ.items() if WAITING.get(key) != value}  # not ours
        environment["TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"] = "1"  # its own checkpoint is a pickle
        if (threads := self._config.machine.num_threads) is not None:
            environment["OMP_NUM_THREADS"] = str(threads)
        with log.open("w", encoding="utf-8") as stream:
            done = subprocess.run(words, stdout=stream, stderr=stream, env=environment, check=False)
        if done.returncode != 0 or not report.exists():
            raise ConfigError(f"benchmark.peers={self._toolkit.key}: {task} failed; see {log}")
        result: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))
        return result

    def model(self) -> str:
        """The path of a model trained for ``benchmark.peer_updates``, by this call or an earlier one."""
        config, corpus = self._config, training_corpus(self._config)
        job = Job(self._directory, MODEL_SENTENCES, in_order=False, updates=config.benchmark.peer_updates)
        described = repr(
            (self._toolkit.settings(config, job), corpus.pairs.src.tolist(), corpus.pairs.tgt.tolist())
        )
        name = f"model-{hashlib.sha256(described.encode()).hexdigest()[:12]}"
        job = job._replace(directory=self._directory / name)
        if not (job.directory / "train.json").exists():  # written at the end of training
            write_job(config, self._toolkit, job, corpus, range(len(corpus.pairs)))
            self.train(job, job.updates)
        return self._toolkit.model(job)

    def translate(self, pair: TokenizerPair, lines: Sequence[str], beam_size: int) -> Searched:
        """From text to text, where the pieces are made and joined by our tokenizers.

        The time is ours for the pieces and the peer's from pieces to pieces. Starting it and
        loading its model are left out, as they are with our own search.
        """
        model = self.model()
        started = time.perf_counter()
        src = [" ".join(pair.src.pieces(row)) for row in pair.src.encode(lines)]
        seconds = time.perf_counter() - started
        given = self._directory / "test.src"
        given.write_text("".join(f"{line}\n" for line in src), encoding="utf-8", newline="\n")
        options = (model, str(beam_size), str(SEARCH_SENTENCES), str(given.resolve()))
        report = self.drive(self._directory, "translate", self._toolkit.key, *options)
        ids = {piece: i for i, piece in enumerate(pair.tgt.pieces(range(len(pair.tgt))))}
        started = time.perf_counter()
        rows = ([ids.get(piece, UNK) for piece in line.split(" ")] for line in report["lines"])
        translations = [pair.tgt.decode(row) for row in rows]
        seconds += report["seconds"] + time.perf_counter() - started
        return Searched(seconds, translations, report["peak_memory"])


class PeerTraining:
    """A toolkit's training, started anew for each round, on the batches that we train on, in their order."""

    def __init__(self, peer: Peer, job: Job, updates: int, tokens: int) -> None:
        self.name, self._peer, self._job, self._updates, self._tokens = peer.name, peer, job, updates, tokens

    def round(self) -> Measured:
        """Target tokens of the batches over the seconds between its updates in the last pass."""
        report = self._peer.train(self._job, self._updates)
        before, after = report["times"][-2:]
        return Measured(self._tokens / (after - before), None, report["peak_memory"], None)

    def close(self) -> None:
        """Nothing runs between rounds."""


def write_job(config: BenchmarkConfig, toolkit: Toolkit, job: Job, corpus: Corpus, rows: Sequence[int]) -> None:
    """Write the pairs ``rows`` as pieces, the vocabularies and the settings of ``job``."""
    job.directory.mkdir(parents=True, exist_ok=True)
    sides = (("src", corpus.tokenizers.src, corpus.pairs.src), ("tgt", corpus.tokenizers.tgt, corpus.pairs.tgt))
    for side, tokenizer, ids in sides:
        pieces = [" ".join(tokenizer.pieces(ids[row])) for row in rows]
        vocabulary = [toolkit.vocabulary.format(piece) for piece in tokenizer.pieces(range(4, len(tokenizer)))]
        for name, lines in ((f"train.{side}", pieces), (f"dev.{side}", pieces[:2]), (f"vocab.{side}", vocabulary)):
            text = "".join(f"{line}\n" for line in lines)
            (job.directory / name).write_text(text, encoding="utf-8", newline="\n")
    settings = yaml.safe_dump(toolkit.settings(config, job))
    (job.directory / "train.yaml").write_text(settings, encoding="utf-8")
