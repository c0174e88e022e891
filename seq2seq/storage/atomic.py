"""Files and directories that are written whole or not at all."""

from __future__ import annotations

import ctypes
import json
import math
import os
import re
import secrets
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any


@contextmanager
def naming(path: Path, temporary: Path | None = None) -> Iterator[None]:
    """Make errors of the system name ``path`` if they name ``temporary`` or, as on a full disk, no file at all."""
    try:
        yield
    except OSError as error:
        unknown = error.filename is None or (temporary and str(error.filename).startswith(str(temporary)))
        if error.errno is not None and unknown:
            error.filename = str(path)
        raise


@contextmanager
def atomic_directory(path: Path, keep: Path | None = None) -> Iterator[Path]:
    """A temporary directory to fill; it becomes ``path`` when the block ends well.

    The old ``path`` becomes ``keep``, if given. On Linux, readers see the old or the new ``path`` at any time; on
    other systems, there is none for an instant.

    Raises:
        OSError: it can't be written; ``path`` is then as it was.
    """
    temporary = _temporary(path)
    try:
        with naming(path, temporary):
            temporary.mkdir(parents=True)
            yield temporary
            for written in [*temporary.rglob("*"), temporary]:
                sync(written)
            _replace(path, temporary, keep)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _temporary(path: Path) -> Path:
    """A name beside ``path`` that no other process uses. It is random, since containers repeat process numbers."""
    return path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")


def _replace(path: Path, new: Path, keep: Path | None) -> None:
    """Rename ``new`` to ``path``, and what was there to ``keep``, or to ``new``."""
    if not path.exists():
        new.rename(path)
    elif not _exchange(new, path):
        _replace_in_two_steps(path, new, keep)
    elif keep:
        _replace(keep, new, None)
    sync(path.parent)


def _replace_in_two_steps(path: Path, new: Path, keep: Path | None) -> None:
    """Move the old directory away first: a directory with files in it can't be renamed over."""
    old = keep or new.with_suffix(".old")
    shutil.rmtree(old, ignore_errors=True)
    path.rename(old)
    try:
        new.rename(path)
    except BaseException:
        old.rename(path)
        raise
    if not keep:
        old.rename(new)


RENAME_EXCHANGE = 2  # of renameat2(2)


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two names in one step; False where the system, the C library or the file system can't."""
    if not sys.platform.startswith("linux"):
        return False
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "renameat2"):
        return False
    sys.audit("os.rename", str(one), str(other), -1, -1)  # as Python's own renames are
    here = -100  # AT_FDCWD
    status: int = libc.renameat2(here, os.fsencode(one), here, os.fsencode(other), RENAME_EXCHANGE)
    return status == 0


def recover(directory: Path, names: str) -> None:
    """Repair ``directory`` after a process died while writing files there; ``names`` is a pattern of their names.

    Whatever it was about to replace is put back; whatever it had not finished is removed.
    """
    for left in directory.iterdir():
        ours = re.fullmatch(rf"\.({names})\.(?:[0-9a-f]{{16}}|\d+)\.(old|tmp)", left.name)
        if ours and ours.groups()[-1] == "old" and not (directory / ours[1]).exists():
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
    write_bytes(path, text.encode("utf-8"))


def write_json(path: Path, fields: Mapping[str, Any]) -> None:
    """Write ``fields`` as JSON, which has no NaN or infinity: those become the texts "nan", "inf" and "-inf"."""
    plain = json.dumps(_finite(fields), indent=2, ensure_ascii=False, allow_nan=False)
    write_text(path, plain + "\n")


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def write_bytes(path: Path, data: bytes) -> None:
    """Write ``data`` under a temporary name first."""
    temporary = _temporary(path)
    try:
        with naming(path, temporary):
            temporary.write_bytes(data)
            sync(temporary)
            temporary.replace(path)
            sync(path.parent)
    finally:
        with suppress(OSError):  # on a disk that can't be written, nothing can be removed either
            temporary.unlink()


def sync(path: Path) -> None:
    """Make sure that the file, or the names in the directory, are on the disk."""
    if path.is_dir() and os.name == "nt":  # Windows can't open a directory
        return
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)  # Windows syncs only writable files
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
