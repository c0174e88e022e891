"""What the report of an evaluation needs of a run: words of the training text, and attention."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from small_models import letters_translator

from seq2seq.build import report
from seq2seq.build.evaluation import EvaluationSet
from seq2seq.build.report import training_words
from seq2seq.data.corpus import ParallelText
from seq2seq.errors import DataError
from seq2seq.evaluation.evaluate import evaluate
from seq2seq.settings.schema import FilesConfig, MixConfig, Multi30kConfig, PhrasebookConfig, SplitFiles


def files(directory: Path, **texts: str) -> list[str]:
    """Files of these contents."""
    for name, text in texts.items():
        (directory / name).write_text(text, encoding="utf-8")
    return [str(directory / name) for name in texts]


def test_words_are_counted_in_all_corpora_of_the_training_split(tmp_path: Path) -> None:
    src, tgt, more_src, more_tgt = files(tmp_path, a="der Hund\ndie", b="the dog, the\n.", c="Hund\n", d="dog\n")
    data = FilesConfig(train=SplitFiles(src=src, tgt=tgt), mix=MixConfig(src=[more_src], tgt=[more_tgt]))
    found = training_words(data)
    assert found.src == {"der": 1, "Hund": 2, "die": 1}
    assert found.tgt == {"the": 2, "dog": 2}
    assert found.counted == f"3 pairs of {', '.join((src, tgt, more_src, more_tgt))}"


def test_of_a_large_corpus_the_first_pairs_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "MOST_PAIRS", 10)
    src, tgt = files(tmp_path, a="x\n" * 50_000, b="y\n" * 50_000)
    found = training_words(FilesConfig(train=SplitFiles(src=src, tgt=tgt)))
    assert found.counted.startswith("16,384 pairs of ")
    assert found.src == {"x": 16_384}


def test_text_that_is_not_there_is_named_and_nothing_is_downloaded(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no download of Multi30k's training split is there$"):
        training_words(Multi30kConfig(download_dir=str(tmp_path)))
    with pytest.raises(DataError, match=r"neither train\.de nor train\.de\.gz is there"):
        training_words(Multi30kConfig(root=str(tmp_path)))
    lost = str(tmp_path / "lost")
    with pytest.raises(DataError, match=r"lost: no such file$"):
        training_words(FilesConfig(train=SplitFiles(src=lost, tgt=lost)))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataError, match=r"pipe: no such file$"):
        training_words(FilesConfig(train=SplitFiles(tsv=str(tmp_path / "pipe"))))


def test_a_page_of_a_models_translations() -> None:
    src, ref = ["a b c d", "", "k"], ["d c b a", "x", ""]
    record = {
        "run": "runs/x",
        "update": 1,
        "data": "test",
        "languages": ["de", "en"],
        "bootstrap": 0,
    }
    result = evaluate(letters_translator(beam_size=2), src, ref, "en", 0)
    data = EvaluationSet("test", {}, ParallelText(src, ref, [1, 2, 3]))
    page = report.report(record, result, data, PhrasebookConfig(), 2)
    assert result.translations[0].text in page
    assert 'data-line="1"' in page
    assert 'data-line="2"' not in page  # blank, so it has no attention
    assert "22,000 pairs of " in page
    page = report.report(record, result, data, Multi30kConfig(root="/nowhere"), 0)
    assert "the training text can't be read: /nowhere: neither train.de nor train.de.gz is there" in page
    assert 'data-line="' not in page
