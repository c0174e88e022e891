"""What is saved comes back; what is damaged, of another model or of another vocabulary is refused."""

import errno
import json
import math
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from seq2seq.errors import CheckpointError, ConfigError
from seq2seq.model import ATTENTIONS, BRIDGES, Decoder, Embedding, Encoder, Seq2Seq
from seq2seq.runs import checkpoint
from seq2seq.runs.checkpoint import (
    CheckpointInfo,
    RunDirectory,
    check_vocabulary,
    checkpoint_path,
    load_weights,
    read_info,
    read_result,
    read_training,
    read_weights,
)
from seq2seq.text.lexicon import Lexicon
from seq2seq.text.tokenizer_pair import TokenizerPair
from seq2seq.text.words import WordTokenizer
from seq2seq.training.optim import mean_of

WORDS = ["der", "Hund", "ein", "a", "dog", "the", "läuft"]
LEXICON = Lexicon(*[torch.zeros(0, dtype=torch.int32)] * 3)
PAIR = TokenizerPair(*[WordTokenizer(WORDS)] * 2)
CONFIG = "name: Übung\nseed: 1\n"
METRICS = {"loss": 1.25, "bleu": 33.3}
TIES = ["none", "target", "all"]


def new_model(seed: int, tie: str = "none", size: int = 4) -> Seq2Seq:
    torch.manual_seed(seed)
    src = Embedding(len(PAIR.src), size)
    tgt = src if tie == "all" else Embedding(len(PAIR.tgt), size)
    encoder = Encoder(src, 3)
    attention = ATTENTIONS["luong_general"](6, 6)
    decoder = Decoder(tgt, attention, 6, 6, readout_size=size, num_layers=2, tie_output=tie != "none")
    return Seq2Seq(encoder, BRIDGES["tanh"](6, 6, 2), decoder)


def logits(model: Seq2Seq) -> torch.Tensor:
    src, tgt = torch.tensor([[4, 5, 3], [6, 3, 0]]), torch.tensor([[2, 7], [2, 8]])
    with torch.no_grad():
        output = model.eval()(src, src != 0, tgt)
        return model.decoder.output(output.readout)


def contents(directory: Path) -> dict[str, bytes]:
    return {str(p.relative_to(directory)): p.read_bytes() for p in directory.rglob("*") if p.is_file()}


def training_state(model: Seq2Seq) -> dict[str, Any]:
    """What the trainer keeps, after one update."""
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    model.decoder.output(
        model(torch.tensor([[4, 3]]), torch.ones(1, 2).bool(), torch.tensor([[2]])).readout
    ).sum().backward()
    optimizer.step()
    return {
        "state": {"step": 7, "best": METRICS},
        "optimizer": optimizer.state_dict(),
        "schedule": {"current": 0.5},
        "ema": [p.detach().clone() for p in model.parameters()],
        "torch_rng": torch.get_rng_state(),
    }


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return RunDirectory(tmp_path / "runs" / "one", CONFIG, PAIR, LEXICON)


def test_metrics_that_are_not_finite_are_valid_json(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "run", CONFIG, PAIR, LEXICON)
    run.save("best", new_model(1), 1, 0, {"ppl": math.inf, "loss": math.nan})
    run.finish({"best": {"ppl": math.inf}})
    for path in (run.path / "best" / "checkpoint.json", run.path / "result.json"):
        json.loads(path.read_text("utf-8"), parse_constant=pytest.fail)
    metrics = read_info(run.path / "best").metrics
    assert metrics["ppl"] == math.inf
    assert math.isnan(metrics["loss"])


@pytest.mark.parametrize("tie", TIES)
def test_a_model_comes_back(run: RunDirectory, tie: str) -> None:
    model, other = new_model(1, tie), new_model(2, tie)
    assert not torch.equal(logits(other), logits(model))
    path = run.save("best", model, 7, 2, METRICS)
    load_weights(path, other)
    assert torch.equal(logits(other), logits(model))
    assert other.state_dict().keys() == model.state_dict().keys()
    assert all(torch.equal(other.state_dict()[name], value) for name, value in model.state_dict().items())


