"""Which values are valid: the range of each setting, and rules over several. Checked before any data is read."""

from __future__ import annotations

import dataclasses
import numbers
import re
import typing
from pathlib import Path
from typing import Any

from seq2seq.errors import ConfigError, did_you_mean
from seq2seq.settings.reference import kind
from seq2seq.settings.schema import (
    DecodeConfig,
    DecodeConfigOverrides,
    EvaluateConfig,
    Leaf,
    MachineConfig,
    MixConfig,
    PlateauConfig,
    ServeConfig,
    SubwordConfig,
    TokenizerConfig,
    TrainConfig,
    TranslateConfig,
    leaves,
    listed,
    written,
)

GPUS = ("gpu", "nvidia")  # what some call cuda
DECODES = (DecodeConfig, DecodeConfigOverrides)


def check(settings: Any) -> None:
    """Raise ``ConfigError`` for the first value that is not valid by itself, or together with others."""
    check_keys(settings)
    for leaf in leaves(settings):
        _check_value(leaf)
    machine = settings if isinstance(settings, MachineConfig) else getattr(settings, "machine", None)
    if isinstance(machine, MachineConfig):
        _check_device(machine.device)
    decode = settings if isinstance(settings, DECODES) else getattr(settings, "decode", None)
    if isinstance(decode, DECODES) and not re.fullmatch(r"auto|None|\d{1,3}", str(decode.workers)):
        raise ConfigError(f"decode.workers={decode.workers}: expected auto, or integer, 0 to 999")
    if isinstance(settings, TrainConfig):
        _check_training(settings)
    if isinstance(settings, EvaluateConfig | TranslateConfig):
        check_run(settings.run)
    if isinstance(settings, EvaluateConfig) and settings.run is None:
        raise ConfigError("run=null: expected a directory, or a list of directories")
    if isinstance(settings, ServeConfig):
        _check_serving(settings)


def check_keys(settings: Any, prefix: str = "") -> None:
    """Refuse what was added with "+key=value", which Hydra takes past the schema."""
    known = {item.name for item in dataclasses.fields(settings)}
    for key, value in vars(settings).items():
        if key not in known:
            hint = did_you_mean(f"{prefix}{key}", [f"{prefix}{name}" for name in known])
            raise ConfigError(f"{prefix}{key}: no such setting{hint}")
        if dataclasses.is_dataclass(value):
            check_keys(value, f"{prefix}{key}.")


def _check_value(leaf: Leaf) -> None:
    key, value = leaf.key, leaf.value
    choices = leaf.metadata.get("choices")
    if choices and value not in choices:
        if key.endswith(".name"):
            raise ConfigError(f"{key}={value}: an option is chosen by its group; give {key[:-5]}={value}")
        raise ConfigError(f"{key}={value}: unknown; valid: {', '.join(choices)}{did_you_mean(value, choices)}")
    if value is None or leaf.metadata.get("high") is None:  # not a number
        return
    if not all(_in_range(number, leaf) for number in (value if typing.get_origin(leaf.type) is list else [value])):
        raise ConfigError(f"{key}={value}: expected {kind(leaf)}")


def _in_range(number: Any, leaf: Leaf) -> bool:
    """Whether ``number`` is one, and within the bounds of ``leaf``, as NaN never is."""
    low, above, high = (leaf.metadata[bound] for bound in ("low", "above", "high"))
    is_number = isinstance(number, numbers.Real)
    return is_number and (number > above if low is None else number >= low) and number <= high


def _check_device(device: str) -> None:
    if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", device):
        hint = "; did you mean cuda?" if device.lower() in GPUS else did_you_mean(device, ("cpu", "cuda"))
        raise ConfigError(f"machine.device={device}: unknown; valid: auto, cpu, cuda, cuda:N, mps{hint}")


