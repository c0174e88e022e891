"""`seq2seq evaluate`: score a trained model on a test set."""

from __future__ import annotations

import sys

from seq2seq.commands import frame
from seq2seq.settings.schema import EvaluateConfig


def main() -> None:
    """Run the command."""
    frame.run("evaluate", evaluate, EvaluateConfig)


def evaluate(settings: EvaluateConfig) -> float:
    """Print a table of scores and write the evaluation; gives the BLEU, for sweeps over decode.*."""
    from seq2seq import machine  # torch takes seconds to import: settings are checked first
    from seq2seq.build.data import test_set
    from seq2seq.build.inference import load_run
    from seq2seq.evaluation import evaluate as evaluation

    frame.log_to(sys.stderr)
    machine.prepare(settings.machine.num_threads)
    loaded = load_run(settings.run, settings.checkpoint, settings.decode, settings.machine)
    name, text = test_set(settings, loaded.config.data)
    language = loaded.config.data.tgt
    result = evaluation.evaluate(name, loaded.translator, text.src, text.tgt, language, settings.bootstrap)
    print(evaluation.table(result))
    print(f"written: {evaluation.write(result, evaluation.evaluation_directory(loaded.path))}")
    return result.scores["BLEU"].value
