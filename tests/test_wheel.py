"""The project as it is installed: what a wheel has in it, and that every command works without the checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest
from reversals import write_reversals

pytestmark = pytest.mark.system
CHECKOUT = Path(__file__).parents[1]
PHRASEBOOK = {f"{split}.{language}" for split in ("train", "valid", "test") for language in ("de", "en")}
SMALL = [
    *(f"model.{size}" for size in ("embedding_size=16", "encoder_size=16", "decoder_size=32", "readout_size=16")),
    *("decode.beam_size=1", "decode.max_ratio=0.1", "decode.max_offset=2", "trainer.max_steps=3"),
]
OWN_EXPERIMENT = """\
# @package _global_
defaults:
  - override /data: files
  - override /tokenizer: word
name: letters
data:
  train: {src: train.src, tgt: train.tgt}
  valid: {src: valid.src, tgt: valid.tgt}
"""


def said(*command: str | Path, cwd: Path = CHECKOUT, stdin: str = "") -> str:
    """What a command that must succeed prints, started without a hint at where the checkout is."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    ended = subprocess.run(
        list(map(str, command)),
        input=stdin.encode(),
        capture_output=True,
        cwd=cwd,
        env={**environment, "OMP_NUM_THREADS": "1"},
        check=False,
        timeout=240,
    )
    assert ended.returncode == 0, ended.stderr.decode()
    return ended.stdout.decode()


def wheel_of(source: Path, directory: Path) -> Path:
    offline = ["--no-build-isolation", "--no-deps", "--no-index", "--disable-pip-version-check"]
    said(sys.executable, "-m", "pip", "wheel", *offline, "--wheel-dir", directory, source)
    return next(directory.glob("*.whl"))


def contents(archive: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(archive) as opened:
        return {name: opened.read(name) for name in opened.namelist()}


def below(directory: Path) -> set[str]:
    """The files in ``directory`` and below, named from the checkout."""
    return {path.relative_to(CHECKOUT).as_posix() for path in directory.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return wheel_of(CHECKOUT, tmp_path_factory.mktemp("wheel"))


def test_the_wheel_is_the_package_its_configs_its_corpus_and_a_model(wheel: Path) -> None:
    files = contents(wheel)
    parts = {name for name in files if ".dist-info/" not in name}
    package = {name for name in below(CHECKOUT / "seq2seq") if "__pycache__" not in name}
    configs = {f"seq2seq/{path.relative_to(CHECKOUT)}" for path in (CHECKOUT / "configs").rglob("*.yaml")}
    corpus = {f"seq2seq/data/phrasebook/{name}" for name in PHRASEBOOK}
    benchmark = {"seq2seq/configs/benchmark.yaml"}  # its command is in the checkout only
    model = {f"seq2seq/{name}" for name in below(CHECKOUT / "data" / "phrasebook" / "model")}
    assert "seq2seq/data/phrasebook/model/model.safetensors" in model
    assert parts == package | (configs - benchmark) | corpus | model
    for name in corpus | model:
        assert files[name] == (CHECKOUT / name.removeprefix("seq2seq/")).read_bytes()


def test_a_source_distribution_builds_the_same_wheel(wheel: Path, tmp_path: Path) -> None:
    said(sys.executable, "-m", "hatchling", "build", "--target", "sdist", "--directory", tmp_path)
    again = wheel_of(next(tmp_path.glob("*.tar.gz")), tmp_path / "again")
    assert contents(again) == contents(wheel)


def test_an_editable_installation_copies_nothing(tmp_path: Path) -> None:
    """A copy of the configs in site-packages would grow old there, and be a package without a module."""
    said(sys.executable, "-m", "hatchling", "build", "--target", "wheel:editable", "--directory", tmp_path)
    files = contents(next(tmp_path.glob("*.whl")))
    installed = {name: text for name, text in files.items() if ".dist-info/" not in name}
    assert installed == {"_seq2seq_nmt.pth": str(CHECKOUT).encode()}


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin directory of an environment with the wheel; everything else comes from the one that runs the tests.

    Its site-packages are named in a .pth file only after the wheel is there: pip would find the project in them.
    """
    home = tmp_path_factory.mktemp("environment")
    venv.create(home, with_pip=False, symlinks=True)
    python = home / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check"]
    said(*pip, "install", "--no-deps", "--no-index", wheel)
    ours = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    installed = said(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip()
    (Path(installed) / "dependencies.pth").write_text("\n".join(ours) + "\n")
    locate = "import seq2seq, sys; print(seq2seq.__file__, *sys.path, sep='\\n')"
    package, *path = said(python, "-c", locate, cwd=home).splitlines()
    assert Path(package).parents[1] == Path(installed)
    assert str(CHECKOUT) not in path
    return python.parent


def test_commands_work_in_an_empty_directory(environment: Path, tmp_path: Path) -> None:
    command, python = environment / "seq2seq", environment / "python"
    assert "check-data" in said(command, "--help", cwd=tmp_path)
    assert said(command, "--version", cwd=tmp_path) == said(python, "-m", "seq2seq", "--version", cwd=tmp_path)
    assert said(command, "translate", cwd=tmp_path, stdin="Der Hund schläft.\n") == "The dog sleeps.\n"
    training = ["experiment=phrasebook", "tokenizer.vocab_size=500", "trainer.num_samples=0", *SMALL]
    assert "seq2seq evaluate run=runs/phrasebook" in said(command, "train", *training, cwd=tmp_path)
    assert "BLEU" in said(command, "evaluate", "run=runs/phrasebook", "bootstrap=0", cwd=tmp_path)
    lines = ["Der Hund schläft.", "", "Er schwimmt gern."]
    text = "".join(f"{line}\n" for line in lines)
    translated = said(python, "-m", "seq2seq", "translate", "run=runs/phrasebook", cwd=tmp_path, stdin=text)
    assert len(translated.split("\n")) == 4
    load = f"import seq2seq; print(*seq2seq.load('runs/phrasebook').translate({lines}), sep='\\n')"
    assert said(python, "-c", load, cwd=tmp_path) == translated
    assert "runs/phrasebook" in said(command, "runs", cwd=tmp_path)


def test_an_experiment_of_ones_own(environment: Path, tmp_path: Path) -> None:
    write_reversals(tmp_path, {"train": 60, "valid": 6})
    (tmp_path / "own" / "experiment").mkdir(parents=True)
    (tmp_path / "own" / "experiment" / "letters.yaml").write_text(OWN_EXPERIMENT)
    given = ["--config-dir", "own", "experiment=letters"]
    assert "train: 60 source lines" in said(environment / "seq2seq", "check-data", *given, cwd=tmp_path)
    assert "runs/letters" in said(environment / "seq2seq", "train", *given, *SMALL, cwd=tmp_path)
    assert (tmp_path / "runs" / "letters" / "best" / "model.safetensors").exists()
