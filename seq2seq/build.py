"""The composition root: settings to objects. Only this module knows both."""

from __future__ import annotations

import dataclasses
import logging
import math
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch

from seq2seq.config import (
    DataConfig,
    DecodeConfig,
    DecodeOverrides,
    EvaluateConfig,
    FilesConfig,
    MachineConfig,
    ModelConfig,
    Multi30kConfig,
    PhrasebookConfig,
    PlateauConfig,
    ScheduleConfig,
    SplitFiles,
    SubwordConfig,
    TokenizerConfig,
    TrainConfig,
    WordConfig,
    check_decode,
    flat,
    read_train_config,
    to_yaml,
    training_keys,
)
from seq2seq.data import corpus, multi30k
from seq2seq.data.batch import TokenizedPairs
from seq2seq.data.corpus import ParallelText, SplitReport
from seq2seq.data.loader import BatchLoader
from seq2seq.data.subwords import SubwordOptions, SubwordTokenizer
from seq2seq.data.tokenizer import BOS, EOS, Sampling, Tokenizer
from seq2seq.data.tokenizer_pair import TokenizerPair
from seq2seq.data.words import WordTokenizer, load_vectors
from seq2seq.errors import ConfigError, DataError
from seq2seq.machine import choose_precision, keep_freed_memory
from seq2seq.model import ATTENTIONS, BRIDGES, Attention, Decoder, Embedding, Encoder, Seq2Seq
from seq2seq.model.fused import FUSED_SCORES, FusedDecoder, FusedEncoder
from seq2seq.model.seq2seq import parameter_device
from seq2seq.runs import begin, go_on, run_path
from seq2seq.search import SearchOptions
from seq2seq.training.checkpoint import (
    CONFIG,
    TOKENIZER,
    RunDirectory,
    check_vocabulary,
    checkpoint_path,
    load_weights,
    read_info,
    read_training,
)
from seq2seq.training.optim import OPTIMIZERS, Constant, Ema, InverseSqrt, Linear, Plateau, Schedule
from seq2seq.training.tracker import Tracker, Written
from seq2seq.training.trainer import Trainer, TrainerOptions
from seq2seq.training.validator import Validator
from seq2seq.translator import Translator, forbidden_tokens

logger = logging.getLogger(__name__)

SPLITS = ("train", "valid", "test")
PHRASEBOOK = Path(__file__).parents[1] / "data" / "phrasebook"


# --- machine ---------------------------------------------------------------------------------------------


def device(machine: MachineConfig, keep_memory: bool = True) -> torch.device:
    """The device to run on; sets the number of threads and how memory is kept.

    Raises:
        ConfigError: there is no such device.
    """
    if keep_memory:
        keep_freed_memory()
    if machine.num_threads is not None:
        torch.set_num_threads(machine.num_threads)
    if machine.device == "cuda" and not torch.cuda.is_available():
        raise ConfigError("machine.device=cuda: torch sees no CUDA device here; use machine.device=cpu")
    if machine.device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(machine.device)


# --- data ------------------------------------------------------------------------------------------------


def split_paths(data: DataConfig, split: str) -> tuple[Path, ...]:
    """The files of a split: source and target, or one with both.

    Raises:
        DataError: a file is missing and can't be downloaded.
        ConfigError: the data has no such split.
    """
    if isinstance(data, Multi30kConfig):
        root = Path(data.root) if data.root else None
        return multi30k.locate(split, data.src, data.tgt, root=root, cache=Path(data.download_dir))
    if split not in SPLITS:
        raise ConfigError(f"split={split}: data={data.name} has train, valid and test")
    if isinstance(data, PhrasebookConfig):
        return PHRASEBOOK / f"{split}.{data.src}", PHRASEBOOK / f"{split}.{data.tgt}"
    assert isinstance(data, FilesConfig)
    files = {"train": data.train, "valid": data.valid, "test": data.test}[split]
    if files.tsv and not (files.src or files.tgt):
        return (Path(files.tsv),)
    if files.src and files.tgt and not files.tsv:
        return Path(files.src), Path(files.tgt)
    raise ConfigError(f"data.{split}: give data.{split}.src and data.{split}.tgt, or data.{split}.tsv alone")


def has_split(data: DataConfig, split: str) -> bool:
    """Whether there is one: of one's own files, the test split may be left out."""
    return split != "test" or not isinstance(data, FilesConfig) or data.test != SplitFiles()


