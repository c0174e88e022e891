"""The directory that an export writes: graphs, tokenizers, settings, and programs that use them."""

from __future__ import annotations

import dataclasses
import json
import logging
import shutil
from pathlib import Path
from typing import Any

import torch

from seq2seq import __version__
from seq2seq.build.inference import LoadedRun, load_run
from seq2seq.decoding.translator import Translator
from seq2seq.errors import ConfigError
from seq2seq.export import verify, web
from seq2seq.export.networks import decoder_graph, encoder_graph
from seq2seq.runs.layout import run_of
from seq2seq.settings.compose import overridden
from seq2seq.settings.schema import ExportConfig, MachineConfig, written
from seq2seq.storage.atomic import atomic_directory, write_json, write_text
from seq2seq.storage.integrity import identities
from seq2seq.text.tokenizer import BOS, EOS, PAD, UNK
from seq2seq.text.tokenizer_pair import KINDS

logger = logging.getLogger(__name__)

FILES = Path(__file__).parent / "files"
SETTINGS = "settings.json"
FORMAT = 1
KEPT = (
    *("beam_size", "length_penalty", "coverage_penalty", "no_repeat_ngram_size"),
    *("max_ratio", "max_offset", "max_src_tokens"),
)
"""Settings of search that the programs use."""
LEFT = {"shortlist": 0, "replace_unk": False}
"""Those that they do without."""


def check_destination(settings: ExportConfig) -> None:
    """Raise ``ConfigError`` if ``settings.to`` holds anything but an export, or an export that was changed."""
    path = Path(settings.to)
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        return
    strangers = [path]
    if path.is_dir():
        own = _recorded(path / SETTINGS)
        strangers = [path / name for name, file in identities(path).items() if own.get(name) != file]
    strangers = [file for file in strangers if file != path / SETTINGS or not _recorded(file)]
    if strangers:
        raise ConfigError(
            f"to={path}: {min(strangers)} is not as seq2seq export writes it, and would be lost: move it, or give "
            "another directory"
        )


def _recorded(path: Path) -> dict[str, Any]:
    """Sizes and hashes of an export's files, as its ``settings.json`` has them; none if there is no such file."""
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
        return dict(settings["files"]) if settings["format"] == FORMAT else {}
    except (OSError, ValueError, TypeError, KeyError):
        return {}


def load(settings: ExportConfig) -> LoadedRun:
    """The run with the settings of search that are exported; a message says which are not."""
    exact = MachineConfig(device="cpu", precision="fp32")
    decode = dataclasses.replace(settings.decode, **LEFT)  # type: ignore[arg-type]
    loaded = load_run(settings.run, settings.checkpoint, decode, exact)
    for name, value in LEFT.items():
        asked = getattr(overridden(loaded.config.decode, settings.decode), name)
        if asked != value:
            logger.warning("decode.%s=%s is not exported: the programs have no such thing", name, written(asked))
    return loaded


def write(loaded: LoadedRun, settings: ExportConfig) -> str:
    """Export the model; returns what there is to say.

    Raises:
        ExportError: the graphs do not compute what the model does.
        ConfigError: ``settings.web`` is not the package onnxruntime-web.
    """
    translator, path = loaded.translator, Path(settings.to)
    fields = _fields(loaded, settings)
    if settings.web:
        fields["versions"]["onnxruntime-web"] = web.runtime_version(Path(settings.web))
    model, precision = translator.model, settings.precision
    graphs = encoder_graph(model, precision), decoder_graph(model, precision, translator.special.forbidden)
    difference = verify.check(model, *graphs, precision)
    with atomic_directory(path) as directory:
        _fill(directory, translator, graphs, fields)
        if settings.web:
            web.add_page(directory, Path(settings.web), fields)
        write_json(directory / SETTINGS, {**fields, "files": identities(directory)})
        size = sum(file["bytes"] for file in identities(directory).values())
    lines = [
        f"{path}: {size / 1e6:.1f} MB; differs from the trained model by at most {difference:.0e}",
        f"  python {path / 'translate.py'} < text",
        f"  python -m http.server --directory {path}",
    ]
    return "\n".join(lines if settings.web else lines[:2])


def _fill(directory: Path, translator: Translator, graphs: tuple[bytes, bytes], fields: dict[str, Any]) -> None:
    """All that translating without a browser needs, but for settings.json."""
    for name, graph in zip(("encoder", "decoder"), graphs, strict=True):
        (directory / f"{name}.onnx").write_bytes(graph)
    translator.tokenizers.save(directory)
    names = {file.stem: file.name for file in directory.iterdir() if file.suffix in KINDS}
    fields["tokenizers"] = {side: names.get(side) or names["joint"] for side in ("src", "tgt")}
    words = ".words" in "".join(names.values())
    for name in ("translate.py", "search.py", *(["words.py"] if words else [])):
        shutil.copyfile(FILES / name, directory / name)
    text = "".join((FILES / name).read_text(encoding="utf-8") for name in _readmes(fields))
    write_text(directory / "README.md", text.format(**fields, extra="" if words else " sentencepiece"))


def _readmes(fields: dict[str, Any]) -> list[str]:
    return ["README.md", *(["WEB.md"] if "onnxruntime-web" in fields["versions"] else [])]


def _fields(loaded: LoadedRun, settings: ExportConfig) -> dict[str, Any]:
    """What settings.json says, besides the files and their hashes."""
    config, decode, pair = loaded.config, loaded.translator.decode, loaded.translator.tokenizers
    return {
        "format": FORMAT,
        "name": config.name or run_of(loaded.path).name,
        "src": config.data.src,
        "tgt": config.data.tgt,
        "precision": settings.precision,
        "special": {"pad": PAD, "unk": UNK, "bos": BOS, "eos": EOS},
        "search": {name: getattr(decode, name) for name in KEPT},
        "model": {
            "attention": config.attention.variant,
            "parameters": loaded.translator.model.num_parameters(),
            "src_vocabulary": len(pair.src),
            "tgt_vocabulary": len(pair.tgt),
        },
        "checkpoint": {"update": loaded.info.step, "epoch": loaded.info.epoch, "metrics": loaded.info.metrics},
        "versions": {"seq2seq": __version__, "torch": torch.__version__, "onnxruntime": verify.VERSION},
    }
