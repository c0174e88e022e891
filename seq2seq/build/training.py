"""Everything around the training loop: data, model, optimizer, validation, reports."""

from __future__ import annotations

import dataclasses
import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from seq2seq import __version__, machine
from seq2seq.build.data import batches, has_split, read_sources, read_split, tokenizers
from seq2seq.build.model import check_size, model
from seq2seq.build.parent import parents_of
from seq2seq.build.precision import faster_in_search, shapes, training_precision
from seq2seq.data import corpus
from seq2seq.data.loader import BatchLoader, Share
from seq2seq.data.training_text import TrainingText
from seq2seq.decoding.shortlist import Shortlist
from seq2seq.decoding.translator import Translator
from seq2seq.distributed.group import ALONE, Group
from seq2seq.errors import ConfigError, DataError
from seq2seq.evaluation.metrics import check_language
from seq2seq.model import Seq2Seq
from seq2seq.model.seq2seq import parameter_device
from seq2seq.precision import Precision
from seq2seq.runs import sources
from seq2seq.runs.checkpoint import (
    CheckpointInfo,
    RunDirectory,
    UnwrittenRun,
    check_finite,
    check_vocabulary,
    load_weights,
    read_info,
    read_training,
    read_weights,
)
from seq2seq.runs.directory import REMEDY, begin, resume
from seq2seq.runs.layout import PARENT, WEIGHTS, absolute, run_of, run_path
from seq2seq.settings.compose import to_yaml
from seq2seq.settings.schema import ScheduleConfig, TrainConfig, TrainerConfig, WordConfig, directories
from seq2seq.storage.integrity import sha256
from seq2seq.text.lexicon import Lexicon
from seq2seq.text.tokenizer_pair import TokenizerPair
from seq2seq.text.words import load_vectors
from seq2seq.training.clock import OTHER
from seq2seq.training.optim import SCHEDULES, Ema, mean_of, new_optimizer
from seq2seq.training.state import TrainState
from seq2seq.training.tracker import NoTracker, Tracker, Written
from seq2seq.training.trainer import Trainer
from seq2seq.training.validator import Validator

logger = logging.getLogger(__name__)


def training(config: TrainConfig, checkpoint: Path | None = None, group: Group = ALONE) -> Trainer:
    """Read the data, train the tokenizers, build the model and its trainer; resume from ``checkpoint``, if any.

    A new run with ``init_from`` starts from that run's weights and takes its tokenizers; a resumed one has them.

    All processes of ``group`` do this; rank 0 alone changes files.

    Raises:
        UserError: something is missing or wrong; an earlier run is unchanged then.
    """
    path = run_path(config)
    state = read_training(checkpoint) if checkpoint else {}
    _refuse_less(path, state, config.trainer)
    torch.manual_seed(config.seed)
    group.seed(config.seed)
    check_language(config.data.tgt)
    parents = [] if checkpoint else parents_of(config)
    origin = None if config.init_from is None else checkpoint or parents[0]
    device = group.device(machine.resolve_device(config.machine.device))
    train, valid, made_from = read_sources(config)
    record = sources.check(path, made_from) if checkpoint else {}
    group.require_same("text of the data", {key: source.sha256 for key, source in made_from.items()})
    with group.first_goes_first():  # the others find what it has put into the cache
        valid, pair, lexicon, loader, splits = _data(config, train, valid, Share(group.rank, group.size), origin)
    group.require_same("vocabulary", pair.fingerprint())
    check_size(config, len(pair.src), len(pair.tgt), device)
    net = model(config, len(pair.src), len(pair.tgt))
    if isinstance(config.tokenizer, WordConfig):
        use_pretrained_vectors(net, config.tokenizer, pair)
    net.to(device)
    _log_sizes(net, pair, group)
    measured = shapes(config.model, len(pair.tgt))
    precision = group.once(lambda: training_precision(config.machine, device, measured, state.get("precision")))
    validator = Validator(valid, _translator(config, net, pair, lexicon, precision), config.data.tgt, group)
    written = Written(_loaded(checkpoint, net, pair).step, state.pop("written")) if checkpoint else None
    group.require_same("checkpoint", written)
    started = _started(parents, net, pair) if parents else record.get(PARENT)
    group.require_same("weights of init_from", started)
    if started:
        made_from[PARENT] = sources.Source(" ".join(directories(config.init_from)), started)
    if group.first:
        run, tracker = _outputs(config, pair, lexicon, made_from, written)  # only once everything else is ready
        sources.record_corpus(path, made_from, _described(splits, pair))
    else:
        run, tracker = UnwrittenRun(path), NoTracker()
    made = trainer(config, net, loader, validator, run, tracker, precision, group)
    if written:
        unknown = {"precision": None, "loader": {}, "clock": {OTHER: state["state"]["seconds"]}}
        made.load_state_dict({**unknown, **state})  # what earlier versions didn't save
        logger.info("resuming from %s, update %s", checkpoint, f"{written.step:,}")
    return made


