"""Schema of every setting, with what is valid; imports no torch.

``load_settings`` turns a composed Hydra config into plain dataclasses and checks all values, so that a wrong
one is named before any data is read. Keys, types and names of groups are checked by Hydra against the same schema.
"""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from seq2seq.errors import CheckpointError, ConfigError


def choice(default: str, *names: str) -> Any:
    """A setting that takes one of ``names``."""
    return field(default=default, metadata={"choices": names})


def number(default: Any, low: float | None = None, high: float | None = None, *, open_low: bool = False) -> Any:
    """A setting between ``low`` and ``high``, both included unless ``open_low``."""
    return field(default=default, metadata={"low": low, "high": high, "open_low": open_low})


def rate(default: float) -> Any:
    """A probability below 1."""
    return number(default, 0.0, 0.95)


@dataclass
class DataConfig:
    """Where sentence pairs come from. ``src`` and ``tgt`` are language codes."""

    name: str = MISSING
    src: str = "de"
    tgt: str = "en"
    max_length: int = number(100, 1)  # tokens on a side of a training pair
    over_length: str = choice("drop", "drop", "truncate")
    cache_dir: str = "data/cache"


@dataclass
class PhrasebookConfig(DataConfig):
    """The corpus that comes with the project."""

    name: str = "phrasebook"
    src: str = choice("de", "de", "en")
    tgt: str = choice("en", "de", "en")


@dataclass
class Multi30kConfig(DataConfig):
    """Multi30k, task 1: downloaded, or read from local copies in ``root``."""

    name: str = "multi30k"
    src: str = choice("de", "de", "en", "fr", "cs")
    tgt: str = choice("en", "de", "en", "fr", "cs")
    root: str | None = None
    download_dir: str = "data/multi30k"


@dataclass
class SplitFiles:
    """One split of one's own files: ``src`` and ``tgt``, or one ``tsv``; each plain or .gz."""

    src: str | None = None
    tgt: str | None = None
    tsv: str | None = None


@dataclass
class FilesConfig(DataConfig):
    """One's own parallel files; ``test`` may be left out."""

    name: str = "files"
    train: SplitFiles = field(default_factory=SplitFiles)
    valid: SplitFiles = field(default_factory=SplitFiles)
    test: SplitFiles = field(default_factory=SplitFiles)


@dataclass
class TokenizerConfig:
    """Text to tokens; ``joint`` is one vocabulary for both languages."""

    name: str = MISSING
    joint: bool = True


@dataclass
class SubwordConfig(TokenizerConfig):
    """SentencePiece. ``sample`` draws a new segmentation of the training text for each epoch."""

    name: str = choice("unigram", "unigram", "bpe")
    vocab_size: int = number(8000, 300)
    character_coverage: float = number(1.0, 0.9, 1.0)
    byte_fallback: bool = True
    normalization: str = choice("nmt_nfkc", "nmt_nfkc", "nfkc", "identity")
    sample: bool = False
    sampling_alpha: float = number(0.1, 0.0, 1.0)


@dataclass
class WordConfig(TokenizerConfig):
    """Words as tokens, on torchtext's Vocab; pretrained vectors from local text files."""

    name: str = choice("word", "word")
    joint: bool = False
    min_frequency: int = number(2, 1)
    max_size: int | None = number(None, 10)
    src_vectors: str | None = None
    tgt_vectors: str | None = None


@dataclass
class DropoutConfig:
    """Dropout rates."""

    words: float = rate(0.0)  # whole words, both sides
    embedding: float = rate(0.3)  # entries of word embeddings, both sides
    layers: float = rate(0.3)  # between stacked layers
    recurrent: float = rate(0.0)  # [context ; input] of the decoder's recurrence
    readout: float = rate(0.3)  # s̃_t, before the output matrix


@dataclass
class ModelConfig:
    """Sizes of the model."""

    embedding_size: int = number(256, 1)
    encoder_size: int = number(256, 1)  # each direction; the memory is twice as wide
    encoder_layers: int = number(1, 1)
    decoder_size: int = number(512, 1)
    decoder_layers: int = number(1, 1)
    readout_size: int = number(256, 1)
    bridge: str = choice("tanh", "tanh", "zeros")
    tie_embeddings: str = choice("target", "none", "target", "all")
    dropout: DropoutConfig = field(default_factory=DropoutConfig)


