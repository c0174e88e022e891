"""Whole or not at all: what is there after success, failure and death half-way."""

import errno
import os
from pathlib import Path

import pytest

from seq2seq.storage import atomic
from seq2seq.storage.atomic import atomic_directory, recover, write_text


def contents(directory: Path) -> dict[str, bytes]:
    return {str(p.relative_to(directory)): p.read_bytes() for p in directory.rglob("*") if p.is_file()}


@pytest.fixture
def best(tmp_path: Path) -> Path:
    """A directory with an old file, in an otherwise empty place."""
    path = tmp_path / "place" / "best"
    path.mkdir(parents=True)
    (path / "old").write_bytes(b"old")
    return path


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
    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match=rf"No space left on device: '{tmp_path}/text'"):
        write_text(tmp_path / "text", "a")


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

    monkeypatch.setattr(Path, "rename", fail_for_new)
    with pytest.raises(PermissionError), atomic_directory(best) as temporary:
        (temporary / "new").write_bytes(b"new")
    assert contents(best) == {"old": b"old"}
    assert_alone(best)


def test_what_a_dead_process_of_the_same_number_left_is_no_hindrance(best: Path) -> None:
    for suffix in ("tmp", "old"):
        left = best.parent / f".best.{os.getpid()}.{suffix}"
        left.mkdir()
        (left / "rubbish").write_bytes(b"rubbish")
    with atomic_directory(best) as temporary:
        (temporary / "new").write_bytes(b"new")
    assert contents(best) == {"new": b"new"}
    assert_alone(best)


def test_files_are_synced_before_they_take_their_place(best: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []

    def sync(path: Path) -> None:
        if path != best.parent:  # whose names are synced once they are the new ones
            assert contents(best) == {"old": b"old"}
        synced.append(path.name)

    monkeypatch.setattr(atomic, "_sync", sync)
    with atomic_directory(best) as temporary:
        (temporary / "a").write_bytes(b"a")
        (temporary / "inner").mkdir()
        (temporary / "inner" / "b").write_bytes(b"b")
    assert sorted(synced[:3]) == ["a", "b", "inner"]
    assert synced[3:] == [f".best.{os.getpid()}.tmp", "place"]


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
    for name in (".best.12.old", ".last.12.old", "last", ".step-3.12.tmp"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    (tmp_path / ".config.yaml.12.tmp").write_text("half")
    for name in (".bashrc.old", ".mine.tmp", "notes.old"):
        (tmp_path / name).write_text("not ours")
    recover(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        ".bashrc.old",
        ".mine.tmp",
        "best",
        "last",
        "notes.old",
    ]
    assert (tmp_path / "best" / "file").read_text() == ".best.12.old"
    assert (tmp_path / "last" / "file").read_text() == "last"


def test_what_was_there_can_be_kept(best: Path) -> None:
    keep = best.with_name("previous")
    for content in (b"second", b"third"):
        with atomic_directory(best, keep) as temporary:
            (temporary / "new").write_bytes(content)
    assert (contents(best), contents(keep)) == ({"new": b"third"}, {"new": b"second"})
    assert sorted(best.parent.iterdir()) == [best, keep]
