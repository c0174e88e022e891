"""A directory of a cache: opened if it is whole, or else built, by one process while the others wait."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from seq2seq.errors import DataError
from seq2seq.storage.atomic import atomic_directory, recover, write_text
from seq2seq.storage.integrity import is_sealed, sealed
from seq2seq.storage.lock import exclusive

logger = logging.getLogger(__name__)

CONTENTS = "contents.json"
Opened = TypeVar("Opened")


def opened_or_built(
    directory: Path, opened: Callable[[Path, bool], Opened | None], fill: Callable[[Path], None]
) -> Opened:
    """What ``opened(directory, False)`` gives or, if that is None, what ``fill`` puts in its place.

    ``opened(directory, True)`` opens what ``fill`` has just written. Where nothing can be written, a warning says
    so; what is built then lasts as long as this process.
    """
    with exclusive(directory.with_name(f".{directory.name}.lock")):
        if (found := opened(directory, False)) is not None:
            return found
        try:
            if directory.parent.is_dir():
                recover(directory.parent, re.escape(directory.name))  # what a process left that died
            with atomic_directory(directory) as temporary:
                fill(temporary)
        except OSError as error:
            if (found := opened(directory, False)) is not None:  # without locks, another process was faster
                return found
            logger.warning("%s: can't be written (%s); the next start builds it again", directory, error.strerror)
            with TemporaryDirectory(prefix="seq2seq-", ignore_cleanup_errors=True) as scratch:
                fill(Path(scratch))
                return _open(opened, Path(scratch))  # what is mapped outlives its name
        return _open(opened, directory)


def _open(opened: Callable[[Path, bool], Opened | None], directory: Path) -> Opened:
    found = opened(directory, True)
    assert found is not None, f"{directory} was built a moment ago"
    return found


def write_contents(directory: Path, fields: Mapping[str, Any]) -> None:
    """Write ``fields`` and the identities of the files in ``directory`` into its file CONTENTS."""
    contents = {**fields, "files": sealed(directory, CONTENTS)}
    write_text(directory / CONTENTS, json.dumps(contents, indent=2) + "\n")


def read_contents(directory: Path, verify: bool) -> dict[str, Any]:
    """What ``write_contents`` wrote, once the files are those that it saw.

    Raises:
        DataError: they are not; or it can't be read.
        OSError: a file can't be read.
    """
    try:
        contents = dict(json.loads((directory / CONTENTS).read_text(encoding="utf-8")))
        if is_sealed(directory, contents["files"], CONTENTS, verify):
            return contents
    except (ValueError, KeyError, TypeError, AttributeError):
        pass
    raise DataError(f"{directory}: damaged, or copied from elsewhere")
