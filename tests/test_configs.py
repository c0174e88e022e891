# ruff: noqa: E501
"""Settings: everything that is committed composes and builds; everything wrong is named in one line."""

from __future__ import annotations

import dataclasses
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from seq2seq.build.model import model
from seq2seq.commands import frame
from seq2seq.commands.explain import one_line
from seq2seq.errors import CheckpointError
from seq2seq.model import ATTENTIONS
from seq2seq.runs.checkpoint import checkpoint_path
from seq2seq.runs.layout import run_path
from seq2seq.settings.compose import load_settings, overridden, read_train_config, register_schemas, to_yaml
from seq2seq.settings.schema import (
    COMMANDS,
    GROUPS,
    DecodeConfig,
    DecodeConfigOverrides,
    TrainConfig,
    flat,
    training_keys,
)

DIVERSIFIED = "multi30k_diversified"  # of seq2seq diversify, the others of train
EXPERIMENTS = sorted({path.stem for path in (frame.CONFIGS / "experiment").glob("*.yaml")} - {DIVERSIFIED})
FILES = [(path.parent.name, path.stem) for path in sorted(frame.CONFIGS.glob("*/*.yaml"))]
OPTIONS = [(group, name) for group in GROUPS for name in GROUPS[group]] + [
    file for file in FILES if file[0] in GROUPS
]


@pytest.fixture(autouse=True)
def _hydra() -> Iterator[None]:
    register_schemas()
    with initialize_config_dir(str(frame.CONFIGS), version_base="1.3"):
        yield


def settings_of(*overrides: str, script: str = "train") -> TrainConfig:
    settings = load_settings(compose(script, list(overrides)), COMMANDS[script])
    assert isinstance(settings, COMMANDS[script])
    return settings  # type: ignore[return-value]