def _log_sizes(net: Seq2Seq, pair: TokenizerPair, group: Group) -> None:
    logger.info(
        "vocabulary %s · %s parameters · %s, %s%d threads",
        f"{len(pair.src):,} joint" if pair.joint else f"{len(pair.src):,} + {len(pair.tgt):,}",
        f"{net.num_parameters():,}",
        parameter_device(net),
        f"{group.size} processes of " if group.size > 1 else "",
        torch.get_num_threads(),
    )


def _translator(
    config: TrainConfig, net: Seq2Seq, pair: TokenizerPair, lexicon: Lexicon, precision: Precision
) -> Translator:
    """Search as in validation."""
    decode = dataclasses.replace(config.decode, beam_size=config.trainer.valid_beam_size, num_best=1)
    shortlist = Shortlist(lexicon, pair, decode.shortlist) if decode.shortlist else None
    return Translator(net, pair, decode, precision, shortlist)


def _loaded(checkpoint: Path, net: Seq2Seq, pair: TokenizerPair) -> CheckpointInfo:
    """Fill ``net`` with the weights of ``checkpoint``."""
    info = read_info(checkpoint)
    check_vocabulary(checkpoint, info, pair)
    load_weights(checkpoint, net)
    return info


def _started(parents: list[Path], net: Seq2Seq, pair: TokenizerPair) -> str:
    """Let ``net`` start from the mean of the weights of ``parents``; gives their hashes.

    The mean of runs that started from the same weights is often better than each of them (Wortsman et al., 2022,
    "Model soups").
    """
    for parent in parents:
        info = _loaded(parent, net, pair)
        check_finite(parent, net)
        logger.info("weights from %s (update %s), and its vocabulary", run_of(parent), f"{info.step:,}")
    if len(parents) > 1:
        net.load_state_dict(mean_of(map(read_weights, parents)), strict=False)  # a tied matrix is stored once
        logger.info("their mean")
    return " ".join(sha256(parent / WEIGHTS) for parent in parents)


def _outputs(
    config: TrainConfig,
    pair: TokenizerPair,
    lexicon: Lexicon,
    made_from: Mapping[str, sources.Source],
    written: Written | None,
) -> tuple[RunDirectory, Tracker]:
    """What writes the files of a new run or, with the reports ``written`` so far, of a resumed one."""
    path = run_path(config)
    (resume if written else begin)(path)
    run, tracker = RunDirectory(path, to_yaml(absolute(config)), pair, lexicon), Tracker(path, written)
    sources.record(path, made_from)
    if not written:
        tracker.config(config)
    return run, tracker


def _refuse_less(path: Path, state: Mapping[str, Any], settings: TrainerConfig) -> None:
    """Raise ``ConfigError`` if the training saved in ``state`` has passed a limit of ``settings``."""
    saved = TrainState()
    if state:
        saved.load_state_dict(state.get("state", {}))
    if limit := saved.beyond(settings):
        raise ConfigError(
            f"{limit}: {path} has gone beyond it (update {saved.step:,}, epoch {saved.epoch:,}) and can't become "
            f"shorter: {REMEDY}"
        )


