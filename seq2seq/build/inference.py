"""A trained model, ready to translate. Imports nothing of training."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, NamedTuple

from seq2seq import machine
from seq2seq.build.model import model
from seq2seq.build.precision import search_precision, shapes
from seq2seq.decoding.shortlist import Shortlist
from seq2seq.decoding.translator import Translator
from seq2seq.errors import ConfigError, did_you_mean
from seq2seq.resources import shipped
from seq2seq.runs.checkpoint import (
    CheckpointInfo,
    check_finite,
    check_vocabulary,
    checkpoint_path,
    load_weights,
    read_info,
)
from seq2seq.runs.layout import CONFIG, TOKENIZER, located, run_of
from seq2seq.settings.compose import overridden, read_train_config
from seq2seq.settings.rules import check, check_unknown_words
from seq2seq.settings.schema import DecodeConfigOverrides, MachineConfig, TrainConfig, keys_of
from seq2seq.text.lexicon import LEXICON, Lexicon
from seq2seq.text.tokenizer_pair import TokenizerPair

logger = logging.getLogger(__name__)

BUILT_IN = shipped("data/phrasebook/model")
"""A small model that comes with seq2seq, to try before any training; data/README.md says how it was made."""
BUILT_IN_NOTE = (
    "no run= given: this is the built-in model, German to English. It knows only the phrasebook, short everyday "
    "sentences of 1,400 words; seq2seq train makes your own"
)


class LoadedRun(NamedTuple):
    """A trained model, its settings and its checkpoint."""

    path: Path  # of the checkpoint
    info: CheckpointInfo
    config: TrainConfig
    translator: Translator


def load_run(
    run: str | Path | None,
    checkpoint: str = "best",
    overrides: DecodeConfigOverrides | None = None,
    computer: MachineConfig | None = None,
) -> LoadedRun:
    """The model of ``run``, a run directory or a copy of its best/; of None, the built-in one, with a message.

    Raises:
        CheckpointError: it is missing, damaged, of another version or has weights that are not finite.
        ConfigError: the settings of search contradict each other or do not fit the run's tokenizer, the run has no
            lexicon for ``decode.shortlist``, or the machine has no such device or precision.
    """
    computer = computer or MachineConfig()
    if run is None:
        logger.info(BUILT_IN_NOTE)
    path = checkpoint_path(BUILT_IN if run is None else Path(run), checkpoint)
    info = read_info(path)
    config = located(read_train_config(path / CONFIG), run_of(path))
    pair = TokenizerPair.load(path / TOKENIZER)
    check_vocabulary(path, info, pair)
    net = model(config, len(pair.src), len(pair.tgt))
    load_weights(path, net)
    check_finite(path, net)
    device = machine.resolve_device(computer.device)
    decode = overridden(config.decode, overrides or DecodeConfigOverrides())
    check_unknown_words(decode, config.tokenizer)
    measured = shapes(config.model, len(pair.tgt))
    precision = search_precision(computer, device, measured, info.bleu_losses)
    shortlist = _shortlist(path, pair, decode.shortlist) if decode.shortlist else None
    return LoadedRun(path, info, config, Translator(net.to(device), pair, decode, precision, shortlist))


def _shortlist(path: Path, pair: TokenizerPair, size: int) -> Shortlist:
    file = path / TOKENIZER / LEXICON
    if not file.exists():
        raise ConfigError(
            f"decode.shortlist={size}: {path} has no {TOKENIZER}/{LEXICON}, since an earlier version trained it; "
            "give decode.shortlist=0, or train again"
        )
    return Shortlist(Lexicon.load(file, len(pair.src), len(pair.tgt)), pair, size)


def load(
    run: str | Path | None = None,
    checkpoint: str = "best",
    *,
    device: str = "auto",
    precision: str = "auto",
    **decode: Any,
) -> Translator:
    """A trained model, ready to translate.

    >>> translator = seq2seq.load("runs/phrasebook", beam_size=8)
    >>> for translation in translator.translate(["Der Hund schläft.", "Guten Morgen!"]):
    ...     print(translation)

    Args:
        run: a run's directory, or a copy of its best/; none: the built-in model, which knows only the German of
            the phrasebook.
        checkpoint: "best" or "last"; a copy has just one.
        device: auto, cpu, cuda, cuda:N or mps; auto takes a GPU if there is one.
        precision: of matrix products: auto, fp32, bf16, fp16 (on a GPU) or int8 (on a CPU).
        decode: settings of search, named as below decode. on the command line, for example ``beam_size=1`` or
            ``num_best=3``; all others are as in the settings of the run.

    Returns:
        A translator: ``translate(lines)`` gives a ``Translation`` for each line.

    Raises:
        CheckpointError: the run is missing, damaged, of another version or has weights that are not finite.
        ConfigError: a setting is not valid, or the machine has no such device or precision.
    """
    for key in decode:
        if key not in (known := keys_of(DecodeConfigOverrides)):
            raise ConfigError(f"decode.{key}: no such setting{did_you_mean(key, known)}")
    overrides, computer = DecodeConfigOverrides(**decode), MachineConfig(device=device, precision=precision)
    check(overrides)
    check(computer)
    return load_run(run, checkpoint, overrides, computer).translator
