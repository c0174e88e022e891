"""Evaluations as `seq2seq evaluate` writes them, of translations that a test makes up, in runs with settings."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from seq2seq.evaluation.metrics import all_scores

SRC = ["Der Hund schläft.", "Die Katze frisst.", "Ein Haus brennt.", "Es regnet stark."]
REF = ["The dog sleeps.", "The cat eats.", "A house burns.", "It rains hard."]


def save(run: Path, translations: Sequence[str], name: str = "test", **changes: Any) -> Path:
    """The directory of an evaluation on ``SRC`` and ``REF``; ``changes`` are fields of its scores.json."""
    run.mkdir(parents=True, exist_ok=True)
    files = {}
    for side, lines in (("de", SRC), ("en", REF)):
        file = run.parent / f"text.{side}"
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")
        files[str(file)] = hashlib.sha256(file.read_bytes()).hexdigest()
    scores = all_scores(translations, REF, "en")
    record = {
        "data": "test",
        "files": files,
        "languages": ["de", "en"],
        "sentences": len(translations),
        "decode": {"beam_size": 5},
        "update": 100,
        "versions": ["seq2seq 1"],
        "scores": {metric: score._asdict() for metric, score in scores.items()},
        "teacher_forced_ppl": 2.5,
        "length_ratio": 1.0,
    }
    directory = run / "evaluation" / name
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "translations.txt").write_text("\n".join(translations) + "\n", encoding="utf-8")
    (directory / "scores.json").write_text(json.dumps({**record, **changes}), encoding="utf-8")
    return directory


def settle(run: Path, **settings: Any) -> None:
    """Give a run settings, and the metrics of two validations."""
    (run / "config.yaml").write_text(json.dumps(settings), encoding="utf-8")  # JSON is YAML
    rows = [{"kind": "valid", "step": step, "bleu": step / 10, "loss": 100 / step} for step in (50, 100)]
    rows.insert(0, {"kind": "train", "step": 10, "loss": 5.0})
    (run / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
