"""Score a trained model: python scripts/evaluate.py run=runs/NAME [split=test] [decode.beam_size=5 ...]."""

import sys

from seq2seq import cli
from seq2seq.config import EvaluateConfig


def main(settings: EvaluateConfig) -> float:
    """Give the BLEU, for sweeps over decode.*."""
    from seq2seq import build, evaluation  # torch takes seconds to import: settings are checked first

    cli.log_to(sys.stderr)
    loaded = build.load_run(settings.run, settings.checkpoint, settings.decode, settings.machine)
    name, text = build.test_set(settings, loaded.config.data)
    language = loaded.config.data.tgt
    result = evaluation.evaluate(name, loaded.translator, text.src, text.tgt, language, settings.bootstrap)
    print(evaluation.table(result))
    print(f"written: {evaluation.write(result, build.evaluation_directory(loaded.path))}")
    return result.scores["BLEU"].value


if __name__ == "__main__":
    cli.run(main, EvaluateConfig)
