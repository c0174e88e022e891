"""Train a model: python scripts/train.py [experiment=NAME] [GROUP=OPTION ...] [KEY=VALUE ...]."""

import sys

from seq2seq import cli
from seq2seq.config import TrainConfig


def main(settings: TrainConfig) -> float:
    """Give the best value of trainer.metric, for sweeps."""
    from seq2seq import build  # torch takes seconds to import: settings are checked first

    metric = settings.trainer.metric
    if result := build.finished_result(settings):
        print(f"nothing to do: {build.run_path(settings)} is finished; overwrite=true would start over")
        return float(result["best"][metric])
    run = build.make_run_directory(settings)
    cli.log_to(sys.stdout, run / "train.log")
    result = build.training(settings).train()
    print(cli.summary(run, metric, result))
    return float(result["best"][metric])


if __name__ == "__main__":
    cli.run(main, TrainConfig)
