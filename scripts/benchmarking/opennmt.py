"""OpenNMT-py with the same sentences, pieces and sizes, run by its own commands in an environment of its own."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import yaml

from benchmarking.settings import BenchmarkConfig
from benchmarking.training import Measured, peak_of_process
from seq2seq.build.data import read_split, tokenizers
from seq2seq.data import corpus
from seq2seq.errors import ConfigError

NAME = "OpenNMT-py"
BATCH_SENTENCES = 64  # in search
SCORES = {"bahdanau": "mlp", "luong_general": "general", "luong_dot": "dot"}
"""Our attentions → OpenNMT-py's ``global_attention``, fed back with ``input_feed``."""


def prepare(config: BenchmarkConfig, directory: Path) -> Path:
    """Write OpenNMT-py's data, vocabulary and settings; returns the path of the settings.

    Raises:
        ConfigError: OpenNMT-py has no such attention, or its commands are not in ``benchmark.peer_bin``.
    """
    command(config, "onmt_train")
    if config.attention.variant not in SCORES:
        raise ConfigError(f"benchmark.peer=opennmt has no counterpart of attention {config.attention.variant}")
    directory.mkdir(parents=True, exist_ok=True)
    text, _ = corpus.clean("train", read_split(config.data, "train"))
    pair, tokens, _ = tokenizers(config, text)
    pairs = tokens.limited(config.data.max_length, "drop")
    for name, tokenizer, side in (("src", pair.src, pairs.src), ("tgt", pair.tgt, pairs.tgt)):
        lines = (" ".join(tokenizer.pieces(ids)) for ids in side)
        (directory / f"train.{name}").write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")
        pieces = tokenizer.pieces(range(4, len(tokenizer)))
        (directory / f"vocab.{name}").write_text("".join(f"{piece}\t1\n" for piece in pieces), encoding="utf-8")
    settings = directory / "train.yaml"
    settings.write_text(yaml.safe_dump(_settings(config, directory)), encoding="utf-8")
    return settings


def command(config: BenchmarkConfig, name: str) -> str:
    """The path of one of OpenNMT-py's commands."""
    path = Path(config.benchmark.peer_bin) / name
    if not path.exists():
        raise ConfigError(
            f"benchmark.peer_bin={config.benchmark.peer_bin}: no {name} there; see docs/benchmark.md"
        )
    return str(path)


def _settings(config: BenchmarkConfig, directory: Path) -> dict[str, object]:
    sizes, options = config.model, config.benchmark
    return {
        "data": {"corpus": {"path_src": str(directory / "train.src"), "path_tgt": str(directory / "train.tgt")}},
        "src_vocab": str(directory / "vocab.src"),
        "tgt_vocab": str(directory / "vocab.tgt"),
        "encoder_type": "brnn",
        "decoder_type": "rnn",
        "rnn_type": "GRU",
        "enc_layers": sizes.encoder_layers,
        "dec_layers": sizes.decoder_layers,
        "word_vec_size": sizes.embedding_size,
        "hidden_size": sizes.decoder_size,
        "global_attention": SCORES[config.attention.variant],
        "input_feed": 1,
        "dropout": [sizes.dropout.readout],
        "optim": "adam",
        "learning_rate": config.optimizer.lr,
        "max_grad_norm": config.trainer.clip_norm or 0,
        "label_smoothing": config.trainer.label_smoothing,
        "batch_type": "sents",
        "batch_size": options.sentences,
        "bucket_size": 32768,
        "num_workers": 0,
        "train_steps": 3 * options.batches,
        "report_every": options.batches,
        "save_model": str(directory / "model"),
        "save_checkpoint_steps": 10**9,
        "seed": config.seed,
    }


class OpenNMT:
    """OpenNMT-py as a contender, started anew for each round."""

    name = NAME

    def __init__(self, config: BenchmarkConfig, directory: Path) -> None:
        self._command = [command(config, "onmt_train"), "-config", str(prepare(config, directory))]
        self._log = directory / "train.log"

    def round(self) -> Measured:
        """Target tokens a second by its own report, over the last third of its updates."""
        with self._log.open("w", encoding="utf-8") as log:
            process = subprocess.Popen(self._command, stdout=log, stderr=log)
            peak = 0
            while process.poll() is None:
                peak = max(peak, peak_of_process(process.pid))
                time.sleep(0.2)
        text = self._log.read_text(encoding="utf-8")
        speeds = re.findall(r"Step +\d+/.*/ *(\d+) tok/s", text)
        if process.returncode != 0 or len(speeds) < 2:
            raise ConfigError(f"benchmark.peer=opennmt: {' '.join(self._command)} failed; see {self._log}")
        return Measured(float(speeds[-1]), None, peak, None)

    def close(self) -> None:
        """Nothing runs between rounds."""


def translate(
    config: BenchmarkConfig, src: Sequence[str], beam_size: int, directory: Path
) -> tuple[float, list[str]]:
    """Translate lines of pieces with ``benchmark.peer_model``; returns its own count of seconds, and the pieces.

    Raises:
        ConfigError: the command is missing or fails.
    """
    directory.mkdir(parents=True, exist_ok=True)
    given, output, log = (directory / name for name in ("test.src", "test.out", "translate.log"))
    given.write_text("".join(f"{line}\n" for line in src), encoding="utf-8", newline="\n")
    options = {"model": config.benchmark.peer_model, "src": given, "output": output, "beam_size": beam_size}
    sizes = {"batch_size": BATCH_SENTENCES, "batch_type": "sents", "gpu": -1}
    words = [command(config, "onmt_translate"), "-report_time"]
    for key, value in (*options.items(), *sizes.items()):
        words += [f"-{key}", str(value)]
    trusted = {**os.environ, "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD": "1"}  # its own checkpoint is a pickle
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=trusted)
    log.write_text(done.stdout, encoding="utf-8")
    seconds = re.search(r"Total translation time \(s\): ([\d.]+)", done.stdout)
    if done.returncode != 0 or seconds is None:
        raise ConfigError(f"benchmark.peer_model={config.benchmark.peer_model}: translating failed; see {log}")
    return float(seconds[1]), output.read_text(encoding="utf-8").split("\n")[: len(src)]