@pytest.mark.parametrize("tie", TIES)
def test_tied_matrices_are_stored_once_and_stay_tied(run: RunDirectory, tie: str) -> None:
    path = run.save("best", new_model(1, tie), 7, 2, METRICS)
    model = new_model(2, tie)
    load_weights(path, model)
    src, tgt, output = model.encoder.embedding.weight, model.decoder.embedding.weight, model.decoder.output.weight
    assert (src is tgt) == (tie == "all")
    assert (tgt is output) == (tie != "none")
    matrices = [value for value in read_weights(path).values() if value.shape == src.shape]
    assert len(matrices) == {"none": 3, "target": 2, "all": 1}[tie]
    with torch.no_grad():
        tgt.add_(1.0)
    assert torch.equal(tgt, output) == (tie != "none")


@pytest.mark.parametrize("tie", TIES)
def test_the_mean_of_checkpoints_fills_a_model(run: RunDirectory, tie: str) -> None:
    models = [new_model(seed, tie) for seed in (1, 2)]
    paths = [run.save(f"step-{i}", model, i, 0, METRICS) for i, model in enumerate(models)]
    mean = new_model(3, tie)
    mean.load_state_dict(mean_of(read_weights(path) for path in paths), strict=False)
    parameters = zip(mean.parameters(), models[0].parameters(), models[1].parameters(), strict=True)
    for ours, a, b in parameters:
        torch.testing.assert_close(ours, (a + b) / 2)


def test_a_checkpoint_says_what_it_is(run: RunDirectory) -> None:
    path = run.save("best", new_model(1), 7, 2, METRICS)
    assert path == run.path / "best"
    assert read_info(path) == CheckpointInfo(7, 2, METRICS, PAIR.fingerprint(), {})


def test_best_needs_nothing_outside_itself(run: RunDirectory, tmp_path: Path) -> None:
    run.save("best", new_model(1), 7, 2, METRICS)
    copy = tmp_path / "elsewhere"
    shutil.copytree(run.path / "best", copy)
    shutil.rmtree(run.path)
    assert checkpoint_path(copy, "best") == copy
    assert (copy / "config.yaml").read_text(encoding="utf-8") == CONFIG
    pair = TokenizerPair.load(copy / "tokenizer")
    assert pair.joint
    check_vocabulary(copy, read_info(copy), pair)
    assert read_info(copy).step == 7
    model = new_model(2)
    load_weights(copy, model)
    assert torch.equal(logits(model), logits(new_model(1)))
    assert not (copy / "training.pt").exists()


def test_the_run_directory_has_config_and_tokenizer_before_any_checkpoint(run: RunDirectory) -> None:
    assert contents(run.path).keys() == {"config.yaml", "tokenizer/joint.words", "tokenizer/lexicon.safetensors"}


def test_training_state_loads_without_code(run: RunDirectory) -> None:
    model = new_model(1)
    state = training_state(model)
    path = run.save("last", model, 7, 2, METRICS, state)
    loaded = read_training(path)
    assert loaded.keys() == state.keys()
    assert loaded["state"] == state["state"]
    assert torch.equal(loaded["torch_rng"], state["torch_rng"])
    optimizer = torch.optim.Adam(model.parameters(), lr=5.0)
    optimizer.load_state_dict(loaded["optimizer"])
    assert optimizer.param_groups[0]["lr"] == 1e-3
    moments = [value["exp_avg"] for value in optimizer.state_dict()["state"].values()]
    expected = [value["exp_avg"] for value in state["optimizer"]["state"].values()]
    assert len(moments) == len(list(model.parameters()))
    assert all(torch.equal(a, b) for a, b in zip(moments, expected, strict=True))


def test_saving_replaces_the_whole_checkpoint(run: RunDirectory) -> None:
    run.save("best", new_model(1), 7, 2, METRICS, training_state(new_model(1)))
    path = run.save("best", new_model(2), 8, 3, {})
    assert read_info(path) == CheckpointInfo(8, 3, {}, PAIR.fingerprint(), {})
    assert not (path / "training.pt").exists()
    assert torch.equal(read_weights(path)["encoder.embedding.weight"], new_model(2).encoder.embedding.weight)


@pytest.mark.parametrize("step", ["save_model", "write_text", "write_bytes"])
def test_a_save_that_fails_half_way_leaves_the_old_checkpoint(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    run.save("last", new_model(1), 7, 2, METRICS, training_state(new_model(1)))
    before, names = contents(run.path), sorted(run.path.iterdir())
    write_bytes = Path.write_bytes

    def fail(*arguments: Any) -> None:
        path = next(Path(a) for a in arguments if isinstance(a, str | Path))
        write_bytes(path, b"half of i")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path if step == "write_bytes" else checkpoint, step, fail)
    with pytest.raises(CheckpointError, match=r"last: can't be saved \(No space left on device\); what was saved"):
        run.save("last", new_model(2), 8, 3, {}, training_state(new_model(2)))
    assert contents(run.path) == before
    assert sorted(run.path.iterdir()) == names


