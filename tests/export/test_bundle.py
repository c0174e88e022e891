"""An export translates as the run does, alone in its directory; and what it would replace is looked at first."""

from __future__ import annotations

import json
import random
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from reversals import LETTERS, trained_run

import seq2seq
from seq2seq.commands.export import export
from seq2seq.decoding.translator import Translator
from seq2seq.errors import ConfigError
from seq2seq.export import bundle, verify
from seq2seq.settings.schema import DecodeConfigOverrides, ExportConfig

SUBWORDS = ["tokenizer=unigram", "tokenizer.vocab_size=300", "tokenizer.byte_fallback=true"]
rng = random.Random(2)
LINES = [" ".join(rng.choices(LETTERS, k=rng.randint(1, 12))) for _ in range(70)]
LINES += ["", "  ", "a,b: c", "Straße ☃ b a", "a\u2028b\x85c", "f e d c b a " * 50, "a"]
Find = Callable[..., list[list[tuple[float, str]]]]


@pytest.fixture(scope="module", params=["word", "unigram"])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    given = ["attention=bahdanau", "model.decoder_layers=2"] if request.param == "word" else SUBWORDS
    return trained_run(
        tmp_path_factory.mktemp(request.param), 400, "trainer.max_steps=40", "trainer.validate_every=20", *given
    )


def exported(run: Path, to: Path, precision: str = "fp32", **decode: Any) -> Translator:
    """Write an export, and give the translator that it must equal."""
    overrides = DecodeConfigOverrides(**{"max_src_tokens": 60, **decode})
    settings = ExportConfig(run=str(run), to=str(to), precision=precision, decode=overrides)
    loaded = bundle.load(settings)
    bundle.write(loaded, settings)
    return loaded.translator


def program(directory: Path, monkeypatch: pytest.MonkeyPatch) -> Find:
    """The function of its translate.py, which imports what lies beside it."""
    with monkeypatch.context() as patch:
        patch.syspath_prepend(directory)
        for name in ("search", "words"):
            patch.delitem(sys.modules, name, raising=False)
        translate: Find = runpy.run_path(str(directory / "translate.py"))["translate"]
    return translate


