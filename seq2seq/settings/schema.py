"""Every setting: its key, type, default, range and meaning. The one place where each is written.

A component takes the dataclass of its own section. ``rules`` checks values, ``compose`` reads them from the
command line and from configs/. Nothing here imports torch, Hydra or OmegaConf.
"""

from __future__ import annotations

import dataclasses
import json
import typing
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

MISSING: Any = "???"  # OmegaConf's sign for a value that has to be given
WIDEST = 2**14  # layer: a GRU of this width alone has a thousand million weights
LARGEST_BEAM = 1000  # for each sentence, search compares twice its square


def setting(
    default: Any,
    doc: str,
    *,
    low: float | None = None,
    high: float | None = None,
    above: float | None = None,
    choices: tuple[str, ...] = (),
) -> Any:
    """A field that says what it means and which values are valid.

    ``low`` and ``high`` are valid themselves, ``above`` is not. Every number has bounds on both sides, so that
    none that is not finite is valid.
    """
    metadata = {"doc": doc, "low": low, "high": high, "above": above, "choices": choices}
    if isinstance(default, list):
        return field(default_factory=lambda: list(default), metadata=metadata)
    return field(default=default, metadata=metadata)


def choice(doc: str, default: str, *others: str) -> Any:
    """A setting that takes one of several names."""
    return setting(default, doc, choices=(default, *others))


def count(default: Any, doc: str, *, low: int = 1, high: int = 10**9) -> Any:
    """A number of things."""
    return setting(default, doc, low=low, high=high)


def rate(default: float, doc: str) -> Any:
    """A probability, which is below 1."""
    return setting(default, doc, low=0.0, high=0.95)


def option(name: str) -> Any:
    """The name of a group's option, chosen as GROUP=NAME."""
    return setting(name, "the option's name", choices=(name,))


def section(schema: type) -> Any:
    """A nested section, with its settings at their defaults; the docstring of ``schema`` describes it."""
    return field(default_factory=schema)


@dataclass
class MixConfig:
    """Further corpora for training. Of each corpus, an epoch has every pair at least once."""

    src: list[str] = setting([], "source files of the further corpora")
    tgt: list[str] = setting([], "the files of their translations")
    weights: list[float] = setting(
        [], "shares in an epoch: of data.train, then of each of these; none: by size", above=0.0, high=10**9
    )
    temperature: float = setting(
        1.0,
        "shares are as sizes to the power 1 / temperature: 1: by size, the larger the more equal",
        low=1.0,
        high=1000.0,
    )


@dataclass
class DataConfig:
    """Where sentence pairs come from."""

    name: str = MISSING
    src: str = setting("de", "language translated from: a code, such as de")
    tgt: str = setting("en", "language translated into: a code, such as en")
    max_length: int = count(100, "longest training pair: tokens on either side")
    over_length: str = choice("what happens to longer training pairs", "drop", "truncate")
    cache_dir: str = setting("data/cache", "directory that keeps text, tokenizers and tokens for the next run")
    verify: bool = setting(
        False,
        "read the text and hash its tokens again, also where sizes and times of change are as before",
    )
    mix: MixConfig = section(MixConfig)


@dataclass
class PhrasebookConfig(DataConfig):
    """The built-in corpus."""

    name: str = option("phrasebook")
    src: str = choice("language translated from", "de", "en")
    tgt: str = choice("language translated into", "en", "de")


@dataclass
class Multi30kConfig(DataConfig):
    """Multi30k, task 1: image captions, downloaded or read from local copies."""

    name: str = option("multi30k")
    src: str = choice("language translated from", "de", "en", "fr", "cs")
    tgt: str = choice("language translated into", "en", "de", "fr", "cs")
    root: str | None = setting(None, "directory with local copies of the files; null: download them")
    download_dir: str = setting("data/multi30k", "directory that keeps the downloads")


@dataclass
class SplitFiles:
    """The files of one split: src and tgt, or one tsv."""

    src: str | None = setting(None, "source file, a sentence a line")
    tgt: str | None = setting(None, "file of its translations, line by line")
    tsv: str | None = setting(None, "one file instead of src and tgt: source, tab, target")


