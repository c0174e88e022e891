"""The reports of a run: TensorBoard, metrics.jsonl, samples.jsonl, the curves and, at the end, pages.

Only this module imports TensorBoard.
"""

from __future__ import annotations

import json
import math
import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from seq2seq.decoding.translator import Translation
from seq2seq.decoding.word_attention import WordAttention
from seq2seq.runs.layout import CURVES, EVENTS, NO_CHOICES, ROWS, SAMPLES
from seq2seq.settings.compose import to_yaml
from seq2seq.settings.schema import TrainConfig, flat, training_keys
from seq2seq.tables import markdown
from seq2seq.training.samples import sample

FIRST_HPARAMS = (r"model\.\w+_(size|layers)", r"model\.dropout\.\w+", r"optimizer\.lr")
"""TensorBoard sorts columns by name; a number before the name puts these columns first."""
SECTIONS = {"average": "valid_average"}
"""Group → section in TensorBoard. Its tab TIME SERIES opens the first two, which should be train and valid."""
HPARAM_METRICS = ("valid/bleu", "valid/chrf", "valid/ppl")  # the latest
COMPARISON = ".comparison"  # ends the name of a file of events
LAYOUT = {
    "train and validation": {
        "loss": ["Multiline", ["train/loss", "valid/loss"]],
        "perplexity": ["Multiline", ["train/ppl", "valid/ppl"]],
        "BLEU and chrF": ["Multiline", ["valid/bleu", "valid/chrf"]],
        "learning rate": ["Multiline", ["train/lr"]],
        "target tokens a second": ["Multiline", ["train/tokens_per_second"]],
    }
}
"""The charts of the CUSTOM SCALARS tab."""


class Written(NamedTuple):
    """The length of a run's reports at its last save."""

    step: int
    sizes: Mapping[str, int]  # bytes of metrics.jsonl, samples.jsonl and TensorBoard's files


