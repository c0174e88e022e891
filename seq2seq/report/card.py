"""The model card: best/README.md, in the format that model hubs read, for whoever gets the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from seq2seq.evaluation.metrics import signatures
from seq2seq.runs.card import write_card
from seq2seq.runs.layout import BEST, CONFIG, run_of
from seq2seq.runs.sources import read_corpus
from seq2seq.runs.table import NAMES, duration
from seq2seq.settings.compose import read_train_config
from seq2seq.settings.schema import BahdanauConfig, LuongConfig, TrainConfig, directories
from seq2seq.tables import markdown

CARD = """\
---
{front}license: unknown  # fill in, such as mit or cc-by-4.0; the licence of the data may limit the choice
---

# {title}

A recurrent translation model from `{src}` into `{tgt}`, trained by seq2seq {version}.

## Scores

On the validation split, {pairs} sentences, by {search}, after update {step}:

{scores}

This checkpoint was chosen by its {metric} on these sentences, so expect a little less on others;
`seq2seq evaluate` scores a test set.

## Use

In the directory above this one, if it is called `best`:

    seq2seq translate run=best < text.{src} > text.{tgt}

```python
import seq2seq

translator = seq2seq.load("best")
print(*translator.translate(["…"]))
```

This directory needs nothing outside itself. seq2seq checks its files against `checkpoint.json` before it
uses them, except for this one, which is yours to edit.

## Model

{model}

## Data

{data}

## Training

{training}

All settings are in `config.yaml`.

## Limits

- It was trained on sentences like those above. Other kinds of text it translates worse, and nothing warns of it.
- It translates a sentence at a time and knows nothing of the ones before. A line is a sentence.
- It reads at most {longest} tokens of a line, and saw none over {seen} in training.
- As other such models do, it may leave out, repeat or invent things, fluently, and get names and numbers wrong.
- What is biased or wrong in the data may be in the translations.

## Licence

Not filled in: whoever publishes the model says here, and in the first lines, under which licence.
"""

DATA = {
    "phrasebook": "the phrasebook that is built into seq2seq",
    "multi30k": "Multi30k, task 1: captions of images",
    "files": "files of whoever trained the model, to be described here",
}


def write(run: Path, result: Mapping[str, Any]) -> None:
    """Write the card of the best checkpoint of ``run``, which has ended with ``result``, unless it was edited.

    Raises:
        CheckpointError: a file of the run can't be read.
    """
    config, corpus = read_train_config(run / CONFIG), read_corpus(run)
    write_card(run / BEST, card(run.name, config, corpus, result))


def card(name: str, config: TrainConfig, corpus: Mapping[str, Any], result: Mapping[str, Any]) -> str:
    """The text of the card. Of files it has the names, and not where they are."""
    src, tgt = _plain(config.data.src), _plain(config.data.tgt)
    used = {split["name"]: split["used"] for split in corpus["splits"]}
    front = {
        "language": [config.data.src, config.data.tgt],
        "library_name": "seq2seq-nmt",
        "pipeline_tag": "translation",
        "tags": ["translation", "seq2seq", "gru", config.attention.name],
        "metrics": [*signatures()],
    }
    return CARD.format(
        front=yaml.safe_dump(front, sort_keys=False, allow_unicode=True),
        title=markdown(name),
        src=src,
        tgt=tgt,
        version=corpus["version"],
        pairs=f"{used['valid']:,}",
        search=_search(config.trainer.valid_beam_size),
        step=f"{result['best_step']:,}",
        scores=_listed(_scores(result["best"], config.data.tgt)),
        metric=NAMES.get(config.trainer.metric, config.trainer.metric),
        model=_listed([architecture(config), f"{result['parameters']:,} parameters", vocabulary(config, corpus)]),
        data=_listed(_data(config, corpus)),
        training=_listed(_training(config, result)),
        longest=f"{config.decode.max_src_tokens:,}",
        seen=f"{config.data.max_length:,}",
    )


def _plain(code: str) -> str:
    """The code of a language as part of a command."""
    return "".join(c if c.isalnum() else "-" for c in code)


def _listed(lines: list[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _search(beam_size: int) -> str:
    return "greedy search" if beam_size == 1 else f"search with a beam of {beam_size}"


def best_scores(metrics: Mapping[str, float]) -> str:
    """The metrics of a validation in a line."""
    return (
        f"BLEU {metrics['bleu']:.2f}, chrF {metrics['chrf']:.2f}, loss {metrics['loss']:.3f}, "
        f"perplexity {metrics['ppl']:.2f}"
    )


def _scores(metrics: Mapping[str, float], tgt: str) -> list[str]:
    signed = [f"{NAMES[name]} {metrics[name]:.2f}, `{signature}`" for name, signature in signatures(tgt).items()]
    return [*signed, f"teacher-forced perplexity {metrics['ppl']:.2f} a target token"]


def architecture(config: TrainConfig) -> str:
    """What the model is made of, in a line."""
    model = config.model
    deep = f", {model.decoder_transitions} transitions a step" if model.decoder_transitions > 1 else ""
    return (
        f"bidirectional GRU encoder (2 × {model.encoder_size}, {_layers(model.encoder_layers)}), GRU decoder "
        f"({model.decoder_size}, {_layers(model.decoder_layers)}{deep}), {attention(config)} attention, "
        f"word embeddings of {model.embedding_size}"
    )


def _layers(number: int) -> str:
    return f"{number} layer{'s' * (number > 1)}"


def attention(config: TrainConfig) -> str:
    """The attention's name, as in papers, and its score or size."""
    if isinstance(config.attention, LuongConfig):
        return f"Luong ({config.attention.score})"
    assert isinstance(config.attention, BahdanauConfig)
    return f"Bahdanau ({config.attention.size})"


