"""`seq2seq evaluate`: score a trained model on a test set."""

from __future__ import annotations

import sys

from seq2seq.commands import frame
from seq2seq.settings.schema import EvaluateConfig
from seq2seq.signals import importing


def main() -> None:
    """Run the command."""
    frame.run("evaluate", evaluate, EvaluateConfig)


def evaluate(settings: EvaluateConfig) -> float:
    """Print a table of scores and write the evaluation; returns the BLEU, for sweeps over decode.*."""
    with importing():
        from seq2seq import machine  # torch takes seconds to import: settings are checked first
        from seq2seq.build.evaluation import evaluation_path, evaluation_set, gold_links, record
        from seq2seq.build.inference import load_run
        from seq2seq.build.report import report
        from seq2seq.evaluation import evaluate as evaluation
        from seq2seq.evaluation.metrics import check_language, check_seed
        from seq2seq.evaluation.saved import models

    frame.log_to(sys.stderr)
    check_seed()
    machine.prepare(settings.machine.num_threads)
    loaded = load_run(settings.run, settings.checkpoint, settings.decode, settings.machine)
    language = loaded.config.data.tgt
    check_language(language)
    data = evaluation_set(settings, loaded.config.data)
    path = evaluation_path(settings, loaded, data.name)
    gold = gold_links(settings, data.text)
    src, ref = data.text.src, data.text.tgt
    result = evaluation.evaluate(loaded.translator, src, ref, language, settings.bootstrap, gold)
    measured = record(settings, loaded, data)
    print(f"{path.name}: {models(measured)}")
    print(evaluation.report(result))
    page = report(measured, result, data, loaded.config.data, settings.examples)
    written = evaluation.write(path, result, measured, page, settings.weights)
    print(f"written to {path}: {', '.join(written)}")
    return result.scores["BLEU"].value
