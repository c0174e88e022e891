"""Files and directories that are there whole or not at all."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def naming(path: Path, temporary: Path | None = None) -> Iterator[None]:
    """Have errors of the system name ``path`` if they name nothing, as a full disk's do, or ``temporary``."""
    try:
        yield
    except OSError as error:
        unknown = error.filename is None or (temporary and str(error.filename).startswith(str(temporary)))
        if error.errno is not None and unknown:
            error.filename = str(path)
        raise


@contextmanager
def atomic_directory(path: Path, keep: Path | None = None) -> Iterator[Path]:
    """A temporary directory to fill, which takes the place of ``path`` when the block ends well.

    What stood there becomes ``keep``, if that is given.

    Raises:
        OSError: it can't be written; ``path`` is then as it was.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        with naming(path, temporary):
            temporary.mkdir(parents=True)
            yield temporary
            for each in [*temporary.rglob("*"), temporary]:
                _sync(each)
            _replace_directory(temporary, path, keep)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _replace_directory(new: Path, path: Path, keep: Path | None) -> None:
    replaces = path.exists()
    old = keep if keep and replaces else path.with_name(f".{path.name}.{os.getpid()}.old")
    if old.exists():
        shutil.rmtree(old)
    if replaces:
        path.rename(old)  # a directory that has files in it can't be renamed over
    try:
        new.rename(path)
    except BaseException:
        if replaces:
            old.rename(path)
        raise
    _sync(path.parent)
    if old != keep:
        shutil.rmtree(old, ignore_errors=True)


def recover(directory: Path) -> None:
    """Clear up in ``directory`` after a process that died while it wrote there.

    What it was about to replace is put back, what it had not finished is removed.
    """
    for left in directory.iterdir():
        ours = re.fullmatch(r"\.(.+)\.\d+\.(old|tmp)", left.name)
        if ours and ours[2] == "old" and not (directory / ours[1]).exists():
            left.rename(directory / ours[1])
        elif ours:
            remove(left)


def remove(path: Path) -> None:
    """Remove a file, a link or a whole directory."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def write_text(path: Path, text: str) -> None:
    r"""Write ``text`` as UTF-8 with "\n" line ends, under a temporary name first."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with naming(path, temporary):
            temporary.write_text(text, encoding="utf-8", newline="\n")
            _sync(temporary)
            temporary.replace(path)
            _sync(path.parent)
    finally:
        with suppress(OSError):  # where nothing can be written, nothing can be removed
            temporary.unlink()


def _sync(path: Path) -> None:
    """Have the file, or the names in the directory, reach the disk."""
    if path.is_dir() and os.name == "nt":  # where a directory can't be opened
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