def test_another_vocabulary_is_refused(run: RunDirectory) -> None:
    path = run.save("best", new_model(1), 7, 2, METRICS)
    swapped = WordTokenizer([WORDS[1], WORDS[0], *WORDS[2:]])
    with pytest.raises(CheckpointError) as raised:
        check_vocabulary(path, read_info(path), TokenizerPair(PAIR.src, swapped))
    assert str(raised.value) == f"{path}: its weights were trained with another vocabulary"


WHOLE = [
    "config.yaml",
    "model.safetensors",
    "tokenizer/joint.words",
    "tokenizer/lexicon.safetensors",
    "training.pt",
]


@pytest.mark.parametrize("name", WHOLE)
@pytest.mark.parametrize("keep", [None, 0.0, 0.5, 0.999])
def test_a_missing_or_cut_file_is_named(run: RunDirectory, name: str, keep: float | None) -> None:
    path = run.save("last", new_model(1), 7, 2, METRICS, training_state(new_model(1))) / name
    content = path.read_bytes()
    path.unlink()
    if keep is not None:
        path.write_bytes(content[: int(keep * len(content))])
    with pytest.raises(CheckpointError) as raised:
        read_info(run.path / "last")
    assert str(raised.value).startswith(f"{path}: ")
    assert "not whole" in str(raised.value) or "not what was saved" in str(raised.value)


@pytest.mark.parametrize("name", WHOLE)
def test_a_changed_file_is_named(run: RunDirectory, name: str) -> None:
    path = run.save("last", new_model(1), 7, 2, METRICS, training_state(new_model(1))) / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"changed since it was saved \(another SHA-256\)"):
        read_info(run.path / "last")


def test_last_keeps_the_one_before_it(run: RunDirectory) -> None:
    for step in (1, 2, 3):
        run.save("last", new_model(step), step, 0, {})
    assert [read_info(run.path / name).step for name in ("last", "previous")] == [3, 2]
    assert sorted(path.name for path in run.path.iterdir()) == ["config.yaml", "last", "previous", "tokenizer"]


class Malice:
    """Runs code when it is unpickled."""

    def __init__(self, witness: Path) -> None:
        self.witness = witness

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.witness,)


def test_a_hostile_training_state_is_refused(run: RunDirectory, tmp_path: Path) -> None:
    path, witness = run.save("last", new_model(1), 7, 2, METRICS), tmp_path / "witness"
    torch.save({"state": Malice(witness)}, path / "training.pt")
    with pytest.raises(CheckpointError, match=r"training\.pt: can't be read \(UnpicklingError"):
        read_training(path)
    assert not witness.exists()
    torch.load(path / "training.pt", weights_only=False)  # it would have
    assert witness.exists()


@pytest.mark.parametrize("content", [None, "", "[1]", "null", '{"format": 2}', '{"step": 1}', '{"format": 2, "st'])
def test_a_missing_or_damaged_description_is_refused(run: RunDirectory, content: str | None) -> None:
    path = run.save("best", new_model(1), 7, 2, METRICS)
    (path / "checkpoint.json").unlink()
    if content is not None:
        (path / "checkpoint.json").write_text(content, encoding="utf-8")
    with pytest.raises(CheckpointError) as raised:
        read_info(path)
    message = str(raised.value)
    assert message.startswith(f"{path / 'checkpoint.json'}: can't be read (")
    assert message.endswith("the checkpoint is not whole")
    assert "\n" not in message


@pytest.mark.parametrize("more", [{}, {"languages": ["de", "en"]}])
def test_another_format_is_named(run: RunDirectory, more: dict[str, Any]) -> None:
    path = run.save("best", new_model(1), 7, 2, METRICS)
    fields = json.loads((path / "checkpoint.json").read_text(encoding="utf-8"))
    (path / "checkpoint.json").write_text(json.dumps({**fields, **more, "format": 1}), encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"checkpoint\.json: format 1; this version reads format 2$"):
        read_info(path)