@dataclass
class FilesConfig(DataConfig):
    """Your own files, plain, .gz or .zst: for each split src and tgt, or one tsv. The test split is optional."""

    name: str = option("files")
    train: SplitFiles = section(SplitFiles)
    valid: SplitFiles = section(SplitFiles)
    test: SplitFiles = section(SplitFiles)


@dataclass
class TokenizerConfig:
    """How text is split into tokens."""

    name: str = MISSING
    joint: bool = setting(True, "one vocabulary for both languages")
    sample_lines: int = count(
        200_000, "most lines of each side that the vocabulary is made from, drawn at random", low=100
    )


@dataclass
class SubwordConfig(TokenizerConfig):
    """SentencePiece."""

    vocab_size: int = count(
        8000, "pieces of the vocabulary; fewer if the corpus does not have as many", low=300, high=10**6
    )
    character_coverage: float = setting(
        1.0, "share of the characters of the training text that become pieces", low=0.98, high=1.0
    )
    byte_fallback: bool = setting(True, "spell all other characters in bytes, instead of reading them as <unk>")
    normalization: str = choice("SentencePiece's rule for Unicode normalization", "nmt_nfkc", "nfkc", "identity")
    sample: bool = setting(False, "segment the training text anew, at random, in each epoch")
    sampling_alpha: float = setting(
        0.1,
        "unigram: exponent of the probabilities, smaller is more random; bpe: share of merges dropped",
        low=0.0,
        high=1.0,
    )


@dataclass
class UnigramConfig(SubwordConfig):
    """SentencePiece, unigram language model (Kudo, 2018)."""

    name: str = option("unigram")


@dataclass
class BpeConfig(SubwordConfig):
    """SentencePiece, byte-pair encoding (Sennrich et al., 2016)."""

    name: str = option("bpe")


@dataclass
class WordConfig(TokenizerConfig):
    """Words as tokens, on torchtext's Vocab."""

    name: str = option("word")
    joint: bool = setting(False, "one vocabulary for both languages")
    min_frequency: int = count(2, "times that a word must occur in the training text to be in the vocabulary")
    max_size: int | None = count(None, "largest vocabulary, in words; null: no limit", low=10)
    src_vectors: str | None = setting(None, "text file of pretrained word vectors for the source")
    tgt_vectors: str | None = setting(None, "text file of pretrained word vectors for the target")


@dataclass
class DropoutConfig:
    """Dropout, in training only."""

    words: float = rate(0.0, "share of words that are dropped as a whole, on both sides")
    embedding: float = rate(0.3, "share of the entries of word embeddings, on both sides")
    layers: float = rate(0.3, "share of the entries between stacked layers")
    recurrent: float = rate(0.0, "share of the entries of the decoder's input, [context ; word]")
    readout: float = rate(0.3, "share of the entries of the read-out, before the output matrix")


@dataclass
class ModelConfig:
    """Sizes of the model.

    The defaults are those of common tutorials: embeddings 256, encoder 2 × 256, decoder 512.
    """

    embedding_size: int = count(256, "width E of word embeddings", high=WIDEST)
    encoder_size: int = count(
        256, "width of the encoder in each direction; the memory is twice as wide", high=WIDEST
    )
    encoder_layers: int = count(1, "bidirectional GRU layers of the encoder", high=100)
    decoder_size: int = count(512, "width D of the decoder's state", high=WIDEST)
    decoder_layers: int = count(1, "GRU layers of the decoder; attention belongs to the first", high=100)
    decoder_transitions: int = count(
        1,
        "GRU steps from one state of the decoder to the next: the first reads context and word, further ones have "
        "no input (deep transition)",
        high=100,
    )
    readout_size: int = count(256, "width R of the read-out", high=WIDEST)
    bridge: str = choice(
        "first decoder state: tanh of a linear map of the last encoder states, or zeros", "tanh", "zeros"
    )
    tie_embeddings: str = choice(
        "shared matrices: target embedding and output (target), the source embedding too (all), or none (none)",
        "target",
        "none",
        "all",
    )
    dropout: DropoutConfig = section(DropoutConfig)


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
    """Luong, Pham and Manning (2015): reads out the context of the new state."""

    name: str = option("luong")
    score: str = choice("how a decoder state is scored against each encoder state", "general", "dot", "concat")

    @property
    def variant(self) -> str:
        """Its name in the model's table of attentions."""
        return f"luong_{self.score}"