class Tracker:
    """Writes to a run's directory; ``step`` is the number of optimizer updates."""

    def __init__(self, directory: Path, written: Written | None = None) -> None:
        """``written``: the reports as the run was saved; whatever was written after that is removed."""
        self._directory = directory
        self._drawn = time.monotonic()
        if written:
            self._forget_after(written.sizes)
        # The purge tells an open TensorBoard to forget what was removed.
        self._writer = SummaryWriter(str(directory), purge_step=written.step + 1 if written else None)
        self._jsonl, self._samples = (
            (directory / name).open("a", encoding="utf-8", newline="\n") for name in (ROWS, SAMPLES)
        )

    def _files(self) -> list[Path]:
        return [file for name in (ROWS, SAMPLES, EVENTS) for file in self._directory.glob(name)]

    def _forget_after(self, sizes: Mapping[str, int]) -> None:
        for path in self._files():
            if path.name not in sizes:  # from a start after this save
                path.unlink()
            elif path.stat().st_size > sizes[path.name]:
                os.truncate(path, sizes[path.name])

    def flush(self) -> dict[str, int]:
        """Write everything to the files; returns the size of each."""
        self._writer.flush()
        self._jsonl.flush()
        self._samples.flush()
        return {path.name: path.stat().st_size for path in self._files()}

    def config(self, config: TrainConfig) -> None:
        """Write the settings, as text and for the tab HPARAMS, and the layout of the tab CUSTOM SCALARS."""
        self._writer.add_text("settings", "    " + to_yaml(config).replace("\n", "\n    "))
        self._writer.add_custom_scalars(LAYOUT)
        # add_hparams would write them as another run; here they stay with the scalars of this one. Which columns
        # the tab has is no matter of a single run: see compare_in_tensorboard.
        for summary in hparams(hyperparameters(config), {})[1:]:
            self._writer._get_file_writer().add_summary(summary)

    def scalars(self, group: str, values: Mapping[str, float], step: int, epoch: int | None = None) -> None:
        """Write each value as ``group``/name, and all in a line of metrics.jsonl, with ``epoch`` if given."""
        for name, value in values.items():
            self._writer.add_scalar(f"{SECTIONS.get(group, group)}/{name}", value, step)
        finite = {name: value if math.isfinite(value) else str(value) for name, value in values.items()}
        when = {"time": round(time.time(), 3), "step": step, **({} if epoch is None else {"epoch": epoch})}
        self._jsonl.write(json.dumps({**when, "kind": group, **finite}) + "\n")

    def samples(
        self,
        translations: Sequence[Translation],
        references: Sequence[str],
        attention: Sequence[WordAttention],
        step: int,
        group: str = "valid",
    ) -> None:
        """Write source, reference and translation as text, and the attention of each translation as a picture.

        All go into a line of samples.jsonl too, with the attention as numbers.
        """
        shown = [sample(*parts) for parts in zip(translations, references, attention, strict=False)]
        row = {"step": step, "kind": group, "samples": shown}
        self._samples.write(json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n")
        with self._drawing():
            from seq2seq.decoding.heatmap import attention_heatmap  # with matplotlib, which is slow to import

        digits = len(str(len(translations)))  # so that 10 comes after 9
        for i, (translation, reference) in enumerate(zip(translations, references, strict=False), 1):
            number = f"{i:0{digits}}"
            rows = [
                ("source", translation.source),
                ("reference", reference),
                ("translation", translation.text),
            ]
            table = "\n".join(f"| **{name}** | {markdown(text)} |" for name, text in rows)
            self._writer.add_text(f"samples/{number}", "| | |\n|---|---|\n" + table, step)
            best = translation.candidates[0]
            if best.pieces:
                title = f"validation sentence {i}, update {step:,}"
                with self._drawing():
                    figure = attention_heatmap(best.weights, translation.src_pieces, best.pieces, title)
                    self._writer.add_figure(f"valid_attention/{number}", figure, step, close=False)

    def draw_curves(self, at_most_every: float = 0.0) -> None:
        """Draw the curves so far into curves.png, at most once in ``at_most_every`` seconds."""
        if time.monotonic() - self._drawn < at_most_every:
            return
        self._jsonl.flush()
        with self._drawing():
            from seq2seq.report.curves import draw_curves  # with matplotlib

            draw_curves(self._directory / ROWS, self._directory / CURVES, self._directory.name)
        self._drawn = time.monotonic()

    def report(self, result: Mapping[str, Any]) -> None:
        """Write report.html and the model card of a run that has ended with ``result``."""
        with self._drawing():
            from seq2seq.report import card, training  # with matplotlib

            training.write(self._directory, result)
            card.write(self._directory, result)

    @contextmanager
    def _drawing(self) -> Iterator[None]:
        """Make errors of the system name the run, not a font that could not be opened."""
        try:
            yield
        except OSError as error:
            error.filename = str(self._directory)
            raise

    def close(self) -> None:
        """Write the rest and close the files."""
        with closing(self._jsonl), closing(self._samples):
            self._writer.close()


class NoTracker(Tracker):
    """Reports nothing: for processes other than rank 0."""

    def __init__(self) -> None: ...

    def flush(self) -> dict[str, int]:
        return {}

    def scalars(self, *what: Any) -> None: ...

    def samples(self, *what: Any) -> None: ...

    def draw_curves(self, at_most_every: float = 0.0) -> None: ...

    def report(self, *what: Any) -> None: ...

    def close(self) -> None: ...


def compare_in_tensorboard(directory: Path, differing: Mapping[str, Sequence[str | None]], metric: str) -> None:
    """Make the tab HPARAMS show, of the runs in ``directory``, what differs and how good they are.

    Args:
        directory: it may hold the comparison of an earlier day, which is replaced.
        differing: full key → its value in each run, as a text.
        metric: the one that the runs are ranked by.
    """
    for earlier in directory.glob(f"{EVENTS}{COMPARISON}"):
        earlier.unlink()
    columns = {_column(key): _example(values) for key, values in differing.items()}
    metrics = dict.fromkeys([f"valid/best_{metric}", *HPARAM_METRICS], 0.0)
    with closing(SummaryWriter(str(directory), filename_suffix=COMPARISON)) as writer:
        writer._get_file_writer().add_summary(hparams(columns, metrics)[0])


def _example(values: Sequence[str | None]) -> float | str:
    """A value of the type that TensorBoard needs for all of ``values``."""
    try:
        return max(float(value or "") for value in values)
    except ValueError:
        return ""


def hyperparameters(config: TrainConfig) -> dict[str, float | str]:
    """Settings that can differ between runs; sizes, dropout and rate first. Every run has the same keys."""
    values = {**dict.fromkeys(training_keys()), **flat(config)}
    return {_column(key): _hparam(value) for key, value in values.items() if not key.startswith(NO_CHOICES)}


def _column(key: str) -> str:
    number = next((i for i, first in enumerate(FIRST_HPARAMS, 1) if re.fullmatch(first, key)), None)
    return key if number is None else f"{number} {key}"


def _hparam(value: Any) -> float | str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    return value if isinstance(value, int | float) else str(value)
