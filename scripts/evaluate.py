"""Score a trained model: python scripts/evaluate.py run=runs/NAME [split=test] [decode.beam_size=5 ...]."""

import sys

import hydra
from omegaconf import DictConfig

from seq2seq import cli
from seq2seq.config import EvaluateConfig, load_settings


@hydra.main(version_base="1.3", config_path="../configs", config_name="evaluate")
def main(config: DictConfig) -> float:
    """Give the BLEU, for sweeps over decode.*."""
    settings = load_settings(config, EvaluateConfig)
    from seq2seq import build, evaluation

    cli.log_to(sys.stderr)
    loaded = build.load_run(settings.run, settings.checkpoint, settings.decode, settings.machine)
    name, text = build.test_set(settings, loaded.config.data)
    result = evaluation.evaluate(
        name, loaded.translator, text.src, text.tgt, loaded.config.data.tgt, settings.bootstrap
    )
    print(evaluation.table(result))
    print(f"written: {evaluation.write(result, build.evaluation_directory(loaded.path))}")
    return result.scores["BLEU"].value


if __name__ == "__main__":
    cli.run(main, "evaluate")
