"""`seq2seq train`: begin a run, resume it, or report that it is finished."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Mapping
from contextlib import nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import Any

from seq2seq.commands import frame
from seq2seq.commands.output import say
from seq2seq.distributed.group import ALONE, Group, joined
from seq2seq.errors import ConfigError
from seq2seq.runs.layout import LOCATION, PARENT, PATHS, REPORT, run_path
from seq2seq.runs.table import duration, table_of_validations
from seq2seq.settings.compose import override_value
from seq2seq.settings.schema import TrainConfig, flat
from seq2seq.signals import STOPPED_STATUS, importing


def main() -> None:
    """Run the command."""
    with joined() as group:
        if group.size > 1 and {"-m", "--multirun"}.intersection(sys.argv):
            sys.exit("error: -m: a sweep starts its runs itself; start it without torchrun")
        frame.run("train", partial(train, group=group), TrainConfig)


def train(
    settings: TrainConfig,
    group: Group = ALONE,
    on_validation: Callable[[int, float], object] | None = None,
    says_next: bool = True,
) -> float:
    """Train, with the other processes of ``group``; returns the best value of trainer.metric, for sweeps.

    ``on_validation``: see the Trainer's. ``says_next``: whether to print what to do with the run.
    """
    with importing():
        from seq2seq import machine  # torch takes seconds to import: settings are checked first
        from seq2seq.build.data import has_split
        from seq2seq.build.training import training
        from seq2seq.runs import directory

    metric, path = settings.trainer.metric, run_path(settings)
    check_group(settings, group)
    if result := group.once(lambda: _finished(settings)):
        print(f"nothing to do: {path} is finished ({result['stopped']}); overwrite=true would start over")
        return float(result["best"][metric])
    with directory.opened(settings) if group.first else nullcontext():
        frame.log_to(sys.stdout, path / directory.LOG if group.first else None)
        machine.prepare(settings.machine.num_threads, group.local_size)
        checkpoint = group.once(lambda: directory.checkpoint_to_resume(settings))
        trainer = training(settings, checkpoint, group)
        trainer.on_validation = on_validation or trainer.on_validation
        result = trainer.train()
    if "signal" in result:
        same = "the same command without overwrite=true" if settings.overwrite else "the same command"
        with suppress(OSError):  # the terminal that hung up
            say(f"stopped: {result['signal']} after update {result['steps']:,}; saved, {same} resumes")
        sys.exit(STOPPED_STATUS)
    print(summary(path, metric, result))
    if says_next:
        print(hints(path, has_split(settings.data, "test")))
    return float(result["best"][metric])


def check_group(settings: TrainConfig, group: Group) -> None:
    """Raise ``ConfigError`` if the processes were started differently, or a restart would not resume."""
    of_the_host = (*LOCATION, *PATHS, PARENT, "machine.")
    shared = {key: value for key, value in flat(settings).items() if not key.startswith(of_the_host)}
    group.require_same("settings", shared)
    for given in [*["overwrite=true"] * settings.overwrite, *["resume=never"] * (settings.resume == "never")]:
        if group.restarts:
            raise ConfigError(f"{given}: a restart by torchrun would not resume; leave out it or --max-restarts")


def _finished(settings: TrainConfig) -> dict[str, Any] | None:
    """The result of this run if it is finished, on the data that is there now."""
    from seq2seq.build.data import read_sources
    from seq2seq.runs import directory, sources

    if result := directory.finished_result(settings):
        sources.check(run_path(settings), read_sources(settings)[-1])
    return result


def summary(path: Path, metric: str, result: Mapping[str, Any]) -> str:
    """The validations of a run, why it ended, and its best score."""
    best, steps = result["best"], f"{result['steps']:,} updates in {duration(result['seconds'])}"
    return "\n".join(
        [
            *table_of_validations(path, best, result["best_step"]),
            f"finished: {result['stopped']}; {steps}",
            f"best {metric} {best[metric]:.2f} at update {result['best_step']:,} "
            f"(BLEU {best['bleu']:.2f}, chrF {best['chrf']:.2f}, teacher-forced perplexity {best['ppl']:.2f})",
        ]
    )


def hints(path: Path, has_test: bool) -> str:
    """What to do next: commands that can be pasted into a shell."""
    run = shlex.quote(f"run={override_value(str(path))}")
    test = "" if has_test else " src_file=FILE ref_file=FILE  # your own test set, since data.test was not given"
    return "\n".join(
        [
            f"the run is in {path}, and {path / REPORT} shows how it went; next:",
            f"  seq2seq evaluate {run}{test}",
            f"  seq2seq translate {run}",
            f"  tensorboard --logdir {shlex.quote(str(path))}",
        ]
    )
