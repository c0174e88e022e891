"""Evaluations that `seq2seq evaluate` has written, and the text that they were made on. Imports no torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from seq2seq.data.corpus import CHUNK, ParallelText, read_parallel
from seq2seq.data.lines import decoded_chunks
from seq2seq.errors import CheckpointError, DataError
from seq2seq.runs.layout import CONFIG, EVALUATIONS, SCORES, TRANSLATIONS
from seq2seq.settings.schema import listed, written
from seq2seq.storage.integrity import sha256

NUMBERS = ("tok_bleu", "length_ratio", "brevity_penalty", "teacher_forced_ppl", "sentences_per_second")
HOW = ("update", "precision", "device", "num_threads")


class SavedEvaluation(NamedTuple):
    """An evaluation, as its files have it."""

    path: Path
    data: str  # name of the test set
    files: dict[str, str]  # path → SHA-256
    languages: tuple[str, str]
    scores: dict[str, float]  # by metric, then the other numbers under their names in scores.json
    how: dict[str, str]  # it was measured: key → value
    translations: list[str]
    ensemble: list[str]  # the runs whose models translated together; none if it was one model

    @property
    def run(self) -> Path | None:
        """The run that it stands in; None if it was copied elsewhere, or is of an ensemble."""
        if self.ensemble:
            return None
        above = self.path.parent if self.path.parent.name == EVALUATIONS else self.path.absolute().parent
        return above.parent if above.name == EVALUATIONS and (above.parent / CONFIG).exists() else None


def find_evaluation(given: Path, name: str) -> Path:
    """``given`` itself if it is an evaluation, or the one called ``name`` of the run ``given``.

    Raises:
        CheckpointError: there is no such evaluation; the message names those that there are.
    """
    if (given / SCORES).exists():
        return given
    if not given.is_dir():
        raise CheckpointError(f"{given}: no such directory; give a run, or an evaluation in it")
    if (found := given / EVALUATIONS / name / SCORES).exists():
        return found.parent
    names = sorted(scores.parent.name for scores in given.glob(f"{EVALUATIONS}/*/{SCORES}"))
    if not names:
        raise CheckpointError(f"{given}: no evaluation there; seq2seq evaluate run={given} makes one")
    raise CheckpointError(f"{given}: no evaluation {name}, but {', '.join(names)}; choose by --split NAME")


def read_evaluation(path: Path) -> SavedEvaluation:
    """The evaluation in a directory.

    Raises:
        CheckpointError: one of its files is missing or damaged, or they do not fit together.
    """
    try:
        record = json.loads((path / SCORES).read_text(encoding="utf-8"))
        fields = {name: record[name] for name in ("data", "files", "languages", "sentences", "decode")}
        evaluation = SavedEvaluation(
            path,
            data=str(fields["data"]),
            files={str(file): str(digest) for file, digest in dict(fields["files"]).items()},
            languages=_pair(fields["languages"]),
            scores=_numbers(record),
            how=_how(record),
            translations=[*chain.from_iterable(decoded_chunks(path / TRANSLATIONS, CHUNK))],
            ensemble=_ensemble(record),
        )
    except DataError as error:  # of the translations
        raise CheckpointError(f"{error}; evaluate again") from None
    except KeyError as error:
        raise CheckpointError(f"{path / SCORES}: has no {error}; evaluate again") from None
    except (OSError, ValueError, TypeError, AttributeError) as error:
        reason = " ".join(str(error).split())[:120]
        raise CheckpointError(f"{path / SCORES}: can't be read ({reason}); evaluate again") from None
    if len(evaluation.translations) != fields["sentences"]:
        count = f"{len(evaluation.translations):,} lines, but {SCORES} tells of {fields['sentences']} sentences"
        raise CheckpointError(f"{path / TRANSLATIONS}: {count}; evaluate again")
    return evaluation


def _pair(languages: Any) -> tuple[str, str]:
    src, tgt = languages
    return str(src), str(tgt)


def _numbers(record: Mapping[str, Any]) -> dict[str, float]:
    """The scores and other numbers; those that are not finite are texts in JSON."""
    scores = {str(name): float(score["value"]) for name, score in record["scores"].items()}
    return {**scores, **{name: float(record[name]) for name in NUMBERS if name in record}}


def _how(record: Mapping[str, Any]) -> dict[str, str]:
    """How it was measured, as texts under full keys."""
    decode = {f"decode.{key}": value for key, value in record["decode"].items()}
    values = {**{key: record[key] for key in HOW if key in record}, **decode}
    values |= {"ensemble": _ensemble(record) or None, "versions": record.get("versions", [])}
    return {key: ", ".join(map(written, listed(value))) for key, value in values.items()}


def _ensemble(record: Mapping[str, Any]) -> list[str]:
    runs = record.get("run")
    return [*map(str, runs)] if isinstance(runs, list) else []


def models(record: Mapping[str, Any]) -> str:
    """The models that a record of an evaluation is of: runs and their updates."""
    runs, updates = listed(record["run"]), listed(record["update"])
    if len(runs) == 1:
        return f"update {updates[0]:,} of {runs[0]}"
    members = (f"{run} (update {update:,})" for run, update in zip(runs, updates, strict=True))
    return f"ensemble of {' + '.join(members)}"


def read_text(evaluation: SavedEvaluation) -> ParallelText:
    """The sentences and references of an evaluation, from the files that it names.

    Raises:
        DataError: a file has gone, has changed since, or can't be read.
    """
    remedy = f"{evaluation.path} was made on it: restore the file, or evaluate again"
    for name, digest in evaluation.files.items():
        if not Path(name).is_file():
            raise DataError(f"{name}: no such file, but {remedy}")
        try:
            now = sha256(Path(name))
        except OSError as error:
            raise DataError(f"{name}: can't be read ({error.strerror}), but {remedy}") from None
        if now != digest:
            raise DataError(f"{name}: changed since {remedy}")
    text = read_parallel(*map(Path, evaluation.files))
    if len(text) != len(evaluation.translations):
        count = f"{len(text):,} sentences, but {len(evaluation.translations):,} translations"
        raise CheckpointError(f"{evaluation.path / SCORES}: {count}; evaluate again")
    return text