def read_split(data: DataConfig, split: str) -> ParallelText:
    """The sentence pairs of a split as they are in its files.

    Raises:
        DataError: a file is missing or malformed.
        ConfigError: the data has no such split.
    """
    paths = split_paths(data, split)
    return corpus.read_tsv(*paths) if len(paths) == 1 else corpus.read_parallel(*paths)


def tokenizers(config: TrainConfig, train: ParallelText) -> tuple[TokenizerPair, TokenizedPairs]:
    """The tokenizers trained on the training split, and its tokens, or what the cache has of them."""
    settings = config.tokenizer
    described = {**dataclasses.asdict(settings), "src_vectors": None, "tgt_vectors": None, "sample": None}
    train_one = partial(train_tokenizer, settings=settings)
    cache = Path(config.data.cache_dir)
    return TokenizerPair.train_or_cached(cache, described, train.src, train.tgt, train_one, settings.joint)


def train_tokenizer(lines: list[str], settings: TokenizerConfig) -> Tokenizer:
    """One tokenizer, of the kind that ``settings`` asks for."""
    if isinstance(settings, WordConfig):
        return WordTokenizer.train(lines, settings.min_frequency, settings.max_size)
    assert isinstance(settings, SubwordConfig)
    options = SubwordOptions(
        model_type=settings.name,
        vocab_size=settings.vocab_size,
        character_coverage=settings.character_coverage,
        byte_fallback=settings.byte_fallback,
        normalization=settings.normalization,
    )
    return SubwordTokenizer.train(lines, options)


def loader(
    config: TrainConfig, text: ParallelText, pair: TokenizerPair, plain: TokenizedPairs, report: SplitReport
) -> BatchLoader:
    """Batches of the training split, whose tokens are ``plain``; over-length pairs are counted in ``report``."""
    data, settings = config.data, config.tokenizer
    over = plain.over_length(data.max_length)
    report.over_length, report.over_length_dropped = sum(over), data.over_length == "drop"
    fixed = plain.numbered(text.line_numbers).limited(data.max_length, data.over_length)
    if not fixed:
        raise DataError(f"train: all {len(text):,} pairs are longer than data.max_length={data.max_length} tokens")

    used = text.keep([not out for out in over]) if report.over_length_dropped else text

    def sampled(epoch: int) -> TokenizedPairs:
        assert isinstance(settings, SubwordConfig)
        src, tgt = (
            tokenizer.encode(lines, Sampling(f"{config.seed}/{epoch}/{side}", settings.sampling_alpha))
            for side, tokenizer, lines in [("src", pair.src, used.src), ("tgt", pair.tgt, used.tgt)]
        )
        return TokenizedPairs(src, tgt, used.line_numbers).unless_over_length(data.max_length, fixed)

    samples = isinstance(settings, SubwordConfig) and settings.sample
    return BatchLoader(sampled if samples else lambda _: fixed, config.trainer.batch_tokens, config.seed)


# --- model -----------------------------------------------------------------------------------------------


def attention(config: TrainConfig) -> Attention:
    """The attention that the settings name."""
    memory_size = 2 * config.model.encoder_size
    sizes = {"size": config.attention.size} if hasattr(config.attention, "size") else {}
    return ATTENTIONS[config.attention.variant](config.model.decoder_size, memory_size, **sizes)


def model(config: TrainConfig, src_vocab_size: int, tgt_vocab_size: int) -> Seq2Seq:
    """A new model, its weights drawn at random."""
    sizes: ModelConfig = config.model
    dropout = sizes.dropout
    src_embedding = Embedding(src_vocab_size, sizes.embedding_size, dropout.words)
    tgt_embedding = src_embedding
    if sizes.tie_embeddings != "all":
        tgt_embedding = Embedding(tgt_vocab_size, sizes.embedding_size, dropout.words)
    mechanism = attention(config)
    fused = config.machine.fused and type(mechanism) in FUSED_SCORES
    encoder = (FusedEncoder if fused else Encoder)(
        src_embedding,
        sizes.encoder_size,
        sizes.encoder_layers,
        embedding_dropout=dropout.embedding,
        layer_dropout=dropout.layers,
    )
    decoder = (FusedDecoder if fused else Decoder)(
        tgt_embedding,
        mechanism,
        encoder.memory_size,
        sizes.decoder_size,
        sizes.readout_size,
        sizes.decoder_layers,
        tie_output=sizes.tie_embeddings != "none",
        embedding_dropout=dropout.embedding,
        recurrent_dropout=dropout.recurrent,
        layer_dropout=dropout.layers,
        readout_dropout=dropout.readout,
    )
    bridge = BRIDGES[sizes.bridge](encoder.memory_size, sizes.decoder_size, sizes.decoder_layers)
    return Seq2Seq(encoder, bridge, decoder)


