"""Sizes and hashes of files, to check that a file is still as it was written."""

from __future__ import annotations

import errno
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seq2seq.errors import CheckpointError

DENIED = {errno.EMFILE, errno.ENFILE, errno.EACCES, errno.EPERM}  # errors that say nothing about the content


LARGE = 64 * 2**20  # bytes, which take a twentieth of a second to hash


def sha256(path: Path) -> str:
    """The hash of a file's bytes, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()


def identity(path: Path) -> dict[str, Any]:
    """Size and hash of a file."""
    return {"bytes": path.stat().st_size, "sha256": sha256(path)}


def identities(directory: Path) -> dict[str, dict[str, Any]]:
    """Name → identity of every file in ``directory`` and below."""
    files = sorted(path for path in directory.rglob("*") if path.is_file())
    return {path.relative_to(directory).as_posix(): identity(path) for path in files}


def check_files(directory: Path, saved: Mapping[str, Mapping[str, Any]]) -> None:
    """Compare the files in ``directory`` with their ``saved`` identities.

    Raises:
        CheckpointError: a file is missing, unreadable or changed.
        OSError: this process may not open a file, or has too many open.
    """
    for name, expected in saved.items():
        _check_file(directory / name, expected)


def _check_file(path: Path, expected: Mapping[str, Any]) -> None:
    try:
        actual = identity(path)
    except OSError as error:
        if error.errno in DENIED:
            raise
        raise CheckpointError(f"{path}: {error.strerror}; the checkpoint is not whole") from None
    if actual["bytes"] != (size := expected.get("bytes")):
        raise CheckpointError(f"{path}: {actual['bytes']} bytes instead of {size}: not what was saved")
    if actual["sha256"] != expected.get("sha256"):
        raise CheckpointError(f"{path}: changed since it was saved (another SHA-256)")


def sealed(directory: Path, but: str) -> dict[str, dict[str, Any]]:
    """Name → identity and time of change of every file in ``directory`` but one: what ``is_sealed`` compares."""
    return {
        name: {**file, "mtime_ns": (directory / name).stat().st_mtime_ns}
        for name, file in identities(directory).items()
        if name != but
    }


def is_sealed(directory: Path, recorded: Mapping[str, Mapping[str, Any]], but: str, verify: bool) -> bool:
    """Whether the files in ``directory`` are those ``recorded``.

    A file over ``LARGE`` whose size and time of change are the same is read again only to ``verify`` it.

    Raises:
        OSError: a file can't be read.
    """
    files = {path.name: path for path in directory.iterdir() if path.name != but}
    return files.keys() == recorded.keys() and all(
        _is_unchanged(path, recorded[name], verify) for name, path in files.items()
    )


def _is_unchanged(path: Path, recorded: Mapping[str, Any], verify: bool) -> bool:
    stat = path.stat()
    if stat.st_size != recorded["bytes"]:
        return False
    known = stat.st_size > LARGE and stat.st_mtime_ns == recorded["mtime_ns"] and not verify
    return known or sha256(path) == recorded["sha256"]