def error_of(*overrides: str, script: str = "train") -> str:
    """The one line that these overrides, given on the command line, end with."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [script, *overrides])
        with pytest.raises(Exception, match=r".") as caught:
            settings_of(*overrides, script=script)
        line = one_line(caught.value, COMMANDS[script])
    assert line
    assert "\n" not in line
    return line


def test_the_remedies_of_troubleshooting_are_settings() -> None:
    page = (Path(__file__).parents[1] / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    named: list[tuple[str, str]] = re.findall(r"`([a-z_.]+)(?:=([a-z0-9.]+))?`", page)
    keys = {key for key, value in named if "." in key or value}
    assert keys - {*training_keys(), *GROUPS} == set()
    assert len(keys) > 30
    assert {(key, value) for key, value in named if key in GROUPS} <= {*OPTIONS}
    assert compose("train", [f"{key}={value}" for key, value in named if value and key not in GROUPS])


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_experiments_compose_and_build(experiment: str) -> None:
    settings = settings_of(f"experiment={experiment}")
    named = experiment != "multi30k"  # that one is for every pair: its runs have the default name
    assert settings.name == (experiment if named else None)
    assert model(settings, 500, 500).num_parameters() > 500 * settings.model.embedding_size


def test_diversify_has_an_experiment_of_its_own_that_changes_little_of_the_recipe() -> None:
    recipe, made = (
        flat(settings_of(f"experiment={name}", script="diversify")) for name in ("multi30k", DIVERSIFIED)
    )
    assert {key for key in made if made[key] != recipe[key]} == {
        *("teacher_epochs", "trainer.max_epochs"),
        *("decode.length_penalty", "decode.coverage_penalty", "decode.no_repeat_ngram_size"),
    }
    said = f"teacher_epochs, set by experiment/{DIVERSIFIED}: no such setting; seq2seq diversify has it"
    assert error_of(f"experiment={DIVERSIFIED}") == said


@pytest.mark.parametrize(("group", "option"), OPTIONS)
def test_options_compose(group: str, option: str) -> None:
    overrides = ["tokenizer.joint=true"] if option == "word" else []
    settings_of(f"{group}={option}", *overrides)


def test_files_are_of_groups_and_set_something() -> None:
    """An option without values of its own needs no file: it is its schema."""
    assert ("model", "small") in FILES
    for group, option in FILES:
        assert group in {*GROUPS, "experiment", "hydra"}
        assert option not in GROUPS.get(group, {})
        saved = OmegaConf.load(frame.CONFIGS / group / f"{option}.yaml")
        assert set(saved) - {"defaults"}


def test_every_attention_can_be_chosen() -> None:
    chosen = {settings_of(f"attention.score={score}").attention.variant for score in ("dot", "general", "concat")}
    chosen.add(settings_of("attention=bahdanau").attention.variant)
    assert chosen == set(ATTENTIONS)


def test_decode_overrides_have_the_same_keys() -> None:
    assert [f.name for f in dataclasses.fields(DecodeConfigOverrides)] == [
        f.name for f in dataclasses.fields(DecodeConfig)
    ]
    changed = overridden(DecodeConfig(beam_size=2, length_penalty=0.5), DecodeConfigOverrides(beam_size=7))
    assert (changed.beam_size, changed.length_penalty) == (7, 0.5)


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["trainer.max_stepz=3"], "trainer.max_stepz: no such setting; did you mean trainer.max_steps?"),
        (["max_steps=3"], "max_steps: no such setting; did you mean trainer.max_steps?"),
        (["model.dropout.embeding=0"], "model.dropout.embeding: no such setting; did you mean model.dropout.embedding?"),
        (["attention=bahdanau", "attention.score=dot"], "attention.score: no such setting here; attention=luong has it"),
        (["+nonsense=1"], "nonsense: no such setting"),
        (["+trainer.max_stepz=1"], "trainer.max_stepz: no such setting; did you mean trainer.max_steps?"),
        (["trainer.max_steps=abc"], "trainer.max_steps=abc: expected integer, 1 to 1,000,000,000, or null"),
        (["model.embedding_size=0"], "model.embedding_size=0: expected integer, 1 to 16,384"),
        (["model.dropout.readout=1.5"], "model.dropout.readout=1.5: expected number, 0 to 0.95"),
        (["tokenizer.character_coverage=0.9"], "tokenizer.character_coverage=0.9: expected number, 0.98 to 1"),
        (["optimizer.lr=0"], "optimizer.lr=0.0: expected number, more than 0, at most 1,000"),
        (["attention=dot"], "attention=dot: unknown; valid: bahdanau, luong; did you mean attention=luong attention.score=dot?"),
        (["attention=bahdanu"], "attention=bahdanu: unknown; valid: bahdanau, luong; did you mean bahdanau?"),
        (["attention.score=dott"], "attention.score=dott: unknown; valid: general, dot, concat; did you mean dot?"),
        (["data=multi30k", "data.src=dee"], "data.src=dee: unknown; valid: de, en, fr, cs; did you mean de?"),
        (["trainer.metric=blue"], "trainer.metric=blue: unknown; valid: bleu, chrf, loss, ppl; did you mean bleu?"),
        (["name=../../x"], "name=../../x: must be the name of a directory: letters, digits and . _ + -"),
        (["machine.precision=int8"], "machine.precision=int8 is for search, not for training: use auto, bf16 or fp32"),
        (["trainer.max_epochs"], "trainer.max_epochs: not an override; write KEY=VALUE, with quotes around spaces and special characters; did you mean trainer.max_epochs=…?"),
        (["overwrite"], "overwrite: not an override; write KEY=VALUE, with quotes around spaces and special characters; did you mean overwrite=true?"),
        (["phrasebook"], "phrasebook: not an override; write KEY=VALUE, with quotes around spaces and special characters; did you mean data=phrasebook or experiment=phrasebook?"),
        (["device=gpu"], "device: no such setting; did you mean machine.device=cuda?"),
        (["machine.device=gpu"], "machine.device=gpu: unknown; valid: auto, cpu, cuda, cuda:N, mps; did you mean cuda?"),
        (["attenion=luong"], "attenion: no such setting; did you mean attention=luong?"),
        (["attenion=lstm"], "attenion: no such setting; did you mean attention=luong or attention=bahdanau?"),
        (["trainr.max_steps=3"], "trainr.max_steps: no such setting; did you mean trainer.max_steps?"),
        (["bahdanau=true"], "bahdanau: no such setting; did you mean attention=bahdanau?"),
        (["model=luong"], "model=luong: unknown; valid: base, small; did you mean attention=luong?"),
        (["attention.name=bahdanau"], "attention.name=bahdanau: an option is chosen by its group; give attention=bahdanau"),
        (["model=5"], "model=5: unknown; valid: base, small"),
        (["trainer=null"], "trainer=null: unknown; valid: default"),
        (["data=null"], "data=null: unknown; valid: phrasebook, multi30k, files"),
        (["data=nan"], "data=nan: unknown; valid: phrasebook, multi30k, files"),
        (["data=[1]", "seed=3"], "data=[1]: unknown; valid: phrasebook, multi30k, files"),
        (["hydra=null"], "hydra=null: a group takes the name of an option"),
        (["seed=" + 5000 * "9"], "seed=99999999999999999999…: too many digits"),
        (["optimizer.lr=1e999"], "optimizer.lr=inf: expected number, more than 0, at most 1,000"),
        (["optimizer.betas=[.9,.99,nan]"], "optimizer.betas=[0.9, 0.99, nan]: expected list of numbers, 0 to 1"),
        (["optimizer.betas=[null,.9]"], "optimizer.betas=[null,.9]: expected list of numbers, 0 to 1"),
        (["machine.num_threads="], "machine.num_threads=: expected integer, 1 to 1,024, or null"),
        (["experiment=phrasebook", "tokenizer=word"], "tokenizer.vocab_size, set by experiment/phrasebook: no such setting here; tokenizer=bpe has it"),
        (["data=[phrasebook,b]"], "data=b: unknown; valid: phrasebook, multi30k, files"),
        (["model.dropout=0.2"], "model.dropout=0.2: a section, not a value; its keys are model.dropout.words, model.dropout.embedding, model.dropout.layers, model.dropout.recurrent, model.dropout.readout"),
        (["machine.fused=maybe"], "machine.fused=maybe: expected true | false"),
        (["optimizer.betas=3"], "optimizer.betas=3: expected list of numbers, 0 to 1"),
        (["run=x"], "run: no such setting; seq2seq evaluate has it"),
        (["nonsense=1"], "nonsense: no such setting; --help lists them"),
    ],
)  # fmt: skip
def test_wrong_settings_are_named_in_one_line(overrides: list[str], expected: str) -> None:
    assert error_of(*overrides) == expected


@pytest.mark.parametrize(
    ("overrides", "names"),
    [
        (["attention.score=dot", "model.decoder_size=100"], ["model.decoder_size=100", "model.encoder_size=512"]),
        (["model.readout_size=100"], ["model.readout_size=100", "model.embedding_size=256"]),
        (["model.tie_embeddings=all", "tokenizer.joint=false"], ["model.tie_embeddings=all", "tokenizer.joint"]),
        (["data.src=en"], ["data.src=en", "data.tgt=en"]),
        (["trainer.max_epochs=null"], ["trainer.max_epochs=null", "trainer.max_steps=null"]),
        (["trainer.batch_tokens=50"], ["trainer.batch_tokens=50", "data.max_length=100"]),
        (["trainer.average=last"], ["trainer.average=last", "trainer.keep_last=0"]),
        (["optimizer.betas=[0.9,1.0]"], ["optimizer.betas=[0.9, 1.0]"]),
        (["schedule=plateau", "optimizer.lr=1e-6"], ["schedule.min_lr=1e-05", "optimizer.lr=1e-06"]),
        (["decode.workers=many"], ["decode.workers=many: expected auto, or integer, 0 to 999"]),
        (["decode.num_best=9"], ["decode.num_best=9", "decode.beam_size=5"]),
    ],
)
def test_rules_over_several_settings_name_them(overrides: list[str], names: list[str]) -> None:
    line = error_of(*overrides)
    for name in names:
        assert name in line


def test_evaluate_needs_a_run() -> None:
    assert error_of(script="evaluate") == "run: a value is needed; give run=…"
    assert error_of("run=x", "decode.beam_sise=3", script="evaluate").endswith("did you mean decode.beam_size?")


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ("run=x decode=greedy", "decode=greedy: not a group here; did you mean decode.beam_size=1?"),
        ("run=x model=small", "model=small: a run keeps the model that it was trained with"),
        ("run=x trainer.max_steps=3", "trainer.max_steps: no such setting; seq2seq train has it"),
        ("run=x device=gpu", "device: no such setting; did you mean machine.device=cuda?"),
        ("run=x beam_size=3", "beam_size: no such setting; did you mean decode.beam_size?"),
        ("run=x chekpoint=last", "chekpoint: no such setting; did you mean checkpoint?"),
        ("run=x decode=9", "decode=9: unknown; valid: beam, greedy"),
    ],
)
@pytest.mark.parametrize("script", ["evaluate", "translate"])
def test_commands_without_groups_say_what_is_meant(script: str, overrides: str, expected: str) -> None:
    assert error_of(*overrides.split(), script=script) == expected


def test_a_run_given_by_its_name_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "mine").mkdir(parents=True)
    assert error_of("mine", script="evaluate").endswith("; did you mean run=runs/mine?")
    assert error_of("runs/mine", script="translate").endswith("; did you mean run=runs/mine?")
    with pytest.raises(CheckpointError, match=r"^run=mine: no such directory; did you mean run=runs/mine\?$"):
        checkpoint_path(Path("mine"), "best")
    with pytest.raises(CheckpointError, match=r"^run=runs/your: no such directory; runs has mine$"):
        checkpoint_path(Path("runs/your"), "best")


def test_a_value_that_a_file_gives_wrongly_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command line does not have it, so that it is taken from the error."""
    monkeypatch.setattr(sys, "argv", ["train", "experiment=own"])
    with pytest.raises(OmegaConfBaseException) as caught:
        OmegaConf.merge(OmegaConf.structured(TrainConfig), {"seed": "first"})
    assert one_line(caught.value, TrainConfig) == "seed=first: expected integer, 0 to 9,223,372,036,854,775,807"


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_saved_settings_are_read_back(experiment: str, tmp_path: Path) -> None:
    settings = settings_of(f"experiment={experiment}", "seed=7", "data.max_length=77")
    path = tmp_path / "config.yaml"
    path.write_text(to_yaml(settings), encoding="utf-8")
    assert read_train_config(path) == settings
    assert flat(settings)["data.max_length"] == 77


def test_saved_settings_of_another_kind_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    with pytest.raises(CheckpointError, match="no such file"):
        read_train_config(path)
    saved = OmegaConf.create(to_yaml(settings_of()))
    saved.trainer.max_stepz = 3
    path.write_text(OmegaConf.to_yaml(saved), encoding="utf-8")
    with pytest.raises(CheckpointError, match="max_stepz"):
        read_train_config(path)
    for text in ("", "- a", "data: {name: nonsense}", "a: [", "data: {_target_: os.system}"):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(CheckpointError, match=r"config\.yaml"):
            read_train_config(path)


def test_run_names_tell_the_choices() -> None:
    assert run_path(settings_of()) == Path("runs/phrasebook_de_en_luong_general_unigram_seed1")
    assert run_path(settings_of("name=mine", "runs_dir=elsewhere")) == Path("elsewhere/mine")