@dataclass
class BahdanauConfig(AttentionConfig):
    """Bahdanau, Cho and Bengio (2015): reads out the context that built the state."""

    name: str = option("bahdanau")
    size: int = count(512, "width A of the tanh layer that scores", high=WIDEST)


@dataclass
class OptimizerConfig:
    """How gradients change the weights."""

    name: str = MISSING
    lr: float = setting(1e-3, "peak learning rate", above=0.0, high=1000.0)
    betas: list[float] = setting([0.9, 0.999], "decay rates of the first and second moment", low=0.0, high=1.0)
    eps: float = setting(
        1e-8, "added to the root of the second moment, against division by zero", above=0.0, high=1.0
    )
    weight_decay: float = setting(0.0, "L2 penalty, added to the gradient", low=0.0, high=1000.0)


@dataclass
class AdamConfig(OptimizerConfig):
    """Adam (Kingma and Ba, 2015)."""

    name: str = option("adam")


@dataclass
class AdamWConfig(OptimizerConfig):
    """AdamW: decoupled weight decay (Loshchilov and Hutter, 2019)."""

    name: str = option("adamw")
    weight_decay: float = setting(0.01, "decoupled decay of the weights", low=0.0, high=1000.0)


@dataclass
class ScheduleConfig:
    """The learning rate over updates."""

    name: str = MISSING
    warmup_steps: int = count(0, "updates over which the rate rises linearly to optimizer.lr", low=0)


@dataclass
class ConstantConfig(ScheduleConfig):
    """The rate stays at optimizer.lr after the warm-up."""

    name: str = option("constant")


@dataclass
class InverseSqrtConfig(ScheduleConfig):
    """The rate falls with 1/√step after the warm-up (Vaswani et al., 2017, section 5.3)."""

    name: str = option("inverse_sqrt")
    warmup_steps: int = count(400, "updates over which the rate rises linearly to optimizer.lr")


@dataclass
class LinearConfig(ScheduleConfig):
    """The rate falls linearly after the warm-up, to 0 at the last update (Defazio et al., 2023)."""

    name: str = option("linear")
    warmup_steps: int = count(400, "updates over which the rate rises linearly to optimizer.lr", low=0)


METRICS = ("bleu", "chrf", "loss", "ppl")
LOWER_IS_BETTER = ("loss", "ppl")


@dataclass
class PlateauConfig(ScheduleConfig):
    """The rate falls whenever a validation metric stops improving."""

    name: str = option("plateau")
    metric: str = setting("loss", "validation metric that is watched", choices=METRICS)
    factor: float = setting(0.5, "what the rate is multiplied by when it falls", low=0.01, high=0.99)
    patience: int = count(
        0, "validations without a better value that are tolerated; the next one lowers the rate", low=0
    )
    min_lr: float = setting(1e-5, "lowest rate", low=0.0, high=1000.0)


