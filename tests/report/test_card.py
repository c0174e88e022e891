"""The model card: front matter that reads back, scores with signatures, and names that look like markup."""

from __future__ import annotations

from typing import Any

import yaml
from reversals import settings_of

from seq2seq.report.card import card

CORPUS = {
    "version": "1.2.3",
    "files": [{"key": "data.train.src", "file": "/home/somebody/a_b|<c>.de", "sha256": "00ff"}],
    "splits": [{"name": "train", "read": 1200, "used": 1100}, {"name": "valid", "read": 1014, "used": 1014}],
    "vocabulary": [8000],
}
RESULT: dict[str, Any] = {
    "stopped": "max_epochs=5",
    "best": {"bleu": 41.234, "chrf": 60.5, "loss": 1.25, "ppl": 3.49},
    "best_step": 2400,
    "steps": 3000,
    "epochs": 5,
    "seconds": 61.0,
    "parameters": 6_066_432,
}


def made(*given: str) -> tuple[str, dict[str, Any]]:
    text = card("mine_[x]", settings_of(*given), CORPUS, RESULT)
    _, front, _ = text.split("---\n", 2)
    return text, yaml.safe_load(front)


def test_the_front_matter_reads_back() -> None:
    _, front = made("data=files", "data.src=no", "data.tgt=en")
    assert front == {
        "language": ["no", "en"],
        "library_name": "seq2seq-nmt",
        "pipeline_tag": "translation",
        "tags": ["translation", "seq2seq", "gru", "luong"],
        "metrics": ["bleu", "chrf"],
        "license": "unknown",
    }


def test_scores_have_their_signatures_and_files_their_names_only() -> None:
    text, _ = made("attention=bahdanau")
    assert "- BLEU 41.23, `nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:" in text
    assert "- chrF 60.50, `nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no|version:" in text
    assert "1,014 sentences, by greedy search, after update 2,400" in text
    assert "6,066,432 parameters" in text
    assert "Bahdanau (512)" in text
    assert "- train: 1,100 of 1,200 pairs" in text
    assert r"a\_b\|\<c\>.de" in text
    assert "/home" not in text
    assert r"# mine\_\[x\]" in text


def test_a_language_can_not_break_out_of_a_command() -> None:
    text, front = made("data=files", "data.src='x`; rm -r ~ #'", "data.tgt=en")
    assert "rm -r" not in text.split("---\n", 2)[2]
    assert front["language"] == ["x`; rm -r ~ #", "en"]


def test_a_card_has_the_splitter_of_its_language() -> None:
    assert "tok:zh" in made("data=files", "data.src=en", "data.tgt=zh")[0]