def _check_training(config: TrainConfig) -> None:
    _check_model(config)
    trainer, data = config.trainer, config.data
    if config.machine.precision == "int8":
        raise ConfigError("machine.precision=int8 is for search, not for training: use auto, bf16 or fp32")
    if config.name is not None and not re.fullmatch(r"(?=.{1,120}$)[\w+-][\w.+-]*", config.name):
        raise ConfigError(f"name={config.name}: must be the name of a directory: letters, digits and . _ + -")
    _check_mix(data.mix)
    if data.src == data.tgt:
        raise ConfigError(f"data.src={data.src} and data.tgt={data.tgt}: source and target are the same language")
    if trainer.max_epochs is None and trainer.max_steps is None:
        raise ConfigError("trainer.max_epochs=null and trainer.max_steps=null: training would never end; set one")
    if trainer.max_epochs == 0 and config.init_from is None:
        raise ConfigError("trainer.max_epochs=0: there is nothing to save without init_from=RUN, or [RUN,RUN]")
    check_run(config.init_from, "init_from")
    if trainer.batch_tokens <= data.max_length:
        raise ConfigError(
            f"trainer.batch_tokens={trainer.batch_tokens}: must be more than data.max_length={data.max_length}"
        )
    if trainer.average == "last" and trainer.keep_last < 2:
        raise ConfigError(f"trainer.average=last needs trainer.keep_last={trainer.keep_last} to be at least 2")
    if isinstance(config.schedule, PlateauConfig) and config.schedule.min_lr > config.optimizer.lr:
        raise ConfigError(
            f"schedule.min_lr={config.schedule.min_lr:g}: must be at most optimizer.lr={config.optimizer.lr:g}"
        )
    if len(config.optimizer.betas) != 2 or not all(0 <= beta < 1 for beta in config.optimizer.betas):
        raise ConfigError(f"optimizer.betas={config.optimizer.betas}: two numbers, each at least 0 and below 1")
    for key in ("src_vectors", "tgt_vectors"):
        if config.init_from is not None and (vectors := getattr(config.tokenizer, key, None)):
            raise ConfigError(
                f"tokenizer.{key}={vectors}: init_from={_shown(config.init_from)} has vectors of its own for all "
                "words; give one of the two"
            )
    check_decode(config.decode)
    check_unknown_words(config.decode, config.tokenizer)


def check_run(run: Any, key: str = "run") -> None:
    """Raise ``ConfigError`` unless ``run`` is a directory, a list of them, or None for the built-in model."""
    if run is None:
        return
    members = listed(run)
    if not members or not all(isinstance(member, str | int | float | Path) for member in members):
        alone = "; null, the built-in model, translates alone" if None in members and key == "run" else ""
        raise ConfigError(f"{key}={_shown(run)}: expected a directory, or a list of directories{alone}")


def _check_serving(config: ServeConfig) -> None:
    for run in config.runs or [[]]:
        check_run(run)
    if repeated := [run for run in config.runs if config.runs.count(run) > 1]:
        raise ConfigError(f"run={_shown(repeated[0])}: given twice")
    if config.decode.workers not in (None, "auto", "0", "1"):
        raise ConfigError(f"decode.workers={config.decode.workers}: one process serves; leave it out")


def _shown(value: Any) -> str:
    """As on the command line, lists too."""
    return f"[{','.join(map(_shown, value))}]" if isinstance(value, list | tuple) else written(value)


def _check_mix(mix: MixConfig) -> None:
    if len(mix.src) != len(mix.tgt):
        raise ConfigError(f"data.mix.src={mix.src} and data.mix.tgt={mix.tgt}: each corpus needs a file in both")
    if mix.weights and len(mix.weights) != len(mix.src) + 1:
        raise ConfigError(
            f"data.mix.weights={mix.weights}: expected {len(mix.src) + 1} numbers, of data.train and of each "
            "corpus in data.mix.src"
        )
    if mix.weights and mix.temperature != 1:
        raise ConfigError(f"data.mix.temperature={mix.temperature:g}: give it or data.mix.weights, not both")


def _check_model(config: TrainConfig) -> None:
    model = config.model
    memory_size = 2 * model.encoder_size
    if config.attention.variant == "luong_dot" and model.decoder_size != memory_size:
        raise ConfigError(
            f"attention.score=dot compares model.decoder_size={model.decoder_size} with 2 × model.encoder_size="
            f"{memory_size}: make them equal or use attention.score=general"
        )
    if model.tie_embeddings != "none" and model.readout_size != model.embedding_size:
        raise ConfigError(
            f"model.tie_embeddings={model.tie_embeddings} needs model.readout_size={model.readout_size} to equal "
            f"model.embedding_size={model.embedding_size}"
        )
    if model.tie_embeddings == "all" and not config.tokenizer.joint:
        raise ConfigError(
            "model.tie_embeddings=all needs one vocabulary: tokenizer.joint=true, or tie target only"
        )


def check_decode(decode: DecodeConfig) -> None:
    """Rules over several settings of search."""
    if decode.num_best > decode.beam_size:
        raise ConfigError(f"decode.num_best={decode.num_best}: at most decode.beam_size={decode.beam_size}")


def check_unknown_words(decode: DecodeConfig, tokenizer: TokenizerConfig) -> None:
    """Raise ``ConfigError`` if there is no <unk> that could be replaced."""
    if decode.replace_unk and isinstance(tokenizer, SubwordConfig) and tokenizer.byte_fallback:
        raise ConfigError(
            "decode.replace_unk=true: with tokenizer.byte_fallback=true every word is spelled, and none is <unk>; "
            "give decode.replace_unk=false, or train with tokenizer=word or tokenizer.byte_fallback=false"
        )