def _data(
    config: TrainConfig, train: TrainingText, valid: corpus.ParallelText, share: Share, origin: Path | None
) -> tuple[corpus.ParallelText, TokenizerPair, Lexicon, BatchLoader, list[corpus.SplitReport]]:
    """The validation split, tokenizers, lexicon, batches, and what was read, dropped and kept, which is logged.

    The tokenizers are those of the checkpoint ``origin``, if it is given.
    """
    if len(train) < 2:
        raise DataError("train: a single sentence pair; a corpus has a sentence a line, each ended by a newline")
    valid, report = corpus.clean("valid", valid, train.hashes)
    others = [report]
    if has_split(config.data, "test"):
        others.append(corpus.clean("test", read_split(config.data, "test"), train.hashes)[1])
    pair, tokens, lexicon = tokenizers(config, train, origin)
    loader, reports = batches(config, train, pair, tokens, share)
    reports += others
    logger.info("%s", corpus.report_table(reports))
    return valid, pair, lexicon, loader, reports


def _described(splits: list[corpus.SplitReport], pair: TokenizerPair) -> dict[str, Any]:
    """The corpus and this version as plain values, for reports."""
    return {
        "version": __version__,
        "splits": [{**vars(split), "used": split.used} for split in splits],
        "vocabulary": [len(pair.src)] if pair.joint else [len(pair.src), len(pair.tgt)],
    }


def use_pretrained_vectors(net: Seq2Seq, settings: WordConfig, pair: TokenizerPair) -> None:
    """Put pretrained vectors into the embeddings, for the words that the files have."""
    sides = [
        (settings.src_vectors, pair.src, net.encoder.embedding),
        (settings.tgt_vectors, pair.tgt, net.decoder.embedding),
    ]
    for path, tokenizer, embedding in sides:
        if path is None:
            continue
        vectors, known = load_vectors(Path(path), tokenizer.pieces(range(len(tokenizer))), embedding.embedding_dim)
        with torch.no_grad():
            embedding.weight[known] = vectors[known] / embedding.scale  # so that the GRU sees the vectors
        logger.info("vectors: %s has %d of the %d words", path, int(known.sum()), len(tokenizer))


def trainer(
    config: TrainConfig,
    net: Seq2Seq,
    loader: BatchLoader,
    validator: Validator,
    run: RunDirectory,
    tracker: Tracker,
    precision: Precision,
    group: Group = ALONE,
) -> Trainer:
    """The training loop with its optimizer, schedule and average."""
    settings = config.trainer
    steps = total_steps(settings, len(loader.epoch(0)))
    warn_of_warmup(config.schedule, steps)
    measured = shapes(config.model, len(validator.translator.tokenizers.tgt))
    by = " by oneDNN" if precision.packed else ""
    logger.info("products in %s%s: %s", precision.name, by, precision.reason)
    return Trainer(
        net,
        new_optimizer(net.parameters(), config.optimizer),
        SCHEDULES[config.schedule.name](config.schedule, config.optimizer.lr, steps),
        loader,
        validator,
        run,
        tracker,
        settings,
        steps,
        Ema(net, settings.ema_decay) if settings.average == "ema" else None,
        precision,
        group.once(lambda: faster_in_search(config.machine, parameter_device(net), measured)),
        group,
    )


def total_steps(settings: TrainerConfig, batches_an_epoch: int) -> int:
    """Updates until max_steps or max_epochs, whichever comes first; exact as far as ``batches_an_epoch`` is."""
    an_epoch = math.ceil(batches_an_epoch / settings.accumulate)
    limits = [settings.max_steps, settings.max_epochs and settings.max_epochs * an_epoch]
    return min(limit for limit in limits if limit is not None)


def warn_of_warmup(schedule: ScheduleConfig, steps: int) -> None:
    """Warn of a warm-up so long that the run may learn little: nothing else would say why."""
    if steps and schedule.warmup_steps > max(1, steps / 2):
        logger.warning(
            "schedule.warmup_steps=%d: the learning rate still rises for most of this run's %d updates, so the "
            "model may learn little; give schedule.warmup_steps=%d, or train longer (trainer.max_epochs or "
            "trainer.max_steps)",
            schedule.warmup_steps,
            steps,
            max(1, steps // 10),
        )
