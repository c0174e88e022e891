"""Which files in a run's directory are its own: nothing else there is ever replaced or removed."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

from seq2seq.errors import ConfigError
from seq2seq.runs.card import is_card, is_edited
from seq2seq.runs.layout import (
    ALIGNMENTS,
    ATTENTION,
    BEST,
    CARD,
    CONFIG,
    CORPUS,
    CURVES,
    EVALUATIONS,
    EVENTS,
    INFO,
    LAST,
    PREVIOUS,
    REPORT,
    RESULT,
    ROWS,
    SAMPLES,
    SCORES,
    SOURCES,
    STEP,
    TOKENIZER,
    TRAINING,
    TRANSLATIONS,
    WEIGHTS,
)
from seq2seq.text.lexicon import LEXICON


def _any(*names: str) -> str:
    return "|".join(map(re.escape, names))


CHECKPOINTS = (BEST, LAST, PREVIOUS)
REPLACED = (TOKENIZER, *CHECKPOINTS)
PASSING = rf"{_any(*REPLACED, CORPUS, RESULT, ROWS, SAMPLES, CURVES, REPORT)}|{re.escape(EVENTS[:-1])}.*"
NAMES = rf"{PASSING}|{_any(CONFIG, SOURCES)}|{STEP}"
"""Of what a run writes into its directory, besides its lock and its log."""
BROWSERS = r"(.*/)?(\.DS_Store|Thumbs\.db)"  # what browsers of files leave everywhere
IN_TOKENIZER = rf"(joint|src|tgt)\.(subwords|words)|{re.escape(LEXICON)}"
IN_CHECKPOINT = rf"{_any(WEIGHTS, INFO, TRAINING, CONFIG, TOKENIZER)}|{TOKENIZER}/({IN_TOKENIZER})"
IN_BEST = _any(INFO, CARD)  # of what a run changes in a checkpoint that is already there
IN_EVALUATION = _any(SCORES, TRANSLATIONS, ALIGNMENTS, ATTENTION, REPORT)


def _is_own(directory: Path, file: Path) -> bool:
    if is_card(file):
        return not is_edited(file)
    inside = IN_CHECKPOINT if re.fullmatch(rf"{_any(*CHECKPOINTS)}|{STEP}", directory.name) else IN_EVALUATION
    inside = IN_TOKENIZER if directory.name == TOKENIZER else inside
    return re.fullmatch(f"{inside}|{BROWSERS}", file.relative_to(directory).as_posix()) is not None


def refuse_strangers(directory: Path) -> None:
    """Raise ``ConfigError`` if ``directory`` holds what its replacement would lose.

    It is a checkpoint, a tokenizer or an evaluation, or not there yet. An edited model card is not lost.
    """
    strangers = [file for file in directory.rglob("*") if not (_is_own(directory, file) or is_card(file))]
    if directory.exists() and not directory.is_dir():
        strangers = [directory]
    if strangers:
        raise ConfigError(f"{min(strangers)} was not written by seq2seq and would be lost: move it elsewhere")


def remains(run: Path) -> list[Path]:
    """All that a run has written, except for its lock and log, and for its settings and the record of its data."""
    passing = [file for file in run.iterdir() if re.fullmatch(PASSING, file.name)]
    evaluations = [scores.parent for scores in run.glob(f"{EVALUATIONS}/*/{SCORES}")]
    for text in run.glob(f"{EVALUATIONS}/*.hyp"):  # of an earlier version
        evaluations += [file for end in (".hyp", ".json", ".align") if (file := text.with_suffix(end)).exists()]
    return [*passing, *step_checkpoints(run), *evaluations]


def step_checkpoints(run: Path) -> list[Path]:
    """The checkpoints of single validations, oldest first."""
    named = [path for path in run.glob("step-*") if re.fullmatch(STEP, path.name)]
    return sorted((path for path in named if (path / INFO).exists() or (path / WEIGHTS).exists()), key=step_of)


def step_of(checkpoint: Path) -> int:
    """The update that one of them was saved after, by its name."""
    return int(checkpoint.name.removeprefix("step-"))


def remove_own(path: Path) -> None:
    """Remove a file of the run; of a directory, its own files, and itself if that leaves it empty."""
    if path.is_symlink() or not path.is_dir():
        path.unlink()
        return
    directories = [path]
    for file in [*path.rglob("*")]:
        if _is_own(path, file):
            if file.is_dir() and not file.is_symlink():
                directories.append(file)
            else:
                file.unlink()
    for directory in reversed(directories):  # those inside first
        with suppress(OSError):  # it is not empty
            directory.rmdir()