@dataclass
class TrainerConfig:
    """The training loop. It ends at max_epochs, max_steps or patience, whichever comes first."""

    max_epochs: int | None = count(
        20,
        "most passes over the training split; 0: init_from's weights are validated and saved; null: no limit",
        low=0,
    )
    max_steps: int | None = count(None, "most updates; null: no limit")
    batch_tokens: int = count(2400, "largest batch, in padded tokens on either side", low=2)
    accumulate: int = count(1, "batches whose gradients make one update")
    all_reduce: str = choice("precision in which several processes add up their gradients", "fp32", "bf16")
    clip_norm: float | None = setting(
        1.0, "largest norm of the gradient; null: no clipping", above=0.0, high=10**9
    )
    label_smoothing: float = rate(0.1, "share of the target distribution spread over all words")
    validate_every: int = count(1, "epochs or updates between validations; see validate_unit")
    validate_unit: str = choice("what validate_every counts", "epochs", "steps")
    save_every: int | None = count(
        None, "updates between saves, besides the one after each validation; null: no others"
    )
    valid_beam_size: int = count(1, "beam of the search in validation; 1: greedy", high=LARGEST_BEAM)
    metric: str = setting(
        "bleu", "validation metric that chooses best/, and that patience watches", choices=METRICS
    )
    patience: int | None = count(
        None, "validations without a better value after which training ends; null: no such end"
    )
    average: str = choice(
        "weights that are validated and kept: the trained ones (none), their moving average (ema), or the trained "
        "ones and, at the end, the mean of the last keep_last checkpoints if it is better (last)",
        "none",
        "ema",
        "last",
    )
    ema_decay: float = setting(0.999, "decay of the moving average, for average=ema", low=0.0, high=0.99999)
    keep_last: int = count(0, "how many of the latest validations keep a checkpoint, step-N/", low=0)
    log_every: int = count(20, "updates between two points of the training curves")
    max_skipped: int = count(10, "updates in a row without a finite gradient after which training gives up")
    num_samples: int = count(4, "validation sentences shown in TensorBoard and in report.html", low=0)


@dataclass
class DecodeConfig:
    """Search, with a beam or greedily.

    score(Y|X) = log P(Y|X) / ((5 + |Y|) / 6)^α + β Σ_i log min(Σ_t α_ti, 1), where α is ``length_penalty``,
    β is ``coverage_penalty`` and |Y| counts the sentence end (Wu et al., 2016, equation 14).
    """

    beam_size: int = count(5, "partial translations kept at each step; 1: greedy", high=LARGEST_BEAM)
    length_penalty: float = setting(
        1.0, "α: 0 prefers short translations; the larger it is, the longer they get", low=0.0, high=10.0
    )
    coverage_penalty: float = setting(
        0.0, "β: penalty on source words that got little attention", low=0.0, high=1000.0
    )
    no_repeat_ngram_size: int = count(
        0,
        "an n-gram of so many tokens is never written twice in a translation; 0: repetition is free",
        low=0,
        high=100,
    )
    num_best: int = count(1, "translations written for each line", high=LARGEST_BEAM)
    max_ratio: float = setting(
        2.0, "longest translation, in tokens: max_ratio × source + max_offset", low=0.0, high=1000.0
    )
    max_offset: int = count(10, "tokens added to max_ratio × source")
    allow_unk: bool = setting(False, "whether <unk> may be written")
    replace_unk: bool = setting(
        False, "write, for each <unk>, the source word that it attends to most; <unk> may then be written"
    )
    shortlist: int = count(
        0,
        "search over this many most frequent target pieces and, for each source piece, this many likeliest "
        "translations; 0: over the whole vocabulary",
        low=0,
        high=100,
    )
    batch_tokens: int = count(2400, "source tokens translated at once, padding included", low=2)
    max_src_tokens: int = count(500, "longest source, in tokens; longer ones are cut, and a message counts them")
    workers: str = setting(
        "auto",
        "processes of one thread each that share the sentences: a number, 1: none beside the command's own, or "
        "auto: on a CPU under Linux, one for each of its threads, fewer if there is little to translate",
    )


def nullable(schema: type, doc: str) -> type:
    """The keys and ranges of ``schema``, each null unless given."""
    types = typing.get_type_hints(schema)
    items = [
        (item.name, types[item.name] | None, field(default=None, metadata=item.metadata))
        for item in dataclasses.fields(schema)
    ]
    made = dataclasses.make_dataclass(f"{schema.__name__}Overrides", items)
    made.__doc__, made.__module__ = doc, __name__
    return made


