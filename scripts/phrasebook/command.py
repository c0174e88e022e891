"""The command that writes {train,valid,test}.{de,en}."""

from __future__ import annotations

import argparse
from pathlib import Path

from phrasebook.corpus import Corpus, build


def files(corpus: Corpus) -> dict[str, str]:
    """The text of the six files, by name."""
    texts = {}
    for name, pairs in (("train", corpus.train), ("valid", corpus.valid), ("test", corpus.test)):
        texts[f"{name}.de"] = "".join(f"{pair.de}\n" for pair in pairs)
        texts[f"{name}.en"] = "".join(f"{pair.en}\n" for pair in pairs)
    return texts


def main() -> None:
    """Generate the corpus."""
    parser = argparse.ArgumentParser(prog="generate_phrasebook.py", description=main.__doc__)
    parser.add_argument("out_dir", type=Path, help="where the six files go; created if missing")
    out_dir: Path = parser.parse_args().out_dir
    out_dir.mkdir(parents=True, exist_ok=True)
    for name, text in files(build()).items():
        (out_dir / name).write_text(text, encoding="utf-8", newline="\n")
