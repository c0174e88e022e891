"""The whole path: learning proved on a small task, and the scripts as a user starts them."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from inprocess import error_line, start
from reversals import new_trainer, overrides, write_reversals
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from seq2seq.build.inference import load_run
from seq2seq.evaluation.alignment import Gold, alignment_scores, forced_links
from seq2seq.settings.schema import training_keys

SCRIPTS = Path(__file__).parents[1] / "scripts"
ONE_THREAD = {**os.environ, "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def reversals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_reversals(tmp_path_factory.mktemp("reversals"), {"train": 3000, "valid": 100, "test": 100})


@pytest.mark.parametrize(
    "attention",
    [
        ["attention=luong", "attention.score=dot"],
        ["attention=luong", "attention.score=general"],
        ["attention=luong", "attention.score=concat"],
        ["attention=bahdanau", "attention.size=64"],
    ],
    ids=lambda given: given[-1].rpartition("=")[2],
)
def test_each_attention_learns_to_reverse(reversals: Path, attention: list[str]) -> None:
    trainer = new_trainer(*overrides(reversals, *attention, "trainer.max_epochs=5"))
    assert trainer.train()["best"]["bleu"] > 95
    loaded = load_run(trainer.run.path)
    lines = (reversals / "test.src").read_text().splitlines()
    translations = loaded.translator.translate(lines)
    assert sum(t.text == line[::-1] for t, line in zip(translations, lines, strict=True)) >= 90
    looked_at = translations[0].candidates[0].weights.argmax(dim=1).tolist()  # reversal, read off the attention
    assert looked_at == sorted(looked_at, reverse=True)
    mirrored = [{(len(line) // 2 - t, t) for t in range(len(line) // 2 + 1)} for line in lines]
    pairs, _ = loaded.translator.encode_pairs(lines, [line[::-1] for line in lines])
    found = forced_links(loaded.translator, pairs, lines, [line[::-1] for line in lines])
    assert alignment_scores(found, [Gold(links, links) for links in mirrored]).error_rate < 0.5


ALL_OPTIONS = [
    "tokenizer=bpe",
    "tokenizer.vocab_size=300",
    "tokenizer.sample=true",
    "attention=bahdanau",
    "attention.size=64",
    "model.encoder_layers=2",
    "model.decoder_layers=2",
    "model.tie_embeddings=all",
    "model.dropout.recurrent=0.05",
    "optimizer=adamw",
    "schedule=plateau",
    "trainer.average=ema",
    "trainer.keep_last=2",
    "trainer.accumulate=2",
    "trainer.validate_unit=steps",
    "trainer.validate_every=20",
    "trainer.max_steps=50",
    "trainer.max_epochs=null",
    "trainer.log_every=5",
    "trainer.num_samples=2",
    "name=all_options",
]


@pytest.fixture(scope="module")
def finished(reversals: Path) -> Path:
    """A run with every option on, made by the script."""
    command = [sys.executable, str(SCRIPTS / "train.py"), *overrides(reversals, *ALL_OPTIONS)]
    ended = subprocess.run(command, capture_output=True, env=ONE_THREAD, check=False, timeout=240)
    assert ended.returncode == 0, ended.stderr.decode()
    run = reversals / "runs" / "all_options"
    said = ended.stdout.decode()
    for expected in (
        "pairs read",
        "evaluate run=",
        "translate run=",
        "tensorboard --logdir",
        "max_steps=50",
    ):
        assert expected in said
    return run


def test_run_directory_is_complete(finished: Path) -> None:
    names = {path.name for path in finished.iterdir()}
    assert {"config.yaml", "tokenizer", "best", "last", "metrics.jsonl", "train.log", "result.json"} <= names
    assert {"step-40", "step-50"} <= names
    assert "step-20" not in names
    assert any(name.startswith("events.out.tfevents") for name in names)
    assert not [name for name in names if "tmp" in name or "old" in name]
    training = torch.load(finished / "last" / "training.pt", weights_only=True)
    assert training["state"]["step"] == 50
    keys = "state loader meter clock optimizer schedule scaler precision ema skipped_in_row rng cuda_rng written"
    assert [*training] == keys.split()  # of format 2
    assert load_file(str(finished / "best" / "model.safetensors"))
    kinds = [json.loads(line)["kind"] for line in (finished / "metrics.jsonl").read_text().splitlines()]
    assert {kind: kinds.count(kind) for kind in set(kinds)} == {"train": 10, "valid": 3}


def test_tensorboard_shows_it_all(finished: Path) -> None:
    events = EventAccumulator(str(finished), size_guidance={"tensors": 0, "images": 0}).Reload()
    train = ("loss", "smoothed_loss", "ppl", "lr", "grad_norm", "skipped", "tokens_per_second", "pad_ratio")
    valid = ("loss", "ppl", "bleu", "chrf", "length_ratio", "brevity_penalty", "best_bleu")
    scalars = {f"train/{name}" for name in train} | {f"valid/{name}" for name in valid}
    assert set(events.Tags()["scalars"]) == scalars
    assert [event.step for event in events.Scalars("valid/bleu")] == [20, 40, 50]
    assert [event.step for event in events.Scalars("train/loss")] == list(range(5, 55, 5))
    assert set(events.Tags()["images"]) == {"valid_attention/1", "valid_attention/2"}
    texts = [tag for tag in events.Tags()["tensors"] if tag.endswith("/text_summary")]
    assert sorted(texts) == ["samples/1/text_summary", "samples/2/text_summary", "settings/text_summary"]
    shown = events.Tensors("samples/2/text_summary")
    assert len(shown) == 3
    source = (finished.parents[1] / "valid.src").read_text().splitlines()[1]
    assert all(source in event.tensor_proto.string_val[0].decode() for event in shown)
    assert "_hparams_/session_start_info" in events.summary_metadata
    assert "_hparams_/experiment" not in events.summary_metadata  # else it would be that of all runs there
    metadata = HParamsPluginData.FromString(
        events.summary_metadata["_hparams_/session_start_info"].plugin_data.content
    )
    hparams = {
        key: value.string_value or value.number_value for key, value in metadata.session_start_info.hparams.items()
    }
    assert sorted(hparams)[0] == "1 model.decoder_layers"  # TensorBoard sorts them
    assert hparams["attention.name"] == "bahdanau"
    assert hparams["attention.score"] == "null"  # Luong's: all runs have the same columns
    assert {key.split(" ")[-1] for key in hparams} < set(training_keys())
    assert not {"name", "runs_dir", "data.root", "data.train.src", "data.cache_dir"} & set(hparams)
    assert hparams["3 optimizer.lr"] == 1e-2
    assert hparams["trainer.patience"] == "null"
    assert hparams["tokenizer.sample"] == "true"


def test_second_start_has_nothing_to_do(reversals: Path, finished: Path) -> None:
    ended = start("train", *overrides(reversals, *ALL_OPTIONS))
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert ended.stdout.decode().startswith(f"nothing to do: {finished} is finished")
    line = error_line("train", *overrides(reversals, *ALL_OPTIONS, "optimizer.lr=5e-3"))
    assert "optimizer.lr 0.01 → 0.005" in line
    assert "overwrite=true" in line


def test_same_seed_same_weights(reversals: Path) -> None:
    weights = []
    short = ["trainer.max_steps=12", "trainer.num_samples=0"]
    for name in ("one", "two"):
        trainer = new_trainer(*overrides(reversals, *ALL_OPTIONS, *short, f"name={name}"))
        trainer.train()
        weights.append(load_file(str(trainer.run.path / "last" / "model.safetensors")))
    assert weights[0].keys() == weights[1].keys()
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])


def test_copied_best_evaluates_and_translates(
    reversals: Path, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    copy = shutil.copytree(finished / "best", tmp_path / "copy")
    files = [f"src_file={reversals / 'test.src'}", f"ref_file={reversals / 'test.tgt'}"]
    ended = start("evaluate", f"run={copy}", *files, "bootstrap=50")
    assert ended.returncode == 0, ended.stderr.decode()
    (evaluated,) = (copy / "evaluation").iterdir()
    report = json.loads((evaluated / "scores.json").read_text(encoding="utf-8"))
    in_place = start("evaluate", f"run={finished}", "split=test", "bootstrap=50")
    assert in_place.returncode == 0, in_place.stderr.decode()
    assert json.loads((finished / "evaluation" / "test" / "scores.json").read_text())["scores"] == report["scores"]
    hypotheses = evaluated / "translations.txt"
    arguments = (
        f"{reversals / 'test.tgt'} -i {hypotheses} -m bleu chrf -w 6 --confidence --confidence-n 50".split()
    )
    command = [sys.executable, "-m", "sacrebleu", *arguments]
    theirs = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    for name, expected in zip(["BLEU", "chrF2"], theirs, strict=True):
        assert report["scores"][name]["value"] == pytest.approx(expected["score"], abs=1e-5)
        assert report["scores"][name]["signature"] == expected["signature"]

    translated = start("translate", f"run={copy}", stdin=(reversals / "test.src").read_bytes())
    assert translated.stdout == hypotheses.read_bytes()
    alignments = (evaluated / "alignments.txt").read_text().splitlines()
    assert len(alignments) == 100
    aligned = [line for line in alignments if line]
    assert aligned
    assert not [line for line in aligned if not re.fullmatch(r"\d+-\d+( \d+-\d+)*", line)]
    rounded = start("evaluate", f"run={copy}", *files, "bootstrap=50", "machine.precision=int8")
    assert rounded.returncode == 0, rounded.stderr.decode()


def test_lines_in_are_lines_out(finished: Path, tmp_path: Path) -> None:
    lines = ["a b c", "", "   ", "d e\r", "Ünïcode 😀 xyz", "x\u2028y", "a\x0bb", "f"]
    source, target = tmp_path / "in.txt", tmp_path / "out.txt"
    source.write_bytes("\n".join(lines).encode() + b"\n\xff broken")
    files = [f"input={source}", f"output={target}", "chunk_lines=3"]
    ended = start("translate", f"run={finished}", *files)
    assert (ended.returncode, ended.stdout) == (0, b""), ended.stderr.decode()
    written = target.read_bytes().decode().removesuffix("\n").split("\n")
    assert len(written) == len(lines) + 1
    assert [written[1], written[2]] == ["", ""]
    again = start("translate", f"run={finished}", stdin=b"f\n")  # order: the last whole line, alone
    assert again.stdout.decode() == written[7] + "\n"


def test_n_best_lists(finished: Path) -> None:
    ended = start("translate", f"run={finished}", "decode.num_best=3", "decode.beam_size=4", stdin=b"a b c\n\n")
    rows = [line.split("\t") for line in ended.stdout.decode().splitlines()]
    assert [row[:2] for row in rows] == [["1", "1"], ["1", "2"], ["1", "3"], ["2", "1"]]
    scores = [float(row[2]) for row in rows[:3]]
    assert scores == sorted(scores, reverse=True)
    assert rows[3][3] == ""


def test_closed_pipe_is_no_traceback(finished: Path) -> None:
    command = f"yes 'a b c' | {sys.executable} {SCRIPTS / 'translate.py'} run={finished} chunk_lines=5 | head -n 2"
    ended = subprocess.run(["bash", "-c", command], capture_output=True, check=False, timeout=120)
    assert len(ended.stdout.splitlines()) == 2
    assert b"Traceback" not in ended.stderr


Spoil = Callable[[Path], None]


def latin1(data: Path) -> None:
    lines = (data / "train.src").read_bytes().split(b"\n")
    lines[6] = "a b ü".encode("latin-1")
    (data / "train.src").write_bytes(b"\n".join(lines))


SPOILS: dict[str, tuple[Spoil, list[str]]] = {
    "missing": (lambda data: (data / "valid.tgt").unlink(), ["valid.tgt", "no such file"]),
    "unequal": (
        lambda data: (data / "train.tgt").write_text("a\nb\n"),
        ["train.src", "30 lines", "train.tgt", "2"],
    ),
    "latin-1": (latin1, ["train.src:7", "0xfc", "iconv"]),
    "empty": (lambda data: (data / "train.src").write_text(""), ["train.src", "empty"]),
    "one line": (
        lambda data: [(data / f"train.{side}").write_text("a b c\n") for side in ("src", "tgt")] and None,
        ["train", "single sentence pair", "newline"],
    ),
    "blank": (
        lambda data: (data / "train.tgt").write_text("\n" * 30),
        ["train", "none of the 30 pairs"],
    ),
}


@pytest.mark.parametrize("kind", SPOILS)
def test_bad_data_is_named_in_one_line(kind: str, tmp_path: Path) -> None:
    data = write_reversals(tmp_path, {"train": 30, "valid": 5, "test": 5})
    spoil, expected = SPOILS[kind]
    spoil(data)
    line = error_line("train", *overrides(data))
    for part in expected:
        assert part in line


def test_user_mistakes_are_named_in_one_line(reversals: Path, tmp_path: Path) -> None:
    assert "attention=luong attention.score=dot" in error_line("train", "attention=dot")
    occupied = tmp_path / "file"
    occupied.write_text("")
    assert f"{occupied}" in error_line("train", *overrides(reversals, f"runs_dir={occupied}", "name=x"))
    assert "no such directory" in error_line("evaluate", f"run={tmp_path / 'nothing'}")


def test_damaged_checkpoints_are_refused(finished: Path, tmp_path: Path) -> None:
    for name, damage in {
        "model.safetensors": lambda file: file.write_bytes(file.read_bytes()[:-100]),
        "checkpoint.json": lambda file: file.write_text("{}"),
        "config.yaml": lambda file: file.write_text("data: {name: x}"),
        "tokenizer/joint.subwords": lambda file: file.write_bytes(b"nonsense"),
    }.items():
        copy = shutil.copytree(finished / "best", tmp_path / name.replace("/", "_"))
        damage(copy / name)
        assert name in error_line("translate", f"run={copy}")