def vocabulary(config: TrainConfig, corpus: Mapping[str, Any]) -> str:
    """What the tokens are, and how many, in a line."""
    unit = "words" if config.tokenizer.name == "word" else f"{config.tokenizer.name} pieces"
    sizes = [f"{size:,}" for size in corpus["vocabulary"]]
    return f"{sizes[0]} {unit} for both languages" if len(sizes) == 1 else f"{' and '.join(sizes)} {unit}"


def parent_runs(config: TrainConfig) -> list[Path]:
    """The runs whose weights the training started from, if any."""
    return [run_of(Path(name)) for name in directories(config.init_from)]


def weights_of(parents: Sequence[object]) -> str:
    """What a training takes of its ``parents``, in words."""
    return "the mean of the weights" if len(parents) > 1 else "the weights"


def _data(config: TrainConfig, corpus: Mapping[str, Any]) -> list[str]:
    splits = [
        f"{markdown(Path(split['name']).name)}: {split['used']:,} of {split['read']:,} pairs"
        for split in corpus["splits"]
    ]
    files = [
        f"{markdown(Path(file['file']).name)} ({file['key']}), SHA-256 {file['sha256']}"
        for file in corpus["files"]
    ]
    return [DATA[config.data.name], *splits, *files]


def _training(config: TrainConfig, result: Mapping[str, Any]) -> list[str]:
    trainer, dropout = config.trainer, config.model.dropout
    parents = [markdown(run.name) for run in parent_runs(config)]
    weights = weights_of(parents)
    return [
        *[f"started from {weights} and from the vocabulary of {' and '.join(parents)}"] * bool(parents),
        f"{result['steps']:,} updates in {duration(result['seconds'])}; epochs completed: {result['epochs']:,}; "
        f"ended by {markdown(result['stopped'])}",
        f"{config.optimizer.name}, learning rate {config.optimizer.lr:g}, schedule {config.schedule.name}, "
        f"{trainer.batch_tokens:,} padded tokens a batch × {trainer.accumulate}",
        f"dropout {dropout.embedding:g} (embeddings), {dropout.readout:g} (read-out); label smoothing "
        f"{trainer.label_smoothing:g}; average of weights: {trainer.average}; seed {config.seed}",
    ]