@dataclass
class AttentionConfig:
    """How the decoder looks at the source."""

    name: str = MISSING

    @property
    def variant(self) -> str:
        """Its name in the model's table of attentions."""
        return self.name


@dataclass
class LuongConfig(AttentionConfig):
    """Luong, Pham and Manning (2015)."""

    name: str = choice("luong", "luong")
    score: str = choice("general", "dot", "general", "concat")

    @property
    def variant(self) -> str:
        """Its name in the model's table of attentions."""
        return f"luong_{self.score}"


@dataclass
class BahdanauConfig(AttentionConfig):
    """Bahdanau, Cho and Bengio (2015); ``size`` is the width of the tanh layer."""

    name: str = choice("bahdanau", "bahdanau")
    size: int = number(512, 1)


@dataclass
class OptimizerConfig:
    """Adam or AdamW."""

    name: str = choice("adam", "adam", "adamw")
    lr: float = number(1e-3, 0.0, open_low=True)
    betas: list[float] = field(default_factory=lambda: [0.9, 0.999])
    eps: float = number(1e-8, 0.0, open_low=True)
    weight_decay: float = number(0.0, 0.0)


@dataclass
class ScheduleConfig:
    """Learning rate over updates; all schedules rise linearly over ``warmup_steps`` first."""

    name: str = MISSING
    warmup_steps: int = number(0, 0)


@dataclass
class ConstantConfig(ScheduleConfig):
    """The optimizer's rate."""

    name: str = choice("constant", "constant")


@dataclass
class InverseSqrtConfig(ScheduleConfig):
    """Falls with 1/√step after the warm-up (Vaswani et al., 2017, section 5.3), from the optimizer's rate."""

    name: str = choice("inverse_sqrt", "inverse_sqrt")
    warmup_steps: int = number(400, 1)


@dataclass
class LinearConfig(ScheduleConfig):
    """Falls to 0 at the last update (Defazio et al., 2023)."""

    name: str = choice("linear", "linear")
    warmup_steps: int = number(400, 0)


METRICS = ("bleu", "chrf", "loss", "ppl")


@dataclass
class PlateauConfig(ScheduleConfig):
    """Times ``factor`` whenever ``metric`` has not improved for more than ``patience`` validations."""

    name: str = choice("plateau", "plateau")
    metric: str = choice("loss", *METRICS)
    factor: float = number(0.5, 0.01, 0.99)
    patience: int = number(0, 0)
    min_lr: float = number(1e-5, 0.0)


@dataclass
class TrainerConfig:
    """The training loop. It ends at the first of ``max_epochs``, ``max_steps`` and patience."""

    max_epochs: int | None = number(20, 1)
    max_steps: int | None = number(None, 1)  # optimizer updates
    batch_tokens: int = number(2400, 2)  # padded tokens of a batch, on either side
    accumulate: int = number(1, 1)  # batches an update
    clip_norm: float | None = number(1.0, 0.0, open_low=True)
    label_smoothing: float = rate(0.1)
    validate_every: int = number(1, 1)
    validate_unit: str = choice("epochs", "epochs", "steps")
    save_every: int | None = number(None, 1)  # updates, besides after each validation; null: only then
    valid_beam_size: int = number(1, 1)
    metric: str = choice("bleu", *METRICS)  # best/ and early stopping go by it
    patience: int | None = number(None, 1)  # validations without a better metric before training stops
    average: str = choice("none", "none", "ema", "last")
    ema_decay: float = number(0.999, 0.0, 0.99999)
    keep_last: int = number(0, 0)  # checkpoints of the last validations kept, and averaged by average=last
    log_every: int = number(20, 1)  # updates
    max_skipped: int = number(10, 1)  # updates in a row without a finite gradient; then training stops
    num_samples: int = number(4, 0)  # validation sentences shown in TensorBoard


