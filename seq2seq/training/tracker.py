"""Everything a run reports: TensorBoard, metrics.jsonl and the log. TensorBoard is imported here alone."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from seq2seq.decoding.heatmap import attention_heatmap
from seq2seq.decoding.translator import Translation

ROWS, EVENTS = "metrics.jsonl", "events.out.tfevents.*"


class Written(NamedTuple):
    """How far the report of a run had come."""

    step: int
    sizes: Mapping[str, int]  # bytes of metrics.jsonl and of TensorBoard's files


class Tracker:
    """Writes to a run's directory; ``step`` is the number of optimizer updates."""

    def __init__(self, directory: Path, written: Written | None = None) -> None:
        """``written``: what there was when the run was saved; whatever came after it is forgotten."""
        self._directory = directory
        if written:
            self._forget_after(written.sizes)
        # The purge is for a TensorBoard that is open and has read more than is left.
        self._writer = SummaryWriter(str(directory), purge_step=written.step + 1 if written else None)
        self._jsonl = (directory / ROWS).open("a", encoding="utf-8", newline="\n")

    def _files(self) -> list[Path]:
        return [*self._directory.glob(ROWS), *self._directory.glob(EVENTS)]

    def _forget_after(self, sizes: Mapping[str, int]) -> None:
        for path in self._files():
            if path.name not in sizes:  # of a start after this save
                path.unlink()
            elif path.stat().st_size > sizes[path.name]:
                os.truncate(path, sizes[path.name])

    def flush(self) -> dict[str, int]:
        """Make what was written visible to readers; gives the size of each file."""
        self._writer.flush()
        self._jsonl.flush()
        return {path.name: path.stat().st_size for path in self._files()}

    def config(self, config_yaml: str, settings: Mapping[str, Any], metric_tags: Sequence[str]) -> None:
        """The settings as text, and as hyperparameters beside ``metric_tags`` in the HPARAMS tab."""
        self._writer.add_text("config", "    " + config_yaml.replace("\n", "\n    "))
        shown = {key: _hparam(value) for key, value in settings.items()}
        # add_hparams would write them as another run; these go beside the scalars that they belong to.
        for summary in hparams(shown, dict.fromkeys(metric_tags, 0.0)):
            self._writer._get_file_writer().add_summary(summary)

    def scalars(self, group: str, values: Mapping[str, float], step: int) -> None:
        """``group``/name for each value, and one line of metrics.jsonl."""
        for name, value in values.items():
            self._writer.add_scalar(f"{group}/{name}", value, step)
        finite = {name: value if math.isfinite(value) else str(value) for name, value in values.items()}
        self._jsonl.write(
            json.dumps({"time": round(time.time(), 3), "step": step, "kind": group, **finite}) + "\n"
        )

    def samples(self, translations: Sequence[Translation], references: Sequence[str], step: int) -> None:
        """Source, reference and translation as text, and the attention of each translation as a picture."""
        for i, (translation, reference) in enumerate(zip(translations, references, strict=True)):
            rows = [
                ("source", translation.source),
                ("reference", reference),
                ("translation", translation.text),
            ]
            table = "\n".join(f"| **{name}** | {_markdown(text)} |" for name, text in rows)
            self._writer.add_text(f"samples/{i}", "| | |\n|---|---|\n" + table, step)
            best = translation.candidates[0]
            if best.pieces:
                figure = attention_heatmap(best.weights, translation.src_pieces, best.pieces)
                self._writer.add_figure(f"attention/{i}", figure, step, close=False)

    def close(self) -> None:
        """Write the rest and close the files."""
        with closing(self._jsonl):
            self._writer.close()


def _hparam(value: Any) -> float | str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    return value if isinstance(value, int | float) else str(value)


def _markdown(text: str) -> str:
    return "".join("\\" + c if c in r"\`*_{}[]<>#+-!|~" else c for c in text)