@pytest.mark.parametrize(
    "decode",
    [
        {"beam_size": 5, "num_best": 3},
        {"beam_size": 1},
        {"beam_size": 4, "num_best": 4, "length_penalty": 0.0, "allow_unk": True},
        {"beam_size": 3, "num_best": 2, "coverage_penalty": 0.7, "length_penalty": 2.0},
        {"beam_size": 1, "coverage_penalty": 0.7},
        {"beam_size": 6, "num_best": 2, "max_ratio": 0.3, "max_offset": 1},
        {"beam_size": 4, "num_best": 2, "no_repeat_ngram_size": 1},
        {"beam_size": 1, "no_repeat_ngram_size": 2, "length_penalty": 3.0},
    ],
    ids=lambda decode: "-".join(f"{key}={value}" for key, value in decode.items()),
)
def test_an_export_finds_what_the_translator_finds(
    run: Path, decode: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    translator = exported(run, tmp_path / "model", **decode)
    expected = [translation.candidates for translation in translator.translate(LINES)]
    found = program(tmp_path / "model", monkeypatch)(LINES, num_best=translator.decode.num_best)
    assert [[text for _, text in best] for best in found] == [[one.text for one in best] for best in expected]
    for best, right in zip(found, expected, strict=True):
        assert [score for score, _ in best] == pytest.approx([one.score for one in right], abs=1e-4)


def test_the_program_translates_alone(run: Path, tmp_path: Path) -> None:
    translator = exported(run, tmp_path / "model")
    expected = [str(translation) for translation in translator.translate(LINES)]
    alone = {"PATH": "", "PYTHONPATH": ""}
    command = [sys.executable, str(tmp_path / "model" / "translate.py")]
    text = "\r\n".join(LINES).encode()
    ended = subprocess.run(command, input=text, capture_output=True, check=True, env=alone, cwd=tmp_path)
    assert ended.stdout.decode().split("\n")[:-1] == expected
    ended = subprocess.run(
        [*command, "--beam", "3", "--best", "2"], input=b"a b\n\n", capture_output=True, check=True
    )
    columns = [line.split("\t") for line in ended.stdout.decode().split("\n")[:-1]]
    assert [column[:2] for column in columns] == [["1", "1"], ["1", "2"], ["2", "1"]]
    best = (
        seq2seq.load(run, device="cpu", precision="fp32", beam_size=3, num_best=2).translate(["a b"])[0].candidates
    )
    assert [column[2:] for column in columns[:2]] == [[f"{one.score:.4f}", one.text] for one in best]


def test_int8_finds_nearly_the_same(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [line for line in LINES[:70] if len(line) < 16]
    translator = exported(run, tmp_path / "model", precision="int8")
    expected = [str(translation) for translation in translator.translate(lines)]
    found = [best[0][1] for best in program(tmp_path / "model", monkeypatch)(lines)]
    assert sum(map(str.__eq__, found, expected)) > 0.5 * len(lines)


def test_settings_say_what_the_model_is(run: Path, tmp_path: Path) -> None:
    translator = exported(run, tmp_path / "model", beam_size=3)
    settings = json.loads((tmp_path / "model" / "settings.json").read_text(encoding="utf-8"))
    assert settings["search"]["beam_size"] == 3
    assert settings["model"]["parameters"] == translator.model.num_parameters()
    assert settings["files"].keys() == {path.name for path in (tmp_path / "model").iterdir()} - {"settings.json"}
    assert "{" not in (tmp_path / "model" / "README.md").read_text(encoding="utf-8")


def test_only_an_unchanged_export_is_replaced(run: Path, tmp_path: Path) -> None:
    to = tmp_path / "model"
    settings = ExportConfig(run=str(run), to=str(to))
    to.mkdir()
    export(settings)
    export(settings)
    (to / "translate.py").write_text("mine\n")
    with pytest.raises(ConfigError, match=r"^to=.*model: .*translate.py is not as seq2seq export writes it"):
        export(settings)
    assert (to / "translate.py").read_text() == "mine\n"
    other = tmp_path / "documents"
    other.mkdir()
    (other / "settings.json").write_text('{"format": 1, "files": []}')
    for path in (other, tmp_path, run / "config.yaml"):
        with pytest.raises(ConfigError, match=r"^to=.*would be lost"):
            export(ExportConfig(run=str(run), to=str(path)))


def test_what_cannot_be_exported_is_one_line(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=r"^web=.*: not the npm package onnxruntime-web; get it with npm pack"):
        export(ExportConfig(run=str(run), to=str(tmp_path / "a"), web=str(tmp_path)))
    monkeypatch.setitem(verify.TOLERANCE, "fp32", 0.0)
    with pytest.raises(seq2seq.UserError, match="nothing was written"):
        export(ExportConfig(run=str(run), to=str(tmp_path / "a")))
    assert not (tmp_path / "a").exists()


def test_what_the_programs_do_without_is_said(run: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    translator = exported(run, tmp_path / "model", shortlist=20, replace_unk=True)
    assert (translator.decode.shortlist, translator.decode.replace_unk) == (0, False)
    assert "decode.shortlist=20 is not exported" in caplog.text
    assert "decode.replace_unk=true is not exported" in caplog.text


@pytest.mark.parametrize("package", ["onnx", "onnxruntime"])
def test_a_missing_extra_is_one_line(package: str, tmp_path: Path) -> None:
    hide = f"import sys; sys.modules[{package!r}] = None; sys.argv = ['seq2seq', 'export', 'run=x', 'to=y']; "
    command = [sys.executable, "-c", hide + "import seq2seq.commands; seq2seq.commands.main()"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert ended.stderr == f"error: seq2seq export needs {package}: pip install 'seq2seq-nmt[export]'\n"
