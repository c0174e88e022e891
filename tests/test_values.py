"""Every number of every setting: what is not finite or out of bounds ends in one line, before anything is read."""

from __future__ import annotations

import math
import sys
import time
import typing
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from benchmarking.settings import BenchmarkConfig
from hydra import compose, initialize_config_dir
from inprocess import restored
from reversals import settings_of

from seq2seq import machine
from seq2seq.build.model import check_size, model
from seq2seq.commands import frame
from seq2seq.commands.explain import one_line
from seq2seq.errors import ConfigError
from seq2seq.settings.compose import load_settings, register_schemas
from seq2seq.settings.reference import known_leaves
from seq2seq.settings.rules import check
from seq2seq.settings.schema import COMMANDS, DecodeConfig, Leaf, MachineConfig, TrainerConfig, flat, training_keys

CPU = torch.device("cpu")
NOT_NUMBERS = ("nan", ".nan", "inf", "-inf", "1e999", "abc", "{a:1}")
HUGE = (10**20, -(10**20), 10**400)


def is_number(leaf: Leaf) -> bool:
    types = typing.get_args(leaf.type) or (leaf.type,)
    return int in types or float in types


def numbers_of(schema: type) -> dict[str, Leaf]:
    return {key: leaf for key, leaf in known_leaves(schema).items() if is_number(leaf)}


NUMBERS = [(command, key) for command, schema in COMMANDS.items() for key in numbers_of(schema)]


def outside(leaf: Leaf) -> list[float]:
    low, above, high = (leaf.metadata[bound] for bound in ("low", "above", "high"))
    return [high + 1, *([low - 1] if above is None else [above, above - 1])]


def inside(leaf: Leaf) -> list[float]:
    low, above, high = (leaf.metadata[bound] for bound in ("low", "above", "high"))
    return [high, math.nextafter(above, 1) if low is None else low]


def outcome(command: str, *overrides: str) -> Any:
    """The settings that the command would work with, or the line that it ends with."""
    taken: list[Any] = []
    with restored(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [command, *overrides])
        ended = None
        try:
            frame.run(command, taken.append, COMMANDS[command])
        except SystemExit as error:
            ended = error.code
    if ended is None:
        return taken[0]
    assert not taken
    assert isinstance(ended, str)
    assert ended.startswith("error: ")
    assert "\n" not in ended
    return ended.removeprefix("error: ")


def composed(command: str, *overrides: str) -> Any:
    """The same without the rest of the command, for many."""
    schema = COMMANDS[command]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [command, *overrides])
        try:
            return load_settings(compose(command, list(overrides)), schema)
        except Exception as error:
            line = one_line(error, schema)
    assert line
    assert "\n" not in line
    return line


@pytest.mark.parametrize("schema", [*COMMANDS.values(), BenchmarkConfig], ids=lambda schema: schema.__name__)
def test_every_number_has_bounds_on_both_sides_and_its_default_is_within(schema: type) -> None:
    numbers = numbers_of(schema)
    assert len(numbers) > 8
    for leaf in numbers.values():
        low, above, high = (leaf.metadata[bound] for bound in ("low", "above", "high"))
        assert (low is None) != (above is None), leaf.key
        assert math.isfinite(high), leaf.key
        for value in leaf.value if isinstance(leaf.value, list) else [leaf.value]:
            assert value is None or (value > above if low is None else value >= low), leaf.key
            assert value is None or value <= high, leaf.key


@pytest.mark.parametrize(
    "schema", [DecodeConfig, TrainerConfig, MachineConfig], ids=lambda schema: schema.__name__
)
@pytest.mark.parametrize(
    "value", [math.nan, math.inf, -math.inf, 10**20, -(10**20), "5", [1]], ids=lambda value: str(value)[:9]
)
def test_what_is_no_number_within_bounds_is_refused(schema: type, value: Any) -> None:
    for key in numbers_of(schema):
        settings = schema()
        setattr(settings, key, value)
        with pytest.raises(ConfigError, match=f"^{key}="):
            check(settings)


@pytest.mark.parametrize(
    ("command", "key"), [("translate", "decode.max_ratio"), ("evaluate", "bootstrap"), ("check_data", "seed")]
)
def test_a_command_ends_before_it_begins(command: str, key: str) -> None:
    run = [] if command == "check_data" else ["run=x"]
    assert outcome(command, *run, f"{key}=nan").startswith(f"{key}=nan: expected ")


