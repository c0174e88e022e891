"""The test set of an evaluation, the directory for its results, and a record of how it was measured."""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import torch

from seq2seq import __version__
from seq2seq.build.data import has_split, read_split, split_paths
from seq2seq.build.inference import LoadedRun
from seq2seq.data import corpus
from seq2seq.data.corpus import ParallelText
from seq2seq.errors import ConfigError, DataError
from seq2seq.evaluation import metrics
from seq2seq.evaluation.alignment import Gold, read_gold
from seq2seq.model.seq2seq import parameter_device
from seq2seq.runs.layout import BEST, EVALUATIONS, run_of
from seq2seq.runs.ownership import refuse_strangers
from seq2seq.settings.schema import DataConfig, EvaluateConfig, Multi30kConfig, directories
from seq2seq.storage.integrity import sha256


class EvaluationSet(NamedTuple):
    """Sentences with their references."""

    name: str
    files: dict[str, str]  # absolute path → SHA-256
    text: ParallelText


def evaluation_set(settings: EvaluateConfig, data: DataConfig) -> EvaluationSet:
    """Your own files, or a split of the run's ``data``.

    Raises:
        ConfigError: the data has no such split, or settings contradict each other.
        DataError: a file is missing or malformed.
    """
    if settings.data_root is not None:
        if not isinstance(data, Multi30kConfig):
            raise ConfigError(
                f"data_root={settings.data_root}: only Multi30k has one, and this run has data={data.name}; "
                "give src_file=… and ref_file=… instead"
            )
        data = dataclasses.replace(data, root=settings.data_root)
    if settings.src_file is not None or settings.ref_file is not None:
        return _own_files(settings)
    if not has_split(data, settings.split):
        raise ConfigError(f"split={settings.split}: the run has none; give src_file=… and ref_file=… instead")
    if isinstance(data, Multi30kConfig) and data.root is not None:
        _require(data.root, "data_root=…")
    paths = split_paths(data, settings.split)
    for path in paths:
        _require(str(path), "src_file=… and ref_file=… instead")
    return EvaluationSet(settings.split, _hashes(paths), read_split(data, settings.split))


def _require(path: str, remedy: str) -> None:
    if not Path(path).exists():
        raise DataError(f"{path}: no such file or directory; give {remedy}")


def _require_file(key: str, path: Path) -> None:
    _require(str(path), f"another {key}=…")
    if path.is_fifo():
        raise ConfigError(f"{key}={path}: a pipe, but the file is read twice; write it to a file first")


def _own_files(settings: EvaluateConfig) -> EvaluationSet:
    """The user's files, named after the source file and its content: many files may have the same name."""
    if settings.src_file is None or settings.ref_file is None:
        raise ConfigError("src_file and ref_file: give both, or neither and a split=")
    if settings.split != EvaluateConfig.split or settings.data_root is not None:
        raise ConfigError(f"src_file={settings.src_file}: give no split= or data_root= with it")
    source, reference = Path(settings.src_file), Path(settings.ref_file)
    for key, path in (("src_file", source), ("ref_file", reference)):
        _require_file(key, path)
    text = corpus.read_parallel(source, reference)
    files = _hashes((source, reference))
    stem = re.sub(r"[^\w.+-]", "-", source.name)[:60]
    content = hashlib.sha256(
        " ".join(files[str(path.absolute())] for path in (source, reference)).encode()
    ).hexdigest()
    return EvaluationSet(f"{stem}-{content[:8]}", files, text)


def _hashes(paths: Iterable[Path]) -> dict[str, str]:
    return {str(path.absolute()): sha256(path) for path in paths}


def gold_links(settings: EvaluateConfig, text: ParallelText) -> list[Gold] | None:
    """The links between the words of ``text`` that people have found, if there is a file of them.

    Raises:
        ConfigError: it is a pipe, or there is none whose words gold_first_word could number.
        DataError: it is missing, malformed or does not fit the text.
    """
    first = settings.gold_first_word
    if settings.gold_alignments is None:
        if first != EvaluateConfig.gold_first_word:
            raise ConfigError(f"gold_first_word={first}: give gold_alignments=…, the file that it is about")
        return None
    path = Path(settings.gold_alignments)
    _require_file("gold_alignments", path)
    return read_gold(path, text.src, text.tgt, first)


def evaluation_path(settings: EvaluateConfig, loaded: LoadedRun, name: str) -> Path:
    """The evaluation's directory, beside best/ or in a copy of it: ``name``, then settings unlike the run's.

    Of an ensemble, it is in the first run, and is named after the others too.

    Raises:
        ConfigError: it holds files that no evaluation wrote, or a file is in the place of all evaluations.
    """
    directory = run_of(loaded.path)
    in_run = directory != loaded.path
    parts = [_others(loaded)] if len(loaded.members) > 1 else []
    parts += [loaded.path.name] if in_run and loaded.path.name != BEST else []
    usual = vars(loaded.config.decode)
    for key, value in vars(loaded.translator.decode).items():
        if value != usual[key] and key != "workers":  # with which the results are the same
            parts.append(f"{key.removesuffix('_size')}-{value}".lower())
    parts += [value for value in (settings.machine.precision, settings.machine.device) if value != "auto"]
    path = directory / EVALUATIONS / "_".join([name, *parts]).replace(":", "-")
    if path.parent.exists() and not path.parent.is_dir():
        raise ConfigError(f"{path.parent}: not a directory, as evaluations need; rename it")
    refuse_strangers(path)
    return path


def _others(loaded: LoadedRun) -> str:
    """Of all members but the first, in any order: the names of their runs, cut if long, and a digest of paths."""
    paths = sorted(member.path.resolve() for member in loaded.members[1:])
    names = "-".join(run_of(path).name for path in paths)[:60]
    return f"with-{names}-{hashlib.sha256(' '.join(map(str, paths)).encode()).hexdigest()[:6]}"


def _one_or_all(values: list[Any]) -> Any:
    """The value of one model, or the list of those of an ensemble."""
    return values[0] if len(values) == 1 else values


def record(settings: EvaluateConfig, loaded: LoadedRun, data: EvaluationSet) -> dict[str, Any]:
    """A record of how the evaluation was measured, as plain values; run, checkpoint and update of each member."""
    translator, members = loaded.translator, loaded.members
    gold = [Path(settings.gold_alignments)] if settings.gold_alignments else []
    return {
        "run": _one_or_all(directories(settings.run)),
        "checkpoint": _one_or_all([str(member.path) for member in members]),
        "update": _one_or_all([member.info.step for member in members]),
        "data": data.name,
        "files": data.files,
        "gold_alignments": _hashes(gold),
        "languages": [loaded.config.data.src, loaded.config.data.tgt],
        "decode": vars(translator.decode),
        "device": str(parameter_device(translator.model)),
        "precision": translator.precision.name,
        "num_threads": torch.get_num_threads(),
        "bootstrap": settings.bootstrap,
        "versions": [f"seq2seq {__version__}", f"torch {torch.__version__}", metrics.LIBRARY],
    }
