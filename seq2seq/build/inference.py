"""A trained model, ready to translate. Imports nothing of training."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from seq2seq import machine
from seq2seq.build.model import model as new_model
from seq2seq.build.precision import Shape, search_precision, shapes
from seq2seq.decoding.shortlist import Shortlist
from seq2seq.decoding.translator import Translator
from seq2seq.errors import CheckpointError, ConfigError, did_you_mean
from seq2seq.model import Seq2Seq
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
from seq2seq.settings.rules import check, check_run, check_unknown_words
from seq2seq.settings.schema import DecodeConfigOverrides, MachineConfig, TrainConfig, directories, keys_of
from seq2seq.text.lexicon import LEXICON, Lexicon
from seq2seq.text.tokenizer_pair import TokenizerPair

logger = logging.getLogger(__name__)

BUILT_IN = shipped("data/phrasebook/model")
"""A small model that comes with seq2seq, to try before any training; data/README.md says how it was made."""
BUILT_IN_NOTE = (
    "no run= given: this is the built-in model, German to English. It knows only the phrasebook, short everyday "
    "sentences of 1,400 words; seq2seq train makes your own"
)


Runs = str | Path | Sequence[str | Path] | None
"""A run's directory, those of an ensemble, or None for the built-in model."""


class TrainedModel(NamedTuple):
    """A model and what its checkpoint has beside the weights."""

    path: Path  # of the checkpoint
    info: CheckpointInfo
    config: TrainConfig
    tokenizers: TokenizerPair
    model: Seq2Seq


class LoadedRun(NamedTuple):
    """A trained model ready to translate, or several that translate together."""

    members: list[TrainedModel]  # one, or those of an ensemble
    translator: Translator

    @property
    def path(self) -> Path:
        """The checkpoint; of an ensemble, that of the first member."""
        return self.members[0].path

    @property
    def info(self) -> CheckpointInfo:
        """What the checkpoint says; of an ensemble, that of the first member."""
        return self.members[0].info

    @property
    def config(self) -> TrainConfig:
        """The run's settings; of an ensemble, those of the first member."""
        return self.members[0].config


def load_run(
    run: Runs,
    checkpoint: str = "best",
    overrides: DecodeConfigOverrides | None = None,
    computer: MachineConfig | None = None,
) -> LoadedRun:
    """The model of ``run``, a run directory or a copy of its best/; of None, the built-in one, with a message.

    Several runs are an ensemble, which searches with the settings of the first.

    Raises:
        CheckpointError: it is missing, damaged, of another version or has weights that are not finite; or runs
            can't translate together.
        ConfigError: the settings of search contradict each other or do not fit the run's tokenizer, the run has no
            lexicon for ``decode.shortlist``, or the machine has no such device or precision; or ``run`` is no
            directory and no list of different ones.
    """
    check_run(run)
    computer = computer or MachineConfig()
    if run is None:
        logger.info(BUILT_IN_NOTE)
    given = directories(BUILT_IN if run is None else run)
    paths = [checkpoint_path(Path(one), checkpoint) for one in given]
    _refuse_repeated(paths)
    members = [_trained(path) for path in paths]
    first = members[0]
    for other in members[1:]:
        _check_together(first, other)
    device = machine.resolve_device(computer.device)
    decode = overridden(first.config.decode, overrides or DecodeConfigOverrides())
    check_unknown_words(decode, first.config.tokenizer)
    precision = search_precision(computer, device, _products(members), _bleu_losses(members))
    shortlist = _shortlist(first.path, first.tokenizers, decode.shortlist) if decode.shortlist else None
    model, *others = (member.model.to(device) for member in members)
    return LoadedRun(members, Translator(model, first.tokenizers, decode, precision, shortlist, others))


def _refuse_repeated(paths: Sequence[Path]) -> None:
    seen: dict[Path, Path] = {}
    for path in paths:
        if (earlier := seen.setdefault(path.resolve(), path)) is not path:
            raise ConfigError(f"run: {run_of(earlier)} and {run_of(path)} are the same run, given twice")


def _trained(path: Path) -> TrainedModel:
    """The model in the checkpoint ``path``."""
    info = read_info(path)
    config = located(read_train_config(path / CONFIG), run_of(path))
    pair = TokenizerPair.load(path / TOKENIZER)
    check_vocabulary(path, info, pair)
    net = new_model(config, len(pair.src), len(pair.tgt))
    load_weights(path, net)
    check_finite(path, net)
    return TrainedModel(path, info, config, pair, net)


def _check_together(first: TrainedModel, other: TrainedModel) -> None:
    """Raise ``CheckpointError`` unless both read and write the same language in the same pieces."""
    runs = f"{run_of(first.path)} and {run_of(other.path)} can't translate together"
    (src, tgt), (other_src, other_tgt) = ((one.config.data.src, one.config.data.tgt) for one in (first, other))
    if (src, tgt) != (other_src, other_tgt):
        raise CheckpointError(f"{runs}: one is {src} → {tgt}, the other {other_src} → {other_tgt}")
    if first.info.vocabulary != other.info.vocabulary:
        raise CheckpointError(
            f"{runs}: they have different vocabularies; train both on the same data with the same tokenizer.*"
        )


def _products(members: Sequence[TrainedModel]) -> list[Shape]:
    """The largest products of the models; those of equal models once, since rates of all are measured together."""
    different = dict.fromkeys(tuple(shapes(one.config.model, len(one.tokenizers.tgt))) for one in members)
    return [*chain.from_iterable(different)]


def _bleu_losses(members: Sequence[TrainedModel]) -> dict[str, float]:
    """The most that a member loses, of the precisions of search that were tried with every member."""
    losses = [member.info.bleu_losses for member in members]
    return {name: max(one[name] for one in losses) for name in losses[0] if all(name in one for one in losses)}


def _shortlist(path: Path, pair: TokenizerPair, size: int) -> Shortlist:
    file = path / TOKENIZER / LEXICON
    if not file.exists():
        raise ConfigError(
            f"decode.shortlist={size}: {path} has no {TOKENIZER}/{LEXICON}, since an earlier version trained it; "
            "give decode.shortlist=0, or train again"
        )
    return Shortlist(Lexicon.load(file, len(pair.src), len(pair.tgt)), pair, size)


def load(
    run: Runs = None,
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
        run: a run's directory, or a copy of its best/; a list of them: models of one vocabulary that translate
            together, an ensemble; none: the built-in model, which knows only the German of the phrasebook.
        checkpoint: "best" or "last"; a copy has just one.
        device: auto, cpu, cuda, cuda:N or mps; auto takes a GPU if there is one.
        precision: of matrix products: auto, fp32, bf16, fp16 (on a GPU) or int8 (on a CPU).
        decode: settings of search, named as below decode. on the command line, for example ``beam_size=1`` or
            ``num_best=3``; all others are as in the settings of the run, of an ensemble the first.

    Returns:
        A translator: ``translate(lines)`` gives a ``Translation`` for each line.

    Raises:
        CheckpointError: the run is missing, damaged, of another version or has weights that are not finite; or
            runs have different languages or vocabularies.
        ConfigError: a setting is not valid, or the machine has no such device or precision.
    """
    for key in decode:
        if key not in (known := keys_of(DecodeConfigOverrides)):
            raise ConfigError(f"decode.{key}: no such setting{did_you_mean(key, known)}")
    overrides, computer = DecodeConfigOverrides(**decode), MachineConfig(device=device, precision=precision)
    check(overrides)
    check(computer)
    return load_run(run, checkpoint, overrides, computer).translator
