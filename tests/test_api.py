"""What `import seq2seq` offers, as its documentation says."""

from __future__ import annotations

import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
import torch
from reversals import new_trainer, overrides, write_reversals

import seq2seq
from seq2seq.errors import UserError

LINES = ["a b c", "", "l k"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = write_reversals(tmp_path_factory.mktemp("api"), {"train": 200, "valid": 6, "test": 6})
    pieces = ["tokenizer=unigram", "tokenizer.vocab_size=300"]
    trainer = new_trainer(
        *overrides(
            data, *pieces, "trainer.max_steps=30", "trainer.validate_every=20", "decode.beam_size=3", "name=run"
        )
    )
    trainer.train()
    return trainer.run.path


def test_loaded_and_translated(run: Path) -> None:
    translator = seq2seq.load(str(run))
    translations = translator.translate(LINES)
    assert [translation.source for translation in translations] == LINES
    assert [str(translation) for translation in translations] == [t.candidates[0].text for t in translations]
    assert isinstance(translator, seq2seq.Translator)
    assert isinstance(translations[0], seq2seq.Translation)
    assert isinstance(translations[0].candidates[0], seq2seq.Candidate)
    assert translator.decode.beam_size == 3  # as the run was trained to search


def test_settings_of_search(run: Path) -> None:
    translator = seq2seq.load(run, beam_size=4, num_best=2)
    assert (translator.decode.beam_size, translator.decode.num_best) == (4, 2)
    assert [len(translation.candidates) for translation in translator.translate(LINES)] == [2, 1, 2]
    assert seq2seq.load(run, precision="int8").precision.name == "int8"


def test_other_checkpoints_and_copies(run: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(run / "best", tmp_path / "copy")
    with torch.no_grad():
        for path, name in ((run, "best"), (copy, "best"), (run / "best", "last"), (run, "last")):
            model = seq2seq.load(path, name, beam_size=1).model
            expected = run / ("last" if (path, name) == (run, "last") else "best") / "model.safetensors"
            assert weights_equal(model, expected), path


def test_several_runs_are_an_ensemble(run: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(run, tmp_path / "copy")
    alone, together = seq2seq.load(run), seq2seq.load([run, str(copy)])
    assert [len(translator.models) for translator in (alone, together)] == [1, 2]
    assert [*map(str, together.translate(LINES))] == [*map(str, alone.translate(LINES))]
    assert seq2seq.load((run, copy), beam_size=2).decode.beam_size == 2


def weights_equal(model: torch.nn.Module, path: Path) -> bool:
    from safetensors.torch import load_file

    saved, state = load_file(path), model.state_dict()
    return all(torch.equal(state[name], weight) for name, weight in saved.items())


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        ({"beam_sise": 2}, seq2seq.ConfigError, "decode.beam_sise: no such setting; did you mean beam_size?"),
        ({"beam_size": 0}, seq2seq.ConfigError, "beam_size=0: expected integer, 1 to 1,000, or null"),
        ({"beam_size": "5"}, seq2seq.ConfigError, "beam_size=5: expected integer, 1 to 1,000, or null"),
        ({"max_ratio": float("nan")}, seq2seq.ConfigError, "max_ratio=nan: expected number, 0 to 1,000, or null"),
        ({"beam_size": 1, "num_best": 2}, seq2seq.ConfigError, "decode.num_best=2: at most decode.beam_size=1"),
        ({"device": "gpu"}, seq2seq.ConfigError, "device=gpu: unknown; valid: auto, cpu, cuda, cuda:N, mps"),
        ({"precision": "fp16", "device": "cpu"}, seq2seq.ConfigError, "machine.precision=fp16 is for GPUs"),
        ({"precision": "fp8"}, seq2seq.ConfigError, "precision=fp8: unknown; valid: auto, fp32"),
        ({"checkpoint": "newest"}, seq2seq.CheckpointError, "no checkpoint newest/ there"),
        ({"run": []}, seq2seq.ConfigError, "run=[]: expected a directory, or a list of directories"),
        (
            {"run": ["a", None]},
            seq2seq.ConfigError,
            "run=[a,null]: expected a directory, or a list of directories; ",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, dict) else "",
)
def test_mistakes_are_errors_that_say_what_is_valid(
    run: Path, given: dict[str, object], error: type[UserError], said: str
) -> None:
    with pytest.raises(error) as raised:
        seq2seq.load(**{"run": run, **given})  # type: ignore[arg-type]
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_run_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(seq2seq.CheckpointError, match="no such directory"):
        seq2seq.load(tmp_path / "none")


def test_what_is_public_is_there_and_documented() -> None:
    assert set(seq2seq.__all__) == {
        *["load", "Translator", "Translation", "Candidate", "__version__"],
        *["UserError", "ConfigError", "DataError", "CheckpointError", "DecodingError", "TrainingError"],
    }
    assert [name for name in seq2seq.__all__ if name != "__version__" and not getattr(seq2seq, name).__doc__] == []
    assert issubclass(seq2seq.DecodingError, UserError)
    assert seq2seq.__version__ == version("seq2seq-nmt")
    assert (Path(seq2seq.__file__).parent / "py.typed").is_file()
    with pytest.raises(AttributeError, match="no attribute 'train'"):
        seq2seq.train  # noqa: B018


def test_help_tells_how_to_use_it() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", "import seq2seq; help(seq2seq); help(seq2seq.load); help(seq2seq.Translator)"],
        capture_output=True,
        text=True,
        check=True,
    )
    for part in ('seq2seq.load("runs/', "beam_size", "checkpoint:", "CheckpointError", "One ``Translation``"):
        assert part in ended.stdout


NOT_FOR_TRANSLATING = {
    *["hydra", "matplotlib", "requests", "sacrebleu", "tensorboard", "torchtext"],
    "seq2seq.training",
}


def test_translating_with_subwords_imports_nothing_that_it_does_not_need(run: Path) -> None:
    code = f"""
import sys, seq2seq
assert "torch" not in sys.modules
print(*seq2seq.load({str(run)!r}).translate(["a b c"]))
print(*sorted(set(sys.argv[1:]) & set(sys.modules)))
"""
    command = [sys.executable, "-c", code, *NOT_FOR_TRANSLATING]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ended.stdout.splitlines() == [str(seq2seq.load(run).translate(["a b c"])[0]), ""]
    assert set(sys.modules) >= NOT_FOR_TRANSLATING  # here, where a model was trained: names that mean something