@dataclass
class DecodeConfig:
    """Search (see ``seq2seq/search.py`` for the formula)."""

    beam_size: int = number(5, 1)
    length_penalty: float = number(1.0, 0.0)
    coverage_penalty: float = number(0.0, 0.0)
    num_best: int = number(1, 1)
    max_ratio: float = number(2.0, 0.0)
    max_offset: int = number(10, 1)
    allow_unk: bool = False
    batch_tokens: int = number(2400, 2)  # padded source tokens decoded at once
    max_src_tokens: int = number(500, 1)  # longer sources are cut, and counted


@dataclass
class DecodeOverrides:
    """``DecodeConfig`` where null means: as in the run."""

    beam_size: int | None = number(None, 1)
    length_penalty: float | None = number(None, 0.0)
    coverage_penalty: float | None = number(None, 0.0)
    num_best: int | None = number(None, 1)
    max_ratio: float | None = number(None, 0.0)
    max_offset: int | None = number(None, 1)
    allow_unk: bool | None = None
    batch_tokens: int | None = number(None, 2)
    max_src_tokens: int | None = number(None, 1)

    def applied_to(self, decode: DecodeConfig) -> DecodeConfig:
        """``decode`` with what is given here."""
        given = {key: value for key, value in vars(self).items() if value is not None}
        return dataclasses.replace(decode, **given)


@dataclass
class MachineConfig:
    """Where to run."""

    device: str = choice("auto", "auto", "cpu", "cuda")
    num_threads: int | None = number(None, 1)  # null: one for each core
    precision: str = choice("auto", "auto", "fp32", "bf16", "fp16", "int8")  # of products; int8: search
    fused: bool = True  # train through seq2seq/model/fused; false: through the plain definition


@dataclass
class TrainConfig:
    """``scripts/train.py``."""

    data: DataConfig = MISSING
    tokenizer: TokenizerConfig = MISSING
    model: ModelConfig = MISSING
    attention: AttentionConfig = MISSING
    optimizer: OptimizerConfig = MISSING
    schedule: ScheduleConfig = MISSING
    trainer: TrainerConfig = MISSING
    decode: DecodeConfig = MISSING
    machine: MachineConfig = field(default_factory=MachineConfig)
    name: str | None = None  # null: made of the choices
    runs_dir: str = "runs"
    resume: str = choice("auto", "never", "auto", "must")  # go on with an unfinished run of these settings
    overwrite: bool = False
    seed: int = number(1, 0)


@dataclass
class BenchmarkOptions:
    """How much to measure, and beside what."""

    sentences: int = number(128, 1)  # in a batch
    batches: int = number(12, 1)  # updates in a round
    rounds: int = number(3, 1)  # the contenders take turns
    run: str | None = None  # a trained run, to time search with; null: training only
    peer: str = choice("none", "none", "opennmt")
    peer_bin: str = ""  # where the peer's commands are
    peer_model: str | None = None  # a checkpoint of the peer, to time its search beside that of run
    scaling: bool = False  # tables of speed against sizes
    output: str = "benchmark"  # directory for the results


@dataclass
class BenchmarkConfig(TrainConfig):
    """``scripts/benchmark.py``: the settings of a training run, and what to measure of it."""

    benchmark: BenchmarkOptions = field(default_factory=BenchmarkOptions)


@dataclass
class CheckConfig(TrainConfig):
    """``scripts/check_data.py``: the settings of a training run, whose data is examined."""

    fix: str | None = None  # a directory for the corpus without what can be mended


@dataclass
class EvaluateConfig:
    """``scripts/evaluate.py``: a split of the run's data, or one's own ``src_file`` and ``ref_file``."""

    run: str = MISSING
    checkpoint: str = choice("best", "best", "last")
    split: str = "test"
    data_root: str | None = None  # where the split's files are, if not where the run found them
    src_file: str | None = None
    ref_file: str | None = None
    bootstrap: int = number(1000, 0)  # resamples for the confidence interval
    decode: DecodeOverrides = field(default_factory=DecodeOverrides)
    machine: MachineConfig = field(default_factory=MachineConfig)