def use_pretrained_vectors(net: Seq2Seq, settings: WordConfig, pair: TokenizerPair) -> None:
    """Put pretrained vectors into the embeddings, for the words that the files have."""
    sides = [
        (settings.src_vectors, pair.src, net.encoder.embedding),
        (settings.tgt_vectors, pair.tgt, net.decoder.embedding),
    ]
    for path, tokenizer, embedding in sides:
        if path is None:
            continue
        vectors, found = load_vectors(Path(path), tokenizer.pieces(range(len(tokenizer))), embedding.embedding_dim)
        with torch.no_grad():
            embedding.weight[found] = vectors[found] / embedding.scale  # so that the GRU sees the vectors
        logger.info("vectors: %s has %d of the %d words", path, int(found.sum()), len(tokenizer))


# --- search ----------------------------------------------------------------------------------------------


def translator(net: Seq2Seq, pair: TokenizerPair, decode: DecodeConfig, machine: MachineConfig) -> Translator:
    """A translator that searches as ``decode`` says, on the device that ``net`` is on."""
    check_decode(decode)
    options = SearchOptions(
        bos=BOS,
        eos=EOS,
        forbidden=forbidden_tokens(decode.allow_unk),
        beam_size=decode.beam_size,
        length_penalty=decode.length_penalty,
        coverage_penalty=decode.coverage_penalty,
        num_best=decode.num_best,
        max_ratio=decode.max_ratio,
        max_offset=decode.max_offset,
    )
    precision = choose_precision(machine.precision, parameter_device(net))
    return Translator(net, pair, options, decode.batch_tokens, decode.max_src_tokens, precision)


class LoadedRun(NamedTuple):
    """A trained model, ready to translate."""

    path: Path  # of the checkpoint
    config: TrainConfig
    translator: Translator


def load_run(run: str, checkpoint: str, overrides: DecodeOverrides, machine: MachineConfig) -> LoadedRun:
    """The model of ``run``, a run directory or a copy of its best/.

    Raises:
        CheckpointError: it is missing, damaged or of another version.
    """
    path = checkpoint_path(Path(run), checkpoint)
    info = read_info(path)
    config = read_train_config(path / CONFIG)
    pair = TokenizerPair.load(path / TOKENIZER)
    check_vocabulary(path, info, pair)
    net = model(config, len(pair.src), len(pair.tgt))
    load_weights(path, net)
    found = translator(net.to(device(machine)), pair, overrides.applied_to(config.decode), machine)
    return LoadedRun(path, config, found)


def test_set(settings: EvaluateConfig, data: DataConfig) -> tuple[str, ParallelText]:
    """What to evaluate on, with a name for it: one's own files, or a split of the run's data."""
    if settings.src_file and settings.ref_file:
        source, reference = Path(settings.src_file), Path(settings.ref_file)
        return source.stem, corpus.read_parallel(source, reference)
    if settings.src_file or settings.ref_file:
        raise ConfigError("src_file and ref_file: give both, or neither and a split=")
    if settings.data_root is not None and isinstance(data, Multi30kConfig):
        data = dataclasses.replace(data, root=settings.data_root)
    return settings.split, read_split(data, settings.split)


def evaluation_directory(checkpoint: Path) -> Path:
    """Where an evaluation is written: beside best/ and last/, or inside a copied checkpoint."""
    is_copy = not (checkpoint.parent / CONFIG).exists()
    return (checkpoint if is_copy else checkpoint.parent) / "evaluation"


# --- training --------------------------------------------------------------------------------------------


def schedule(settings: ScheduleConfig, lr: float, total_steps: int) -> Schedule:
    """The learning-rate schedule that the settings name, for at most ``total_steps`` updates."""
    if isinstance(settings, PlateauConfig):
        return Plateau(
            settings.metric, settings.factor, settings.patience, settings.min_lr / lr, settings.warmup_steps
        )
    if settings.name == "linear":
        return Linear(total_steps, settings.warmup_steps)
    return {"constant": Constant, "inverse_sqrt": InverseSqrt}[settings.name](settings.warmup_steps)


