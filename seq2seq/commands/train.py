"""`seq2seq train`: begin a run, resume it, or say that there is nothing to do."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from seq2seq.commands import frame
from seq2seq.settings.schema import TrainConfig


def main() -> None:
    """Run the command."""
    frame.run("train", train, TrainConfig)


def train(settings: TrainConfig) -> float:
    """Train, and give the best value of trainer.metric, for sweeps."""
    from seq2seq import machine  # torch takes seconds to import: settings are checked first
    from seq2seq.build.training import training
    from seq2seq.runs import directory
    from seq2seq.training.stopping import STOPPED_STATUS, StopRequest

    metric, path = settings.trainer.metric, directory.run_path(settings)
    if result := directory.finished_result(settings):
        print(f"nothing to do: {path} is finished ({result['stopped']}); overwrite=true would start over")
        return float(result["best"][metric])
    with directory.opened(settings), StopRequest() as stop:
        frame.log_to(sys.stdout, path / directory.LOG)
        machine.prepare(settings.machine.num_threads)
        checkpoint = directory.checkpoint_to_resume(settings)
        result = training(settings, checkpoint).train(stop)
    if "signal" in result:
        same = "the same command without overwrite=true" if settings.overwrite else "the same command"
        frame.say(f"stopped: {result['signal']} after update {result['steps']:,}; saved, {same} resumes")
        sys.exit(STOPPED_STATUS)
    print(summary(path, metric, result))
    return float(result["best"][metric])


def summary(path: Path, metric: str, result: Mapping[str, Any]) -> str:
    """How a run ended, and what to do next."""
    best, took = result["best"], timedelta(seconds=round(result["seconds"]))
    return "\n".join(
        [
            f"finished: {result['stopped']}; {result['steps']:,} updates in {took}",
            f"best {metric} {best[metric]:.2f} at update {result['best_step']:,} "
            f"(BLEU {best['bleu']:.2f}, chrF {best['chrf']:.2f}, teacher-forced perplexity {best['ppl']:.2f})",
            f"the run is in {path}; next:",
            f"  seq2seq evaluate run={path} split=test",
            f"  seq2seq translate run={path}",
            f"  tensorboard --logdir {path}",
        ]
    )
