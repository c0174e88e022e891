"""What `seq2seq translate` writes beside the translations."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from inprocess import restored

import seq2seq
from seq2seq.commands.translate import translate
from seq2seq.decoding.word_attention import pharaoh
from seq2seq.settings.schema import DecodeConfigOverrides, TranslateConfig


def check_files(
    run: Path | list[Path], directory: Path, lines: list[str], decode: DecodeConfigOverrides
) -> list[seq2seq.Translation]:
    """Let the command write all its files; they hold the translations of ``seq2seq.load``, which are returned."""
    (directory / "in").write_text("\n".join(lines) + "\n")
    names = ("input", "output", "alignments", "weights", "heatmaps")
    files = {name: str(directory / name.removesuffix("put")) for name in names}
    given = [*map(str, run)] if isinstance(run, list) else str(run)
    with restored():
        translate(TranslateConfig(run=given, heatmap_format="svg", decode=decode, **files))  # type: ignore[arg-type]
    settings = {name: value for name, value in vars(decode).items() if value is not None}
    translator = seq2seq.load(run, **settings)
    translations = translator.translate(lines)
    words = [translator.word_attention(translation) for translation in translations]
    assert (directory / "out").read_text().split("\n") == [*map(str, translations), ""]
    assert (directory / "alignments").read_text().split("\n") == [*map(pharaoh, words), ""]
    filled = [number for number, line in enumerate(lines, 1) if line]
    with np.load(directory / "weights", allow_pickle=False) as weights:
        for number in filled:
            expected = words[number - 1].weights.numpy()
            np.testing.assert_allclose(weights[f"{number}/weights"], expected, atol=1e-6)
    assert {path.name for path in (directory / "heatmaps").iterdir()} == {f"{number}.svg" for number in filled}
    return translations
