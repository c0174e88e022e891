"""The page that translates in the browser: static files around the same graphs and tokenizers."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from seq2seq.errors import ConfigError
from seq2seq.pages.template import asset, page

FILES = Path(__file__).parent / "files"
SCRIPTS = ("browser.js", "search.js", "subwords.js", "words.js", "word-attention.js")
OF_PAGES = ("style.css", "attention.js", "translate-page.js")
RUNTIME = ("ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm")
TESTED = "1.30.0"
POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; connect-src 'self'; img-src data:; "
    "style-src 'self' 'unsafe-inline'"
)
"""Only the page's own files; nothing is sent anywhere."""


def runtime_version(package: Path) -> str:
    """The version of onnxruntime-web in the directory ``package``.

    Raises:
        ConfigError: it is another package, or has no build of it.
    """
    try:
        described = json.loads((package / "package.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        described = {}
    missing = [name for name in RUNTIME if not (package / "dist" / name).is_file()]
    if not isinstance(described, dict) or described.get("name") != "onnxruntime-web" or missing:
        raise ConfigError(
            f"web={package}: not the npm package onnxruntime-web; get it with npm pack onnxruntime-web@{TESTED}, "
            "unpack the file, and give web=package"
        )
    return str(described["version"])


def add_page(directory: Path, package: Path, fields: dict[str, Any]) -> None:
    """Write index.html and assets/ into an export with these ``fields`` of settings.json."""
    assets = directory / "assets"
    assets.mkdir()
    for name in OF_PAGES:
        (assets / name).write_text(asset(name), encoding="utf-8", newline="\n")
    for name in SCRIPTS:
        shutil.copyfile(FILES / name, assets / name)
    for name in RUNTIME:
        shutil.copyfile(package / "dist" / name, assets / name)
    title = f"Translate {fields['src']} → {fields['tgt']}"
    text = page("translate.html", title=title, script="browser.js", policy=POLICY)
    (directory / "index.html").write_text(text, encoding="utf-8", newline="\n")