if TYPE_CHECKING:  # type checkers can't see a dataclass that is made at run time

    class DecodeConfigOverrides(DecodeConfig):
        """Search; null: as in the settings of the run."""

else:
    DecodeConfigOverrides = nullable(DecodeConfig, "Search; null: as in the settings of the run.")


@dataclass
class MachineConfig:
    """What to compute on, and how."""

    device: str = setting("auto", "cpu, cuda, cuda:N, mps, or auto: a GPU if there is one")
    num_threads: int | None = count(
        None, "CPU threads; null: one for each core that the process may use", high=1024
    )
    precision: str = choice(
        "precision of matrix products; int8 is for search only", "auto", "fp32", "bf16", "fp16", "int8"
    )
    measure_again: bool = setting(
        False, "for precision=auto, time products again, though this processor's are known"
    )
    fused: bool = setting(True, "train through the hand-written backward pass: faster, the same mathematics")


@dataclass
class TrainConfig:
    """Train a translation model."""

    data: DataConfig = MISSING
    tokenizer: TokenizerConfig = MISSING
    model: ModelConfig = MISSING
    attention: AttentionConfig = MISSING
    optimizer: OptimizerConfig = MISSING
    schedule: ScheduleConfig = MISSING
    trainer: TrainerConfig = MISSING
    decode: DecodeConfig = MISSING
    machine: MachineConfig = section(MachineConfig)
    init_from: Any = setting(
        None,
        "directory of a run, or of a copy of its best/, whose weights and vocabulary training starts from; [A,B]: "
        "the mean of their weights, for runs that started from the same ones; null: random weights, and a "
        "vocabulary of its own",
    )
    name: str | None = setting(None, "name of the run; null: a name made of its main settings")
    runs_dir: str = setting("runs", "directory that holds the runs")
    resume: str = choice(
        "an unfinished run of this name is resumed (auto), must not exist (never), or must exist (must)",
        "auto",
        "never",
        "must",
    )
    overwrite: bool = setting(False, "replace a run of this name, and start over")
    seed: int = count(1, "seed of everything that is random", low=0, high=2**63 - 1)


@dataclass
class CheckConfig(TrainConfig):
    """Check a corpus before training on it."""

    fix: str | None = setting(None, "directory for a cleaned copy of the corpus")


@dataclass
class TuneConfig(TrainConfig):
    """Search for good settings with Optuna: KEY=A,B and KEY=interval(LOW,HIGH) say among which."""

    trials: int = count(20, "runs that are tried, failed and pruned ones included", high=10**5)
    jobs: int = count(1, "runs at a time, each with its share of the cores", high=1024)
    startup: int = count(5, "trials before settings are chosen by results, and finished ones before any is pruned")
    prune_after: int | None = count(
        1,
        "epoch or update, as trainer.validate_unit counts, from which on a trial below the median of the finished "
        "ones is pruned; null: never",
    )


@dataclass
class DiversifyConfig(TrainConfig):
    """Train on a corpus and on translations of it, by models of both directions that are trained first."""

    teachers: int = count(
        2, "models of each direction, source to target and back, whose translations are added", high=100
    )
    teacher_epochs: int | None = count(None, "epochs that they are trained for; null: trainer.max_epochs")
    right_to_left: bool = setting(
        True,
        "every second teacher of a direction writes the last word first, which makes the translations differ "
        "more; a word is what spaces separate",
    )
    teachers_dir: str | None = setting(
        None,
        "directory that keeps the teachers and their translations, for both directions of a language pair if you "
        "like; null: beside the run",
    )
    students: int = count(
        2,
        "models that are trained on the text and the translations; the mean of their weights is the run",
        high=100,
    )
    at_once: int | None = count(
        None,
        "trainings that run side by side, each in memory of its own; null: one for each thread; on a GPU, one",
    )


