"""Line by line from one stream to another: n lines in, n lines out, in order, however long the input."""

from __future__ import annotations

import contextlib
import io
import logging
import secrets
import shutil
import sys
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any, TextIO

from seq2seq.data.lines import LONGEST_LINE, line_too_long
from seq2seq.decoding.translator import Translation, Translator
from seq2seq.errors import DataError
from seq2seq.storage.atomic import naming

logger = logging.getLogger(__name__)


@contextlib.contextmanager
def reading(path: str | None) -> Iterator[Iterator[str]]:
    r"""The lines of the file ``path``, or of standard input, as UTF-8 with "\n" line ends.

    Raises:
        DataError: the file can't be opened, or a line is longer than ``LONGEST_LINE``.
    """
    if path is None:
        text = io.TextIOWrapper(sys.stdin.buffer, encoding="utf-8", errors="replace", newline="\n")
        try:
            yield _lines(text, "standard input")
        finally:
            text.detach()  # else it would close standard input
    else:
        with _opened(Path(path), "r") as file:
            yield _lines(file, path)


def _lines(file: TextIO, name: str) -> Iterator[str]:
    for number in count(1):
        line = file.readline(LONGEST_LINE + 1)
        if len(line) > LONGEST_LINE and not line.endswith("\n"):
            raise line_too_long(name, number)
        if not line:
            return
        yield line


@contextlib.contextmanager
def writing(path: str | None) -> Iterator[TextIO]:
    r"""The file ``path``, or standard output, as UTF-8 with "\n" line ends.

    A file appears only once the block has ended well, so it may be the file that is being read. If the block
    fails, the lines written so far are kept, in a file that a message names.

    Raises:
        DataError: the file can't be opened.
    """
    if path is None:
        output = io.TextIOWrapper(sys.stdout.buffer, encoding="utf-8", newline="\n")
        try:
            yield output
        finally:
            output.detach()
    elif Path(path).exists() and not Path(path).is_file():  # a pipe or a device
        with _opened(Path(path), "w") as file:
            yield file
    else:
        with replacing(Path(path)) as file:
            yield file


@contextlib.contextmanager
def replacing(path: Path, mode: str = "x") -> Iterator[Any]:
    """A new file, of text or in ``mode`` "xb" of bytes, that becomes ``path`` once the block has ended well.

    If the block fails, it is kept, and a message names it.

    Raises:
        DataError: it can't be opened.
    """
    path = path.resolve()  # a link stays a link
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")
    with naming(path, temporary):
        try:
            with _opened(temporary, mode, path) as file:
                yield file
        except BaseException:
            if temporary.exists() and temporary.stat().st_size == 0:
                temporary.unlink()
            elif temporary.exists():
                logger.warning("stopped; the lines translated so far are in %s", temporary)
            raise
        if path.exists():
            shutil.copymode(path, temporary)
        temporary.replace(path)


def _opened(path: Path, mode: str, name: Path | None = None) -> Any:
    as_text: dict[str, Any] = {} if "b" in mode else {"encoding": "utf-8", "errors": "replace", "newline": "\n"}
    try:
        return path.open(mode, **as_text)
    except OSError as error:
        raise DataError(f"{name or path}: can't be opened ({error.strerror})") from None


def typed(prompt: str) -> Iterator[str]:
    """Lines typed at the terminal until ctrl-D, with editing and a history where Python has readline."""
    with contextlib.suppress(ImportError):
        import readline  # noqa: F401 (input() uses it)
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="replace")
    print("type a sentence and press enter; end with ctrl-D", file=sys.stderr)
    with contextlib.suppress(EOFError):
        while True:
            if sys.stdout.isatty():  # else the prompt would be among the translations
                yield input(prompt)
            else:
                print(prompt, end="", file=sys.stderr, flush=True)
                yield input()
    print(file=sys.stderr)


def translate_stream(
    translator: Translator,
    lines: Iterator[str],
    output: TextIO,
    chunk_lines: int,
    also: Callable[[int, Translation], object] | None = None,
) -> None:
    """Translate ``chunk_lines`` lines at a time, fewer if they are long.

    With num_best > 1, a line in gives num_best lines out. Their columns, with tabs between, are the input line's
    number, the rank, the score and the text. ``also`` is called with the number and the
    translations of each line in.
    """
    number = truncated = 0
    for chunk in _chunks(lines, chunk_lines):
        for translation in translator.translate(chunk):
            number += 1
            truncated += translation.truncated
            output.write(formatted(translation, number, translator.decode.num_best))
            if also:
                also(number, translation)
        output.flush()
    if truncated:
        logger.warning("%d of %d lines were cut at %d tokens", truncated, number, translator.decode.max_src_tokens)


def _chunks(lines: Iterator[str], chunk_lines: int) -> Iterator[list[str]]:
    """``chunk_lines`` lines at a time, without their ends; fewer once they have ``LONGEST_LINE`` characters."""
    chunk: list[str] = []
    size = 0
    for line in lines:
        chunk.append(line.removesuffix("\n").removesuffix("\r"))
        size += len(line)
        if len(chunk) == chunk_lines or size > LONGEST_LINE:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def formatted(translation: Translation, number: int, num_best: int) -> str:
    """The output lines of one input line."""
    if num_best == 1:
        return translation.text + "\n"
    return "".join(
        f"{number}\t{rank}\t{candidate.score:.4f}\t{candidate.text}\n"
        for rank, candidate in enumerate(translation.candidates, 1)
    )
