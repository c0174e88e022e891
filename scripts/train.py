"""Train a model: python scripts/train.py [experiment=NAME] [GROUP=OPTION ...] [KEY=VALUE ...]."""

import sys

from seq2seq import cli
from seq2seq.config import TrainConfig


def main(settings: TrainConfig) -> float:
    """Give the best value of trainer.metric, for sweeps."""
    from seq2seq import build, runs  # torch takes seconds to import: settings are checked first
    from seq2seq.training.stopping import STOPPED_STATUS, StopRequest

    metric, path = settings.trainer.metric, runs.run_path(settings)
    if result := runs.finished_result(settings):
        print(f"nothing to do: {path} is finished ({result['stopped']}); overwrite=true would start over")
        return float(result["best"][metric])
    with runs.opened(settings), StopRequest() as stop:
        cli.log_to(sys.stdout, path / runs.LOG)
        checkpoint = runs.checkpoint_to_go_on_from(settings)
        result = build.training(settings, checkpoint).train(stop)
    if "signal" in result:
        same = "the same command without overwrite=true" if settings.overwrite else "the same command"
        cli.say(f"stopped: {result['signal']} after update {result['steps']:,}; saved, {same} goes on")
        sys.exit(STOPPED_STATUS)
    print(cli.summary(path, metric, result))
    return float(result["best"][metric])


if __name__ == "__main__":
    cli.run(main, TrainConfig)
