"""A task small enough to learn in seconds: say the letters from the last to the first."""

from __future__ import annotations

import copy
import dataclasses
import json
import random
import signal
from functools import cache
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir

from seq2seq.build.training import training
from seq2seq.commands import frame
from seq2seq.runs.directory import checkpoint_to_resume, opened
from seq2seq.settings.compose import load_settings, register_schemas
from seq2seq.settings.schema import TrainConfig
from seq2seq.training.trainer import Trainer

register_schemas()
LETTERS = "abcdefghijkl"


def write_reversals(directory: Path, sizes: dict[str, int], seed: int = 0) -> Path:
    """Source: letters; target: the same letters from the last to the first. No pair twice."""
    rng = random.Random(seed)
    seen: set[str] = set()
    for split, size in sizes.items():
        lines: list[str] = []
        while len(lines) < size:
            line = " ".join(rng.choices(LETTERS, k=rng.randint(3, 8)))
            if line not in seen:
                seen.add(line)
                lines.append(line)
        for language, texts in (("src", lines), ("tgt", [line[::-1] for line in lines])):
            (directory / f"{split}.{language}").write_text("\n".join(texts) + "\n", encoding="utf-8", newline="\n")
    return directory


def overrides(data: Path, *more: str) -> list[str]:
    files = [
        f"data.{split}.{side}={data / split}.{side}"
        for split in ("train", "valid", "test")
        for side in ("src", "tgt")
    ]
    sizes = ["embedding_size=32", "encoder_size=32", "decoder_size=64", "readout_size=32"]
    return [
        "data=files",
        *files,
        f"data.cache_dir={data / 'cache'}",
        f"runs_dir={data / 'runs'}",
        "tokenizer=word",
        *(f"model.{size}" for size in sizes),
        *(f"model.dropout.{place}=0" for place in ("embedding", "layers", "readout")),
        "optimizer.lr=1e-2",
        "schedule.warmup_steps=50",
        "trainer.batch_tokens=400",
        "trainer.label_smoothing=0",
        "trainer.num_samples=0",  # pictures take longer than the training
        "machine.num_threads=1",
        "machine.device=cpu",
        *more,
    ]


def settings_of(*given: str) -> TrainConfig:
    """What the command line ``given`` composes to."""
    names = [text.removeprefix("name=") for text in given if text.startswith("name=")]
    settings = copy.deepcopy(_composed(tuple(text for text in given if not text.startswith("name="))))
    return dataclasses.replace(settings, name=names[-1]) if names else settings


@cache
def _composed(given: tuple[str, ...]) -> TrainConfig:
    """Composing takes half a second: runs that differ by their names alone share it."""
    with initialize_config_dir(str(frame.CONFIGS), version_base="1.3"):
        return load_settings(compose("train", list(given)), TrainConfig)


def new_trainer(*given: str) -> Trainer:
    """All that train.py builds for these settings."""
    settings = settings_of(*given)
    with opened(settings):
        return training(settings)


def stop_at(trainer: Trainer, step: int, number: signal.Signals = signal.SIGTERM) -> None:
    """The signal arrives during update ``step``."""
    update = trainer.update

    def stopped(batches: list[Any]) -> None:
        update(batches)
        if trainer.state.step == step:
            signal.raise_signal(number)

    trainer.update = stopped  # type: ignore[method-assign]


def resumed(*given: str) -> Trainer:
    """The trainer of a run that goes on from its newest checkpoint."""
    settings = settings_of(*given)
    with opened(settings):
        return training(settings, checkpoint_to_resume(settings))


def trained_run(directory: Path, pairs: int, *given: str) -> Path:
    """A finished run on so many ``pairs``, which is in ``directory`` as its data is."""
    data = write_reversals(directory, {"train": pairs, "valid": 6, "test": 8})
    trainer = new_trainer(*overrides(data, *given))
    trainer.train()
    return trainer.run.path


def rows(run: Path) -> list[dict[str, Any]]:
    """metrics.jsonl without what is time."""
    found = map(json.loads, (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines())
    return [{k: v for k, v in row.items() if k not in ("time", "tokens_per_second")} for row in found]


def reported(trainer: Trainer, kind: str) -> list[dict[str, float]]:
    """What the run wrote down: its rows of one kind, "train" or "valid"."""
    return [row for row in rows(trainer.run.path) if row["kind"] == kind]
