"""Whole or not at all: what is there after success, failure and death half-way."""

import errno
import json
import math
import os
import re
import stat
import sys
import threading
from pathlib import Path

import pytest

from seq2seq.storage import atomic
from seq2seq.storage.atomic import atomic_directory, recover, write_json, write_text


def test_json_without_numbers_that_it_does_not_have(tmp_path: Path) -> None:
    fields = {"a": math.inf, "b": [-math.inf, {"c": math.nan}, (1.5, 2)], "ü": "NaN", "d": None, "e": True}
    write_json(tmp_path / "fields.json", fields)
    plain = {"a": "inf", "b": ["-inf", {"c": "nan"}, [1.5, 2]], "ü": "NaN", "d": None, "e": True}
    assert json.loads((tmp_path / "fields.json").read_text("utf-8"), parse_constant=pytest.fail) == plain


def contents(directory: Path) -> dict[str, bytes]:
    return {str(p.relative_to(directory)): p.read_bytes() for p in directory.rglob("*") if p.is_file()}


@pytest.fixture
def best(tmp_path: Path) -> Path:
    """A directory with an old file, in an otherwise empty place."""
    path = tmp_path / "place" / "best"
    path.mkdir(parents=True)
    (path / "old").write_bytes(b"old")
    return path


@pytest.fixture(params=["exchanged", "in two steps"])
def replaced(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways to replace a directory: where names can be exchanged, and where they can't."""
    if request.param == "in two steps":
        monkeypatch.setattr(atomic, "_exchange", lambda one, other: False)


def can_exchange(directory: Path) -> bool:
    one, other = directory / "one", directory / "other"
    one.write_text("one")
    other.write_text("other")
    return atomic._exchange(one, other) and one.read_text() == "other"


def assert_alone(path: Path) -> None:
    assert list(path.parent.iterdir()) == [path]  # nothing temporary beside it


def test_a_new_directory(tmp_path: Path) -> None:
    path = tmp_path / "place" / "new"
    with atomic_directory(path) as temporary:
        (temporary / "inner").mkdir()
        (temporary / "inner" / "file").write_bytes(b"x")
        assert not path.exists()
        assert temporary.parent == path.parent  # so that it can be renamed
    assert contents(path) == {"inner/file": b"x"}
    assert_alone(path)


def test_an_error_in_writing_says_where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object, **options: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with (
        pytest.raises(OSError, match=rf"No space left on device: '{tmp_path}/best'"),
        atomic_directory(tmp_path / "best"),
    ):
        full()
    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match=rf"No space left on device: '{tmp_path}/text'"):
        write_text(tmp_path / "text", "a")


@pytest.mark.usefixtures("replaced")
def test_it_replaces_all_of_the_old_one(best: Path) -> None:
    with atomic_directory(best) as temporary:
        (temporary / "new").write_bytes(b"new")
        assert contents(best) == {"old": b"old"}
    assert contents(best) == {"new": b"new"}
    assert_alone(best)


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()])
def test_failure_in_the_block_keeps_the_old_one(best: Path, error: BaseException) -> None:
    def fill() -> None:
        with atomic_directory(best) as temporary:
            (temporary / "new").write_bytes(b"half")
            raise error

    with pytest.raises(type(error)):
        fill()
    assert contents(best) == {"old": b"old"}
    assert_alone(best)


def test_failure_makes_no_new_one(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="disk full"), atomic_directory(tmp_path / "new"):
        raise OSError("disk full")
    assert list(tmp_path.iterdir()) == []


def test_failure_to_reach_the_disk_keeps_the_old_one(best: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(descriptor: int) -> None:
        raise OSError("input/output error")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="input/output"), atomic_directory(best) as temporary:
        (temporary / "new").write_bytes(b"new")
    assert contents(best) == {"old": b"old"}
    assert_alone(best)


def test_failure_to_rename_puts_the_old_one_back(best: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rename = Path.rename

    def fail_for_new(self: Path, target: Path) -> Path:
        if self.name.endswith(".tmp"):
            raise PermissionError("in use")
        return rename(self, target)

    monkeypatch.setattr(atomic, "_exchange", lambda one, other: False)
    monkeypatch.setattr(Path, "rename", fail_for_new)
    with pytest.raises(PermissionError), atomic_directory(best) as temporary:
        (temporary / "new").write_bytes(b"new")
    assert contents(best) == {"old": b"old"}
    assert_alone(best)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="exchanges names on Linux only")
def test_a_reader_never_finds_it_gone(best: Path, tmp_path: Path) -> None:
    if not can_exchange(tmp_path):
        pytest.skip("this file system can't exchange names")
    missed, reads, over = [], 0, threading.Event()

    def poll() -> None:
        nonlocal reads
        while not over.is_set():
            try:
                assert (best / "old").read_bytes() == b"old"
                reads += 1
            except FileNotFoundError as error:
                missed.append(error)

    reader = threading.Thread(target=poll)
    reader.start()
    for _ in range(500):
        with atomic_directory(best) as temporary:
            (temporary / "old").write_bytes(b"old")
    over.set()
    reader.join()
    assert reads > 500
    assert missed == []