def training(config: TrainConfig, checkpoint: Path | None = None) -> Trainer:
    """Read the data, train the tokenizers, build the model and everything around it; go on from ``checkpoint``."""
    torch.manual_seed(config.seed)
    where = device(config.machine)
    train_text, train_report = corpus.clean("train", read_split(config.data, "train"))
    if len(train_text) < 2:
        raise DataError("train: a single sentence pair; a corpus has a sentence a line, each ended by a newline")
    valid_text, valid_report = corpus.clean("valid", read_split(config.data, "valid"), train_text)
    reports = [train_report, valid_report]
    if has_split(config.data, "test"):
        reports.append(corpus.clean("test", read_split(config.data, "test"), train_text)[1])
    pair, tokens = tokenizers(config, train_text)
    batches = loader(config, train_text, pair, tokens, train_report)
    logger.info("%s", corpus.report_table(reports))
    net = model(config, len(pair.src), len(pair.tgt))
    if isinstance(config.tokenizer, WordConfig):
        use_pretrained_vectors(net, config.tokenizer, pair)
    net.to(where)
    logger.info(
        "vocabulary %s · %s parameters · %s, %d threads",
        f"{len(pair.src):,} joint" if pair.joint else f"{len(pair.src):,} + {len(pair.tgt):,}",
        f"{net.num_parameters():,}",
        where,
        torch.get_num_threads(),
    )
    decode = dataclasses.replace(config.decode, beam_size=config.trainer.valid_beam_size, num_best=1)
    searcher = translator(net, pair, decode, config.machine)
    validator = Validator(valid_text, pair, searcher, config.decode.batch_tokens, config.data.tgt)
    if checkpoint is None:
        begin(run_path(config))  # not before everything else is there
        run = RunDirectory(run_path(config), to_yaml(config), pair)
        tracker = Tracker(run.path)
        hyperparameters = {**dict.fromkeys(training_keys()), **flat(config)}  # the same columns for every run
        tracker.config(to_yaml(config), hyperparameters, [f"best/{config.trainer.metric}"])
        return trainer(config, net, batches, validator, run, tracker)
    info, state = read_info(checkpoint), read_training(checkpoint)
    check_vocabulary(checkpoint, info, pair)
    load_weights(checkpoint, net)
    go_on(run_path(config))
    run = RunDirectory(run_path(config), to_yaml(config), pair)
    step = state["state"]["step"]
    tracker = Tracker(run.path, Written(step, state["written"]))
    found = trainer(config, net, batches, validator, run, tracker)
    found.resume(state)
    logger.info("going on from %s, update %s", checkpoint, f"{step:,}")
    return found


def trainer(
    config: TrainConfig,
    net: Seq2Seq,
    batches: BatchLoader,
    validator: Validator,
    run: RunDirectory,
    tracker: Tracker,
) -> Trainer:
    """The training loop with its optimizer, schedule and average."""
    settings, optim = config.trainer, config.optimizer
    optimizer = OPTIMIZERS[optim.name](
        net.parameters(),
        lr=optim.lr,
        betas=(optim.betas[0], optim.betas[1]),
        eps=optim.eps,
        weight_decay=optim.weight_decay,
        fused=True,
    )
    an_epoch = math.ceil(len(batches.epoch(0)) / settings.accumulate)
    limits = [settings.max_steps, settings.max_epochs and settings.max_epochs * an_epoch]
    steps = min(limit for limit in limits if limit is not None)
    options = TrainerOptions(
        lr=optim.lr,
        max_epochs=settings.max_epochs,
        max_steps=settings.max_steps,
        total_steps=steps,
        accumulate=settings.accumulate,
        clip_norm=settings.clip_norm,
        label_smoothing=settings.label_smoothing,
        validate_every=settings.validate_every,
        validate_unit=settings.validate_unit,
        save_every=settings.save_every,
        metric=settings.metric,
        patience=settings.patience,
        average_last=settings.average == "last",
        keep_last=settings.keep_last,
        log_every=settings.log_every,
        max_skipped=settings.max_skipped,
        num_samples=settings.num_samples,
    )
    ema = Ema(net, settings.ema_decay) if settings.average == "ema" else None
    rates = schedule(config.schedule, optim.lr, steps)
    precision = choose_precision(config.machine.precision, parameter_device(net))
    logger.info("products in %s: %s", precision.name, precision.reason)
    return Trainer(net, optimizer, rates, batches, validator, run, tracker, options, ema, precision)