@pytest.mark.parametrize("keep", [None, 0.0, 0.001, 0.5, 0.99])
def test_missing_or_cut_weights_are_refused(run: RunDirectory, keep: float | None) -> None:
    path = run.save("best", new_model(1), 7, 2, METRICS)
    weights = (path / "model.safetensors").read_bytes()
    (path / "model.safetensors").unlink()
    if keep is not None:
        (path / "model.safetensors").write_bytes(weights[: int(keep * len(weights))])
    with pytest.raises(CheckpointError) as raised:
        load_weights(path, new_model(2))
    message = str(raised.value)
    assert message.startswith(f"{path / 'model.safetensors'}: the weights don't fit or can't be read (")
    assert "\n" not in message


@pytest.mark.parametrize("other", [{"size": 5}, {"tie": "none"}, {"tie": "all"}])
def test_weights_of_another_model_are_refused(run: RunDirectory, other: dict[str, Any]) -> None:
    path = run.save("best", new_model(1, tie="target"), 7, 2, METRICS)
    with pytest.raises(CheckpointError) as raised:
        load_weights(path, new_model(2, **{"tie": "target", **other}))
    assert "the weights don't fit" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_the_newest_steps_are_kept_by_number(run: RunDirectory) -> None:
    model = new_model(1)
    for step in (900, 1000, 50, 10000):
        run.save(f"step-{step}", model, step, 0, METRICS)
    run.save("best", model, 50, 0, METRICS)
    assert [path.name for path in run.keep_newest_steps(7)] == ["step-50", "step-900", "step-1000", "step-10000"]
    assert [path.name for path in run.keep_newest_steps(2)] == ["step-1000", "step-10000"]
    assert sorted(path.name for path in run.path.glob("step-*")) == ["step-1000", "step-10000"]
    assert run.keep_newest_steps(0) == []
    assert list(run.path.glob("step-*")) == []
    assert read_info(run.path / "best").step == 50


def test_directories_that_are_no_checkpoints_are_neither_counted_nor_removed_nor_replaced(
    run: RunDirectory,
) -> None:
    model = new_model(1)
    run.save("step-3", model, 3, 0, METRICS)
    for name in ("step-9", "step-notes", "step-3"):
        (run.path / name).mkdir(exist_ok=True)
        (run.path / name / "notes.txt").write_text("mine")
    assert [path.name for path in run.keep_newest_steps(7)] == ["step-3"]
    with pytest.raises(ConfigError, match=r"step-9/notes\.txt was not written by seq2seq"):
        run.save("step-9", model, 9, 0, METRICS)
    run.forget_after(1)
    left = {str(path.relative_to(run.path)) for path in run.path.glob("step-*/*")}
    assert left == {"step-9/notes.txt", "step-notes/notes.txt", "step-3/notes.txt"}


def test_a_save_replaces_no_notes_in_the_one_before_it(run: RunDirectory) -> None:
    model = new_model(1)
    for step in (1, 2):
        run.save("last", model, step, 0, METRICS)
    (run.path / "previous" / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match=r"previous/notes\.txt was not written by seq2seq"):
        run.save("last", model, 3, 0, METRICS)
    assert read_info(run.path / "last").step == 2


def test_a_result_is_there_once_the_run_is_finished(run: RunDirectory) -> None:
    assert read_result(run.path) is None
    run.finish({"stopped": "max_steps=5", "best": METRICS})
    assert read_result(run.path) == {"stopped": "max_steps=5", "best": METRICS}


@pytest.fixture
def three_runs(tmp_path: Path) -> Path:
    """A place with the runs a and b, a file and a hidden directory."""
    for name in ("b", "a", ".hidden"):
        (tmp_path / "three" / name).mkdir(parents=True)
    (tmp_path / "three" / "notes.txt").touch()
    return tmp_path / "three"


def test_a_run_that_is_not_there_names_those_that_are(three_runs: Path) -> None:
    with pytest.raises(CheckpointError) as raised:
        checkpoint_path(three_runs / "c", "best")
    assert str(raised.value) == f"run={three_runs / 'c'}: no such directory; {three_runs} has a, b"
    with pytest.raises(CheckpointError, match=r"has no runs$"):
        checkpoint_path(three_runs / "a" / "c", "best")


def test_a_checkpoint_that_is_not_there_is_named(run: RunDirectory) -> None:
    with pytest.raises(CheckpointError, match="no checkpoint best/ there; has it been validated once"):
        checkpoint_path(run.path, "best")
    run.save("best", new_model(1), 1, 0, {})
    assert checkpoint_path(run.path, "best") == run.path / "best"
    with pytest.raises(CheckpointError, match="no checkpoint last/ there"):
        checkpoint_path(run.path, "last")