def test_a_command_begins_with_what_is_valid() -> None:
    assert outcome("translate", "run=x", "decode.max_ratio=1000").decode.max_ratio == 1000


@pytest.mark.faults
@pytest.mark.parametrize(("command", "key"), NUMBERS)
def test_a_key_takes_numbers_within_its_bounds_alone(command: str, key: str) -> None:
    leaf = numbers_of(COMMANDS[command])[key]
    nullable, is_list = type(None) in typing.get_args(leaf.type), leaf.type == list[float]
    option = training_keys().get(key, "") if command in ("train", "check_data", "tune") else "run=x"
    bad = [*NOT_NUMBERS, *map(str, (*HUGE, *outside(leaf))), *(() if nullable else ["null"])]
    register_schemas()
    with initialize_config_dir(str(frame.CONFIGS), version_base="1.3"):
        give = partial(composed, command, *filter(None, [option]))
        bad = [f"[0.9,{value}]" for value in bad] if is_list else [*bad, "[1]", "[nan]"]
        for value in bad if command in ("train", "translate") else bad[::6]:  # the others have the same keys
            began = time.process_time()
            line = give(f"{key}={value}")
            assert time.process_time() - began < 2
            assert isinstance(line, str), value
            assert key in line
        for bound in inside(leaf):  # another rule may still refuse it, and names it
            settings = give(f"{key}=[{bound},{bound}]" if is_list else f"{key}={bound}")
            assert key in (settings if isinstance(settings, str) else flat(settings))
        if nullable:
            assert not isinstance(line := give(f"{key}=null"), str) or key in line


@pytest.mark.parametrize(
    "argument", ["hydra.run.dir=/proc/foo", "hydra.run.dir=/dev/null/a/b"], ids=["no file", "no directory"]
)
@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
def test_a_directory_of_hydras_that_cannot_be(argument: str) -> None:
    line = outcome("translate", "run=x", argument)
    assert line.startswith(f"{argument}: ")
    assert line.endswith("; leave it out")


def test_a_model_beyond_memory_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "memory", lambda: 2**36)
    made = "seq2seq.build.model.model"
    monkeypatch.setattr(made, pytest.fail)  # seconds that only what may be too large is worth
    check_size(settings_of(), 10**5, 10**5, CPU)
    monkeypatch.setattr(made, lambda *given: SimpleNamespace(num_parameters=lambda: 10**12))
    with pytest.raises(ConfigError) as raised:
        check_size(settings_of("model.decoder_size=16384"), 1000, 1000, CPU)
    assert str(raised.value) == (
        "model: to train 1,000,000,000,000 parameters takes 14,901 GiB of memory, and 64 are there: "
        "lower model.*_size, model.*_layers or the size of the vocabulary"
    )


@pytest.mark.faults
@pytest.mark.parametrize(
    "given",
    [
        ("model.encoder_size=16384", "model.encoder_layers=100"),
        ("model.embedding_size=16384", "model.readout_size=16384"),
        ("model.decoder_size=16384", "attention=bahdanau", "attention.size=16384", "model.decoder_layers=20"),
    ],
    ids=lambda given: given[0],
)
def test_a_model_beyond_memory_is_refused_before_it_is_made(
    given: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "memory", lambda: 2**36)
    with pytest.raises(
        ConfigError, match=r"^model: to train [\d,]+ parameters takes [\d,]+ GiB of memory, and 64 "
    ):
        check_size(settings_of(*given), 10**6, 10**6, CPU)


@pytest.mark.faults
@pytest.mark.parametrize("given", [("attention=bahdanau", "model.encoder_layers=3", "model.decoder_layers=2")])
def test_a_model_is_refused_exactly_when_memory_is_too_small(
    given: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its gradients and both moments; no random number is drawn for it."""
    settings = settings_of(*given, "model.tie_embeddings=none")
    needed = 16 * model(settings, 300, 200).num_parameters()
    state = torch.get_rng_state()
    monkeypatch.setattr(machine, "memory", lambda: needed)
    check_size(settings, 300, 200, CPU)
    monkeypatch.setattr(machine, "memory", lambda: needed - 1)
    with pytest.raises(ConfigError, match=r"^model: "):
        check_size(settings, 300, 200, CPU)
    assert torch.equal(state, torch.get_rng_state())
