"""Every number of every setting: what is not finite or out of bounds ends in one line, before anything is read."""

from __future__ import annotations

import math
import sys
import time
import typing
from typing import Any

import pytest
import torch
from benchmarking.settings import BenchmarkConfig
from inprocess import restored
from reversals import settings_of

from seq2seq import machine
from seq2seq.build.model import check_size, model
from seq2seq.commands import frame
from seq2seq.errors import ConfigError
from seq2seq.settings.reference import known_leaves
from seq2seq.settings.rules import check
from seq2seq.settings.schema import COMMANDS, DecodeConfig, Leaf, MachineConfig, TrainerConfig, training_keys

CPU = torch.device("cpu")
NOT_NUMBERS = ("nan", ".nan", "inf", "-inf", "1e999", "abc", "''", "[1]", "[nan]", "{a: 1}", "{a: nan}")
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


def check_key(command: str, key: str) -> None:
    """Give a key all that is wrong, and its bounds."""
    leaf = numbers_of(COMMANDS[command])[key]
    option = training_keys().get(key, "") if command in ("train", "check_data") else "run=x"
    low, above, high = (leaf.metadata[bound] for bound in ("low", "above", "high"))
    is_list = leaf.type == list[float]
    bad = [*NOT_NUMBERS[:-4], *NOT_NUMBERS[-3:], *map(str, [*HUGE, *outside(leaf)])]
    bad += [] if is_list else ["[1]"]
    bad += ["null"] if type(None) not in typing.get_args(leaf.type) else []
    bad += [f"[0.9,{value}]" for value in bad] if is_list else []
    for value in bad:
        began = time.process_time()
        line = outcome(command, *filter(None, [option, f"{key}={value}"]))
        assert time.process_time() - began < 2
        assert isinstance(line, str), value
        assert key in line
    for bound in (high, low if above is None else math.nextafter(above, 1)):
        written = f"[{bound},{bound}]" if is_list else str(bound)
        result = outcome(command, *filter(None, [option, f"{key}={written}"]))
        assert key in (result if isinstance(result, str) else numbers_of(type(result)))
    if type(None) in typing.get_args(leaf.type):
        result = outcome(command, *filter(None, [option, f"{key}=null"]))
        assert not isinstance(result, str) or key in result  # "training would never end"


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
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 10**400, -(10**400), "5", [1]])
def test_what_is_no_number_within_bounds_is_refused(schema: type, value: Any) -> None:
    for key in numbers_of(schema):
        settings = schema()
        setattr(settings, key, value)
        with pytest.raises(ConfigError, match=f"^{key}="):
            check(settings)


@pytest.mark.parametrize(("command", "key"), [("translate", "decode.max_ratio")])
def test_a_key_takes_numbers_within_its_bounds_alone(command: str, key: str) -> None:
    check_key(command, key)


@pytest.mark.faults
@pytest.mark.parametrize(("command", "key"), NUMBERS)
def test_every_key_takes_numbers_within_its_bounds_alone(command: str, key: str) -> None:
    check_key(command, key)


@pytest.mark.parametrize(
    "argument", ["hydra.run.dir=/proc/foo", "hydra.run.dir=/dev/null/a/b"], ids=["no file", "no directory"]
)
@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
def test_a_directory_of_hydras_that_cannot_be(argument: str) -> None:
    line = outcome("translate", "run=x", argument)
    assert line.startswith(f"{argument}: ")
    assert line.endswith("; leave it out")


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


@pytest.mark.parametrize("given", [(), ("attention=bahdanau", "model.encoder_layers=3", "model.decoder_layers=2")])
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