def test_an_exchange_that_the_system_refuses_is_known(tmp_path: Path) -> None:
    assert not atomic._exchange(tmp_path / "none", tmp_path / "nor this")


def test_processes_of_one_number_write_side_by_side(best: Path) -> None:
    """As in two containers, which count their processes from 1 both."""
    with atomic_directory(best) as ours:
        (ours / "new").write_bytes(b"ours")
        with atomic_directory(best) as theirs:
            (theirs / "new").write_bytes(b"theirs")
        assert contents(best) == {"new": b"theirs"}
    assert contents(best) == {"new": b"ours"}
    assert_alone(best)


@pytest.mark.skipif(os.name == "nt", reason="asks in the way of Unix")
def test_files_are_synced_by_handles_that_may_write(best: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows refuses others."""
    import fcntl

    handles = []

    def fsync(handle: int) -> None:
        is_file = stat.S_ISREG(os.fstat(handle).st_mode)
        handles.append((is_file, fcntl.fcntl(handle, fcntl.F_GETFL) & os.O_ACCMODE))

    monkeypatch.setattr(os, "fsync", fsync)
    with atomic_directory(best) as temporary:
        (temporary / "new").write_bytes(b"new")
    write_text(best / "text", "text")
    files = [access for is_file, access in handles if is_file]
    assert files == [os.O_RDWR] * 2
    assert len(handles) == 5


def test_files_are_synced_before_they_take_their_place(best: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []

    def sync(path: Path) -> None:
        if path != best.parent:  # whose names are synced once they are the new ones
            assert contents(best) == {"old": b"old"}
        synced.append(path.name)

    monkeypatch.setattr(atomic, "sync", sync)
    with atomic_directory(best) as temporary:
        (temporary / "a").write_bytes(b"a")
        (temporary / "inner").mkdir()
        (temporary / "inner" / "b").write_bytes(b"b")
    assert sorted(synced[:3]) == ["a", "b", "inner"]
    assert re.fullmatch(r"\.best\.[0-9a-f]{16}\.tmp", synced[3])
    assert synced[4:] == ["place"]


def test_text_is_utf_8_with_unix_line_ends(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_text(path, "Straße\n")
    assert path.read_bytes() == "Straße\n".encode()
    write_text(path, "b\r\n")
    assert path.read_bytes() == b"b\r\n"
    assert_alone(path)


@pytest.mark.parametrize("step", ["encode", "fsync", "replace"])
def test_failure_to_write_text_keeps_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    path = tmp_path / "file"
    write_text(path, "old")

    def fail(*arguments: object) -> None:
        raise OSError("disk full")

    if step == "fsync":
        monkeypatch.setattr(os, "fsync", fail)
    if step == "replace":
        monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises((OSError, UnicodeEncodeError)):
        write_text(path, "new \ud800" if step == "encode" else "new")
    assert path.read_bytes() == b"old"
    assert_alone(path)


def test_recovering_puts_back_and_clears_up(tmp_path: Path) -> None:
    """Under names with random digits and, as in earlier versions, with the number of a process."""
    digits = "0123456789abcdef"
    for name in (f".best.{digits}.old", ".last.12.old", "last", ".step-3.12.tmp", f".step-6.{digits}.tmp"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    for name in (".config.yaml.12.tmp", f".config.yaml.{digits}.tmp"):
        (tmp_path / name).write_text("half")
    others = [".bashrc.old", ".mine.tmp", ".words.cafe.old", "notes.old", ".draft.12.tmp", f".draft.{digits}.old"]
    for name in others:
        (tmp_path / name).write_text("not ours")
    recover(tmp_path, r"best|last|step-\d+|config\.yaml")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*others, "best", "last"])
    assert (tmp_path / "best" / "file").read_text() == f".best.{digits}.old"
    assert (tmp_path / "last" / "file").read_text() == "last"


@pytest.mark.usefixtures("replaced")
def test_what_a_death_leaves_is_recovered(best: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the old one is gone, and between the two steps where there are two."""

    def die(path: Path) -> None:
        raise SystemExit

    rename = Path.rename

    def rename_and_die(self: Path, target: Path) -> Path:
        rename(self, target)
        if self == best:
            monkeypatch.setattr(Path, "rename", lambda self, target: die(self))
        return target

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", rename_and_die)
        patch.setattr(atomic.shutil, "rmtree", lambda *arguments, **options: None)
        patch.setattr(atomic, "sync", lambda path: die(path) if path == best.parent else None)
        with pytest.raises(SystemExit), atomic_directory(best) as temporary:
            (temporary / "new").write_bytes(b"new")
    assert len(list(best.parent.iterdir())) == 2
    recover(best.parent, "best")
    assert_alone(best)
    assert contents(best) in ({"old": b"old"}, {"new": b"new"})


@pytest.mark.usefixtures("replaced")
def test_what_was_there_can_be_kept(best: Path) -> None:
    keep = best.with_name("previous")
    for content in (b"second", b"third"):
        with atomic_directory(best, keep) as temporary:
            (temporary / "new").write_bytes(content)
    assert (contents(best), contents(keep)) == ({"new": b"third"}, {"new": b"second"})
    assert sorted(best.parent.iterdir()) == [best, keep]
