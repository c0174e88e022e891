"""Multi30k, task 1, raw text: where its files are, locally or on GitHub.

Elliott, Frank, Sima'an and Specia, 2016, "Multi30K: Multilingual English-German Image Descriptions".
The sentences are not part of this project: they are downloaded, or read from a directory that the user names.
"""

from collections.abc import Collection
from pathlib import Path

from seq2seq.errors import DataError, did_you_mean
from seq2seq.storage.download import fetch

COMMIT = "a3d2e0d26b56f3846f66a952536ffed4e401d05a"  # of github.com/multi30k/dataset; the hashes belong to it
URL_BASE = f"https://raw.githubusercontent.com/multi30k/dataset/{COMMIT}/data/task1/raw"

LANGUAGES = ("de", "en", "fr", "cs")

SPLITS = {
    "train": "train",
    "valid": "val",
    "test": "test_2016_flickr",
    "test_2016_flickr": "test_2016_flickr",
    "test_2017_flickr": "test_2017_flickr",
    "test_2017_mscoco": "test_2017_mscoco",
    "test_2018_flickr": "test_2018_flickr",
}
"""Name of each split → the stem of its files."""

SHA256 = {
    "train.de.gz": "726e39b2fa9eb9ffb6dc763fb35a179f80fae06ffc5d28b6ace5faa883de28a6",
    "train.en.gz": "d79cfa999dd4c51d2cb42499b6796d5a882c3a8a961923c25a898c90f8bbd56f",
    "train.fr.gz": "622e75069e9f4c577425c4f277116ce66e63a2401c0a2312d90073cb12379a3c",
    "val.de.gz": "f0cba2f995189cf5770f29a8a9a537a3ad3f51657ad873405082ff6863a5e75a",
    "val.en.gz": "14f7d25ddd868909a9213e361768460edcacdd6ab9d1e77b92560dc10c10dc28",
    "val.fr.gz": "ca3106f1a72390591d25f6c45cb4cd39dec4cd3f123e099748a3ce5256c160e9",
    "test_2016_flickr.de.gz": "9204244e408ccb38d2a55cfcd344df15005fc42a07a6e55ca6c52b6ababb8cc8",
    "test_2016_flickr.en.gz": "611d361c6334bc7246101d48097c13cf5c4413c5befc793cc629934359d532d9",
    "test_2016_flickr.fr.gz": "6d326e188d259fb1d04ac19eae3af956559b3a0b93d7635e56c90987c40c8b90",
    "test_2017_flickr.de.gz": "a2c89666db00c495cd8513b9d708d5a3acc205d7de312ef2bf5fb7ebc1540aee",
    "test_2017_flickr.en.gz": "76a444ee25172e72695cddb13ae4a3bda59430617be88e0bb46b60504f054074",
    "test_2017_flickr.fr.gz": "3ba671ceb2299f3304ffafefea7a833d08632fbaf0ba18546f8a2ec2391af496",
    "test_2017_mscoco.de.gz": "799e4854c25d601cb6cb6be29eabe5667734c61ace2f495e03e429031a0bc338",
    "test_2017_mscoco.en.gz": "aab300bfb4427697987e02cd0aacd44bfe8aa50456231b6474c08038bbed2b58",
    "test_2017_mscoco.fr.gz": "754f3072ba9f124569ba5258b32730fc1d214bbf8e0c6dfb2b74401676220db0",
    "test_2018_flickr.de.gz": "ddd0130c7d97482dc5197a02141dae8dd79f20f03586c480d675c09a32daf608",
    "test_2018_flickr.en.gz": "ef4f4844037d4c5dea75c9a8ed5fd78905967a26f67c255e230cc9780032654d",
    "test_2018_flickr.fr.gz": "fb2b83fcceb937a4f7e3e93c1c51c22aba92f1e342391e6b5ba392b16a920501",
    "train.cs.gz": "a65adb8b32e3bc664f21ecba7a6e7f6950fd1f405e135f7c312faabdb6255077",
    "val.cs.gz": "b63226e05c4bd5dd6a42897d74b86a1b9d2c31498252c572b1ea7f7996927fcc",
    "test_2016_flickr.cs.gz": "200a4a74cc9560f051924abb9803be008d1908d77f747e9141aeb86dfd2797f1",
    "test_2018_flickr.cs.gz": "7d0a9db904f94c554a8c58049a9f3a5357c27f46cc3d710d70cb0b4a2585b8c2",
}
"""The compressed files of ``COMMIT`` → their hashes. Czech has no 2017 test sets."""


def locate(split: str, src: str, tgt: str, *, root: Path | None, cache: Path) -> tuple[Path, Path]:
    """The source and target file of a split, plain or gzipped, downloaded if necessary.

    Args:
        split: a key of ``SPLITS``.
        src: one of ``LANGUAGES``.
        tgt: another one.
        root: directory that has ``<stem>.<language>`` or ``<stem>.<language>.gz``. These files are not hashed:
            they may be plain text, which has no hash in the table, or a version that the user has cleaned.
        cache: directory for the compressed files, downloaded and verified, if ``root`` is None.

    Raises:
        DataError: there is no such split or language, or no such split in that language; a file is missing in
            ``root``; or a download failed (see ``fetch``).
    """
    _check_known("split", split, SPLITS)
    for language in (src, tgt):
        _check_known("language", language, LANGUAGES)
    if root is not None:
        return _local(root, SPLITS[split], src), _local(root, SPLITS[split], tgt)
    for language in (src, tgt):
        _check_published(split, language)
    return _fetched(cache, SPLITS[split], src), _fetched(cache, SPLITS[split], tgt)


def is_downloaded(split: str, src: str, tgt: str, cache: Path) -> bool:
    """Whether ``cache`` has the files of a split."""
    return all((cache / f"{SPLITS[split]}.{language}.gz").is_file() for language in (src, tgt))


def _check_known(kind: str, name: str, valid: Collection[str]) -> None:
    if name not in valid:
        hint = did_you_mean(name.lower(), valid)
        raise DataError(f"Multi30k has no {kind} {name!r}: choose one of {', '.join(valid)}{hint}")


def _check_published(split: str, language: str) -> None:
    published = [name for name, stem in SPLITS.items() if f"{stem}.{language}.gz" in SHA256]
    if split not in published:
        raise DataError(
            f"Multi30k has no {split!r} in language {language!r}: choose one of {', '.join(published)}, "
            f"or set data.root=DIR to a directory with your own {SPLITS[split]}.{language}"
        )


def _local(root: Path, stem: str, language: str) -> Path:
    plain = root / f"{stem}.{language}"
    packed = root / f"{stem}.{language}.gz"
    for path in (plain, packed):
        if path.is_file():
            return path
    raise DataError(
        f"{root}: neither {plain.name} nor {packed.name} is there; "
        "put one of them there, or leave data.root unset to download Multi30k"
    )


def _fetched(cache: Path, stem: str, language: str) -> Path:
    name = f"{stem}.{language}.gz"
    return fetch(f"{URL_BASE}/{name}", cache / name, SHA256[name])
