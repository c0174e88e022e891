"""Everything a run reports: TensorBoard, metrics.jsonl and the log. TensorBoard is imported here alone."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from seq2seq.atomic import write_text
from seq2seq.training.heatmap import attention_heatmap
from seq2seq.translator import Translation


class Tracker:
    """Writes to a run's directory; ``step`` is the number of optimizer updates."""

    def __init__(self, directory: Path, after: int | None = None) -> None:
        """``after``: the update that the run goes on from; what was written of later ones is forgotten."""
        self._writer = SummaryWriter(str(directory), purge_step=None if after is None else after + 1)
        rows = directory / "metrics.jsonl"
        if after is not None and rows.exists():
            write_text(rows, "".join(_rows_until(rows, after)))
        self._jsonl = rows.open("a", encoding="utf-8", newline="\n")

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

    def flush(self) -> None:
        """Make what was written visible to readers."""
        self._writer.flush()
        self._jsonl.flush()

    def close(self) -> None:
        """Write the rest and close the files."""
        self._writer.close()
        self._jsonl.close()


def _rows_until(path: Path, step: int) -> Iterator[str]:
    """The lines of ``path`` up to ``step``; a line that a dying process did not finish is of a later one."""
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            if not line.endswith("\n") or json.loads(line)["step"] > step:
                return
            yield line


def _hparam(value: Any) -> float | str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    return value if isinstance(value, int | float) else str(value)


def _markdown(text: str) -> str:
    return "".join("\\" + c if c in r"\`*_{}[]<>#+-!|~" else c for c in text)