@dataclass
class TranslateConfig:
    """``scripts/translate.py``: from standard input or ``input`` to standard output or ``output``."""

    run: str = MISSING
    checkpoint: str = choice("best", "best", "last")
    input: str | None = None
    output: str | None = None
    heatmaps: str | None = None  # a directory for a picture of each line's attention
    chunk_lines: int = number(1000, 1)  # lines read before they are translated
    decode: DecodeOverrides = field(default_factory=DecodeOverrides)
    machine: MachineConfig = field(default_factory=MachineConfig)


GROUPS: dict[str, dict[str, type]] = {
    "data": {"phrasebook": PhrasebookConfig, "multi30k": Multi30kConfig, "files": FilesConfig},
    "tokenizer": {"unigram": SubwordConfig, "bpe": SubwordConfig, "word": WordConfig},
    "model": {"model": ModelConfig},
    "attention": {"luong": LuongConfig, "bahdanau": BahdanauConfig},
    "optimizer": {"adam": OptimizerConfig, "adamw": OptimizerConfig},
    "schedule": {
        "constant": ConstantConfig,
        "inverse_sqrt": InverseSqrtConfig,
        "linear": LinearConfig,
        "plateau": PlateauConfig,
    },
    "trainer": {"trainer": TrainerConfig},
    "decode": {"decode": DecodeConfig},
}
"""The schema of each option of each config group; configs/GROUP/*.yaml name theirs as /schema/GROUP/OPTION."""

SCRIPTS: dict[str, type] = {
    "train": TrainConfig,
    "evaluate": EvaluateConfig,
    "translate": TranslateConfig,
    "benchmark": BenchmarkConfig,
    "check_data": CheckConfig,
}


def register_schemas() -> None:
    """Make the schemas known to Hydra, so that it refuses wrong keys and types when it composes."""
    store = ConfigStore.instance()
    for script, schema in SCRIPTS.items():
        store.store(group="schema", name=script, node=schema, package="_global_")
    for group, options in GROUPS.items():
        for option, schema in options.items():
            store.store(group=f"schema/{group}", name=option, node=schema)


Settings = TypeVar("Settings")


def load_settings(config: DictConfig, schema: type[Settings]) -> Settings:
    """The composed ``config`` as a checked ``schema`` dataclass.

    Raises:
        ConfigError: a value is missing or not valid.
    """
    settings = OmegaConf.to_object(config)
    assert isinstance(settings, schema)
    _check_no_more_keys(settings)
    check(settings)
    return settings


def _check_no_more_keys(settings: Any, prefix: str = "") -> None:
    """Refuse what was added with "+key=value", which Hydra takes past the schema."""
    known = {item.name for item in dataclasses.fields(settings)}
    for key, value in vars(settings).items():
        if key not in known:
            raise ConfigError(f"{prefix}{key}: no such setting{did_you_mean(key, known)}")
        if dataclasses.is_dataclass(value):
            _check_no_more_keys(value, f"{prefix}{key}.")


def check(settings: Any) -> None:
    """Raise ``ConfigError`` for the first value that its own rule, or a rule over several, forbids."""
    for key, value, metadata in _leaves(settings):
        _check_value(key, value, metadata)
    if isinstance(settings, TrainConfig):
        _check_training(settings)
        if settings.machine.precision == "int8":
            raise ConfigError("machine.precision=int8 is for search, not for training: use auto, bf16 or fp32")
    if isinstance(settings, BenchmarkConfig) and settings.benchmark.peer_model and not settings.benchmark.run:
        raise ConfigError(
            f"benchmark.peer_model={settings.benchmark.peer_model}: needs benchmark.run, a run of ours to compare"
        )


def _leaves(settings: Any, prefix: str = "") -> Iterator[tuple[str, Any, Any]]:
    for item in dataclasses.fields(settings):
        value = getattr(settings, item.name)
        if dataclasses.is_dataclass(value):
            yield from _leaves(value, f"{prefix}{item.name}.")
        else:
            yield f"{prefix}{item.name}", value, item.metadata