@dataclass
class EvaluateConfig:
    """Score a trained model on a test set."""

    run: Any = setting(
        MISSING,
        "directory of a run, or of a copy of its best/; [A,B]: an ensemble, models of one vocabulary that "
        "translate together",
    )
    checkpoint: str = choice("which of its checkpoints is used", "best", "last")
    split: str = setting(
        "test",
        "split of the data that the run was trained on: train, valid, test or another test set of Multi30k, such "
        "as test_2017_flickr",
    )
    data_root: str | None = setting(None, "directory with Multi30k; null: the one that the run was trained on")
    src_file: str | None = setting(None, "file of your own source sentences, instead of a split")
    ref_file: str | None = setting(None, "file of its reference translations, line by line")
    bootstrap: int = count(
        1000, "bootstrap resamples for the confidence intervals; 0: no intervals", low=0, high=100_000
    )
    examples: int = count(10, "how many of the worst and of the best sentences report.html shows", low=0, high=20)
    weights: bool = setting(False, "write the attention weights of all translations too, as weights.npz")
    gold_alignments: str | None = setting(
        None,
        "file of the words that are aligned in the references, for the alignment error rate: a line for each "
        "sentence, 0-1 for a sure link of source word 0 and target word 1, 0?1 or 0p1 for a possible one",
    )
    gold_first_word: int = count(0, "number of a sentence's first word in gold_alignments", low=0, high=1)
    decode: DecodeConfigOverrides = section(DecodeConfigOverrides)
    machine: MachineConfig = section(MachineConfig)


@dataclass
class TranslateConfig:
    """Translate text, a sentence a line; at a terminal, interactively."""

    run: Any = setting(
        None,
        "directory of a run, or of a copy of its best/; [A,B]: an ensemble, models of one vocabulary that "
        "translate together; null: the built-in model of the phrasebook",
    )
    checkpoint: str = choice("which of its checkpoints is used", "best", "last")
    input: str | None = setting(None, "file to read; null: standard input")
    output: str | None = setting(None, "file to write; null: standard output")
    alignments: str | None = setting(
        None,
        "file for the aligned words: for each line written, 0-1 for source word 0 and target word 1, and so on",
    )
    weights: str | None = setting(None, "file for the attention weights of each line written, as NumPy's .npz")
    heatmaps: str | None = setting(None, "directory for a picture of the attention of each line")
    heatmap_format: str = choice("what the pictures are written as", "png", "svg")
    chunk_lines: int = count(1000, "lines that are read, then translated together")
    decode: DecodeConfigOverrides = section(DecodeConfigOverrides)
    machine: MachineConfig = section(MachineConfig)


@dataclass
class LimitsConfig:
    """What one request, and all that wait, may ask for."""

    characters: int = count(5000, "characters of a request", high=10**6)
    sentences: int = count(100, "sentences of a request", high=10**4)
    queue: int = count(64, "requests that wait at once; further ones are answered with 503", high=10**4)
    per_client: int = count(16, "of them from one address; further ones are answered with 429", high=10**4)
    deadline: float = setting(
        30.0, "seconds after which a request that still waits is answered with 503", above=0.0, high=3600.0
    )


@dataclass
class ServeConfig:
    """Translate on a page in the browser, and for programs over HTTP."""

    run: Any = setting(
        None,
        "directory of a run, or of a copy of its best/; of several, to compare: [A,B]; of which one is an "
        "ensemble: [[A,B],C]; null: the built-in model",
    )
    checkpoint: str = choice("which of its checkpoints is used", "best", "last")
    host: str = setting("127.0.0.1", "address to listen at; 0.0.0.0: for all who reach this machine")
    port: int = count(8000, "port to listen at; 0: any free one", low=0, high=65535)
    proxied_as: str | None = setting(
        None, "the name, such as mt.example.org, under which a reverse proxy on this machine offers the page"
    )
    limits: LimitsConfig = section(LimitsConfig)
    decode: DecodeConfigOverrides = section(DecodeConfigOverrides)
    machine: MachineConfig = section(MachineConfig)

    @property
    def runs(self) -> list[Any]:
        """The runs, also if only one is given; of an ensemble, a list; of the built-in model, None."""
        return listed(self.run)


