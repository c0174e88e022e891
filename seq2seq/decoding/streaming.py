"""Line by line from one stream to another: n lines in, n lines out, in order, however long the input."""

from __future__ import annotations

import contextlib
import io
import logging
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import BinaryIO, TextIO

from seq2seq.decoding.heatmap import attention_heatmap
from seq2seq.decoding.translator import Translation, Translator
from seq2seq.errors import DataError

logger = logging.getLogger(__name__)


@contextlib.contextmanager
def opened(source: str | None, target: str | None) -> Iterator[tuple[TextIO, TextIO]]:
    r"""The files ``source`` and ``target``, or standard input and output, as UTF-8 with "\n" line ends.

    Raises:
        DataError: a file can't be opened.
    """
    with contextlib.ExitStack() as stack:
        try:
            read: BinaryIO = stack.enter_context(Path(source).open("rb")) if source else sys.stdin.buffer
            written: BinaryIO = stack.enter_context(Path(target).open("wb")) if target else sys.stdout.buffer
        except OSError as error:
            raise DataError(f"{error.filename}: can't be opened ({error.strerror})") from None
        yield (
            io.TextIOWrapper(read, encoding="utf-8", errors="replace", newline="\n"),
            io.TextIOWrapper(written, encoding="utf-8", newline="\n"),
        )


def translate_stream(
    translator: Translator, lines: TextIO, output: TextIO, chunk_lines: int, heatmaps: Path | None = None
) -> None:
    """Translate ``chunk_lines`` lines at a time; with num_best > 1 a line becomes as many lines, tab-separated.

    Such a line holds the input line's number, the rank, the score and the text. In the directory ``heatmaps``
    the attention of line n's best translation becomes n.png.
    """
    number = truncated = 0
    while chunk := [line.removesuffix("\n").removesuffix("\r") for line in islice(lines, chunk_lines)]:
        for translation in translator.translate(chunk):
            number += 1
            truncated += translation.truncated
            output.write(formatted(translation, number, translator.decode.num_best))
            if heatmaps is not None and translation.text:
                draw_attention(translation, heatmaps / f"{number}.png")
        output.flush()
    if truncated:
        logger.warning("%d of %d lines were cut at %d tokens", truncated, number, translator.decode.max_src_tokens)


def draw_attention(translation: Translation, path: Path) -> None:
    """Write the attention of the best translation as a picture."""
    best = translation.candidates[0]
    path.parent.mkdir(parents=True, exist_ok=True)
    attention_heatmap(best.weights, translation.src_pieces, best.pieces).savefig(path)


def formatted(translation: Translation, number: int, num_best: int) -> str:
    """The output lines of one input line."""
    if num_best == 1:
        return translation.text + "\n"
    return "".join(
        f"{number}\t{rank}\t{candidate.score:.4f}\t{candidate.text}\n"
        for rank, candidate in enumerate(translation.candidates, 1)
    )
