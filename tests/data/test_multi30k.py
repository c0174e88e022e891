"""Where the files of Multi30k are found; nothing here touches the network."""

import re
from pathlib import Path

import pytest

from seq2seq.data import multi30k
from seq2seq.errors import DataError


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Path, str]]:
    """Replace the download by a record of what was asked for."""
    calls: list[tuple[str, Path, str]] = []

    def fetch(url: str, path: Path, sha256: str) -> Path:
        calls.append((url, path, sha256))
        return path

    monkeypatch.setattr(multi30k, "fetch", fetch)
    return calls


def locate(split: str, src: str = "de", tgt: str = "en", *, root: Path | None = None) -> tuple[Path, Path]:
    return multi30k.locate(split, src, tgt, root=root, cache=Path("cache"))


def failure(split: str, src: str = "de", tgt: str = "en", *, root: Path | None = None) -> str:
    with pytest.raises(DataError) as raised:
        locate(split, src, tgt, root=root)
    message = str(raised.value)
    assert "\n" not in message
    return message


def test_local_plain_files(tmp_path: Path, fetched: list[object]) -> None:
    for name in ("val.de", "val.en"):
        (tmp_path / name).write_text("not what the hashes say\n", encoding="utf-8")
    assert locate("valid", root=tmp_path) == (tmp_path / "val.de", tmp_path / "val.en")
    assert fetched == []


def test_plain_is_preferred_to_gz_and_each_side_stands_alone(tmp_path: Path) -> None:
    for name in ("test_2016_flickr.de.gz", "test_2016_flickr.de", "test_2016_flickr.en.gz"):
        (tmp_path / name).touch()
    paths = locate("test", root=tmp_path)
    assert paths == (tmp_path / "test_2016_flickr.de", tmp_path / "test_2016_flickr.en.gz")


def test_source_comes_first(tmp_path: Path) -> None:
    for name in ("train.de", "train.en"):
        (tmp_path / name).touch()
    assert locate("train", "en", "de", root=tmp_path) == (tmp_path / "train.en", tmp_path / "train.de")


def test_local_copy_of_a_file_never_published_is_read(tmp_path: Path) -> None:
    for name in ("test_2017_flickr.cs", "test_2017_flickr.en"):
        (tmp_path / name).touch()
    assert locate("test_2017_flickr", "en", "cs", root=tmp_path)[1] == tmp_path / "test_2017_flickr.cs"


@pytest.mark.parametrize("missing", ["de", "en"])
def test_missing_local_file_names_directory_and_both_names(
    tmp_path: Path, missing: str, fetched: list[object]
) -> None:
    (tmp_path / ("train.en" if missing == "de" else "train.de")).touch()
    (tmp_path / f"train.{missing}").mkdir()  # a directory is no corpus
    message = failure("train", root=tmp_path)
    assert message.startswith(f"{tmp_path}: neither train.{missing} nor train.{missing}.gz")
    assert "leave data.root unset to download" in message
    assert fetched == []


def test_without_root_both_sides_are_fetched_from_the_pinned_commit(
    fetched: list[tuple[str, Path, str]],
) -> None:
    assert locate("valid") == (Path("cache/val.de.gz"), Path("cache/val.en.gz"))
    base = (
        "https://raw.githubusercontent.com/multi30k/dataset/"
        "a3d2e0d26b56f3846f66a952536ffed4e401d05a/data/task1/raw"
    )
    assert fetched == [
        (
            f"{base}/val.de.gz",
            Path("cache/val.de.gz"),
            "f0cba2f995189cf5770f29a8a9a537a3ad3f51657ad873405082ff6863a5e75a",
        ),
        (
            f"{base}/val.en.gz",
            Path("cache/val.en.gz"),
            "14f7d25ddd868909a9213e361768460edcacdd6ab9d1e77b92560dc10c10dc28",
        ),
    ]


def test_table_covers_every_split_and_language_but_czech_2017() -> None:
    every = {f"{stem}.{lang}.gz" for stem in multi30k.SPLITS.values() for lang in multi30k.LANGUAGES}
    assert every - set(multi30k.SHA256) == {"test_2017_flickr.cs.gz", "test_2017_mscoco.cs.gz"}
    assert set(multi30k.SHA256) <= every
    assert all(re.fullmatch("[0-9a-f]{64}", digest) for digest in multi30k.SHA256.values())
    assert len(set(multi30k.SHA256.values())) == len(multi30k.SHA256)


@pytest.mark.parametrize(("src", "tgt"), [("cs", "en"), ("en", "cs")])
def test_split_not_published_in_a_language(src: str, tgt: str, fetched: list[object]) -> None:
    message = failure("test_2017_mscoco", src, tgt)
    assert "no 'test_2017_mscoco' in language 'cs'" in message
    assert "choose one of train, valid, test, test_2016_flickr, test_2018_flickr, or" in message
    assert "data.root=DIR" in message
    assert fetched == []


@pytest.mark.parametrize(
    ("name", "nearest"), [("test_2017_flikr", "test_2017_flickr"), ("val", "valid"), ("TRAIN", "train")]
)
def test_unknown_split(tmp_path: Path, name: str, nearest: str) -> None:
    for root in (None, tmp_path):
        message = failure(name, root=root)
        assert f"no split {name!r}: choose one of train, valid, test, " in message
        assert message.endswith(f"did you mean {nearest}?")


@pytest.mark.parametrize(("src", "tgt"), [("eng", "de"), ("de", "eng")])
def test_unknown_language(src: str, tgt: str) -> None:
    message = failure("train", src, tgt)
    assert "no language 'eng': choose one of de, en, fr, cs; did you mean en?" in message


def test_nothing_near_is_suggested_for_a_name_like_no_other() -> None:
    assert failure("train", "xx").endswith("no language 'xx': choose one of de, en, fr, cs")