def _check_value(key: str, value: Any, metadata: Any) -> None:
    choices = metadata.get("choices")
    if choices and value not in choices:
        raise ConfigError(f"{key}={value}: unknown; valid are {', '.join(choices)}{did_you_mean(value, choices)}")
    low, high = metadata.get("low"), metadata.get("high")
    if value is None or isinstance(value, str):
        return
    if low is not None and (value < low or (metadata["open_low"] and value == low)):
        raise ConfigError(f"{key}={value}: must be {'more than' if metadata['open_low'] else 'at least'} {low:g}")
    if high is not None and value > high:
        raise ConfigError(f"{key}={value}: must be at most {high:g}")


def _check_training(config: TrainConfig) -> None:
    model, trainer, data = config.model, config.trainer, config.data
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
    if config.name is not None and not re.fullmatch(r"(?=.{1,120}$)[\w+-][\w.+-]*", config.name):
        raise ConfigError(f"name={config.name}: a directory's name below runs_dir, of letters, digits and . _ + -")
    if data.src == data.tgt:
        raise ConfigError(f"data.src={data.src} and data.tgt={data.tgt}: source and target are the same language")
    if trainer.max_epochs is None and trainer.max_steps is None:
        raise ConfigError("trainer.max_epochs=null and trainer.max_steps=null: training would never end; set one")
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
    check_decode(config.decode)


def check_decode(decode: DecodeConfig) -> None:
    """Rules over several settings of search."""
    if decode.num_best > decode.beam_size:
        raise ConfigError(f"decode.num_best={decode.num_best}: at most decode.beam_size={decode.beam_size}")


def did_you_mean(given: object, valid: Any) -> str:
    """'; did you mean X?' for the nearest of ``valid``, or nothing."""
    nearest = difflib.get_close_matches(str(given), list(valid), n=1, cutoff=0.6)
    return f"; did you mean {nearest[0]}?" if nearest else ""


def to_yaml(settings: Any) -> str:
    """All settings, resolved, as YAML of plain values."""
    return OmegaConf.to_yaml(OmegaConf.create(dataclasses.asdict(settings)))


def keys_of(schema: type, prefix: str = "") -> list[str]:
    """Full keys of a schema and of those nested in it."""
    found = []
    for item in dataclasses.fields(schema):
        nested = item.default_factory
        if isinstance(nested, type) and dataclasses.is_dataclass(nested):
            found += keys_of(nested, f"{prefix}{item.name}.")
        else:
            found.append(prefix + item.name)
    return found


def training_keys() -> dict[str, str]:
    """Every full key that a training run can have → an option that has it, "GROUP=OPTION"."""
    keys = dict.fromkeys((key for key in keys_of(TrainConfig) if key not in GROUPS), "")
    for group, options in GROUPS.items():
        for option, schema in options.items():
            keys.update(dict.fromkeys(keys_of(schema, f"{group}."), f"{group}={option}"))
    return keys


def flat(settings: Any) -> dict[str, Any]:
    """Full key → value, for tables and comparisons."""
    return {key: value for key, value, _ in _leaves(settings)}


def read_train_config(path: Path) -> TrainConfig:
    """The settings that ``to_yaml`` wrote, against today's schema.

    Raises:
        CheckpointError: the file is missing or not of this schema.
    """
    try:
        saved = OmegaConf.load(path)
        assert isinstance(saved, DictConfig)
        schema = {group: OmegaConf.structured(_schema_of(group, saved[group])) for group in GROUPS}
        merged = OmegaConf.merge(OmegaConf.structured(TrainConfig), schema, saved)
        assert isinstance(merged, DictConfig)
        return load_settings(merged, TrainConfig)
    except FileNotFoundError:
        raise CheckpointError(f"{path}: no such file; is {path.parent} a run or a copy of its best/?") from None
    except (OmegaConfBaseException, YAMLError, AssertionError, KeyError, ConfigError, OSError) as error:
        reason = " ".join(str(error).split()) or "not a table of settings"
        raise CheckpointError(f"{path}: not a config of this version ({reason[:200]})") from error


def _schema_of(group: str, saved: DictConfig) -> type:
    options = GROUPS[group]
    return options[saved.name] if "name" in saved else next(iter(options.values()))