@dataclass
class ExportConfig:
    """Write a trained model as a directory that translates without PyTorch, or in a browser."""

    run: str = setting(MISSING, "directory of a run, or of a copy of its best/")
    checkpoint: str = choice("which of its checkpoints is used", "best", "last")
    to: str = setting(MISSING, "directory to write; one that an earlier export wrote is replaced")
    precision: str = choice("precision of matrix products", "fp32", "int8")
    web: str | None = setting(
        None, "directory of the npm package onnxruntime-web: adds a page that translates in the browser"
    )
    decode: DecodeConfigOverrides = section(DecodeConfigOverrides)


GROUPS: dict[str, dict[str, type]] = {
    "data": {"phrasebook": PhrasebookConfig, "multi30k": Multi30kConfig, "files": FilesConfig},
    "tokenizer": {"unigram": UnigramConfig, "bpe": BpeConfig, "word": WordConfig},
    "model": {"base": ModelConfig},
    "attention": {"luong": LuongConfig, "bahdanau": BahdanauConfig},
    "optimizer": {"adam": AdamConfig, "adamw": AdamWConfig},
    "schedule": {
        "inverse_sqrt": InverseSqrtConfig,
        "linear": LinearConfig,
        "plateau": PlateauConfig,
        "constant": ConstantConfig,
    },
    "trainer": {"default": TrainerConfig},
    "decode": {"beam": DecodeConfig},
}
"""The options of each group and their schemas. configs/GROUP/ has options that change values of another option."""

COMMANDS: dict[str, type] = {
    "train": TrainConfig,
    "evaluate": EvaluateConfig,
    "translate": TranslateConfig,
    "serve": ServeConfig,
    "export": ExportConfig,
    "check_data": CheckConfig,
    "tune": TuneConfig,
    "diversify": DiversifyConfig,
}


class Leaf(NamedTuple):
    """One setting of a schema or, with its value, of a config."""

    key: str  # full, as on the command line
    type: Any
    value: Any
    metadata: Any


def leaves(settings: Any, prefix: str = "") -> Iterator[Leaf]:
    """Every setting in ``settings``, those of nested sections too."""
    types = typing.get_type_hints(type(settings))
    for item in dataclasses.fields(settings):
        value = getattr(settings, item.name)
        if dataclasses.is_dataclass(value):
            yield from leaves(value, f"{prefix}{item.name}.")
        else:
            yield Leaf(f"{prefix}{item.name}", types[item.name], value, item.metadata)


def as_run(settings: TrainConfig) -> TrainConfig:
    """The settings of a run alone, of a command that has further ones."""
    return TrainConfig(**{item.name: getattr(settings, item.name) for item in dataclasses.fields(TrainConfig)})


def flat(settings: Any) -> dict[str, Any]:
    """Full key → value, for tables and comparisons."""
    return {leaf.key: leaf.value for leaf in leaves(settings)}


def listed(value: Any) -> list[Any]:
    """A list as it is; any other value as a list of one."""
    return [*value] if isinstance(value, list | tuple) else [value]


def directories(run: Any) -> list[str]:
    """Those of a setting ``run``: one, several of an ensemble, or none of the built-in model."""
    return [] if run is None else [str(directory) for directory in listed(run)]


def written(value: Any) -> str:
    """A value as on the command line and in YAML: null, true, 0.001."""
    return json.dumps(value) if value is None or isinstance(value, bool) else str(value)


def keys_of(schema: type) -> list[str]:
    """Full keys of a schema and of those nested in it; a group's are those of its options."""
    return [leaf.key for leaf in leaves(schema()) if leaf.key not in GROUPS]


def training_keys() -> dict[str, str]:
    """Every full key that a training run can have → an option with that key, "GROUP=OPTION"."""
    keys = dict.fromkeys(keys_of(TrainConfig), "")
    for group, options in GROUPS.items():
        for name, schema in options.items():
            keys.update(dict.fromkeys((f"{group}.{key}" for key in keys_of(schema)), f"{group}={name}"))
    return keys
