# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # From nothing to a trained translation model
#
# This notebook trains a translation model with attention and looks inside it. It shows the formulas
# beside the lines of code that compute them, the curves of the training, the attention, and the
# scores. You need Python, and seq2seq installed (`pip install .` in a checkout). Nothing is
# downloaded. On two cores it runs in a few minutes.
#
# `docs/tutorial.py` is the text of this notebook; `make notebook` runs it and writes
# `docs/tutorial.ipynb`. The [tutorial on the command line](tutorial.md) has the same commands and
# many more. Words such as *memory*, *query* and *read-out* are in the [glossary](glossary.md).

# %%
import inspect
import json
import os
import textwrap
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from IPython.display import Markdown, display

import seq2seq
from seq2seq.model import attention, decoder, encoder
from seq2seq.resources import shipped
from seq2seq.text.tokenizer import BOS, EOS

UPDATES = int(os.environ.setdefault("UPDATES", "600"))  # of the training below; fewer are quicker and worse
RUN = Path("runs/tutorial")

# %% [markdown]
# ## 1. A model to try at once
#
# A small model comes with seq2seq. It was trained on the *phrasebook*, a corpus of short everyday
# sentences that is built in, so it knows about 1,400 German words and no others.

# %%
translator = seq2seq.load()
for translation in translator.translate(["Der Hund schläft.", "Wir haben gestern ein neues Auto gekauft."]):
    print(translation.source, "→", translation)

# %% [markdown]
# Ask it for something that is in no phrase book, and it writes a fluent sentence about something
# else. A neural model always answers. Only a test on text like yours tells you how good the answers
# are.

# %%
print(*translator.translate(["Die Zentralbank senkt den Leitzins."]))

# %% [markdown]
# ## 2. The corpus
#
# Training needs pairs of sentences: two text files of equal length, a sentence a line. Three splits
# keep us honest. The model learns from *train*, *valid* chooses the best checkpoint, and *test* is
# looked at once, at the end.

# %%
PHRASEBOOK = shipped("data/phrasebook")
for split in ("train", "valid", "test"):
    source, target = ((PHRASEBOOK / f"{split}.{language}").read_text().splitlines() for language in ("de", "en"))
    print(f"{split}: {len(source):,} pairs, such as: {source[0]} → {target[0]}")

# %% [markdown]
# Check a corpus before you train on it: lines that are empty, doubled, in the wrong place or in the
# wrong language cost more quality than any setting.

# %% language="bash"
# seq2seq check-data

# %% [markdown]
# The model does not see words, but *pieces* of words (subwords). Frequent words are one piece, rare
# ones several, so that no word is unknown. `▁` stands for the space before a word.

# %%
pieces = translator.tokenizers.src
print(pieces.pieces(pieces.encode(["Der Kühlschrank steht neben dem Fenster."])[0]))

# %% [markdown]
# ## 3. The formulas, and the lines that implement them
#
# On the left the formula, on the right the line of the source that computes it, read from the
# installed package while this notebook ran. Column vectors, one sentence: $h_1 \dots h_N$ are the
# encoder's states, $s_t$ is the decoder's.


# %%
def beside(*rows: tuple[str, object, str]) -> None:
    """Show formulas beside the lines of the source, given by the function and how the line begins."""
    table = ["| formula | line | in |", "| :--- | :--- | :--- |"]
    for formula, function, beginning in rows:
        lines = [line.strip() for line in inspect.getsource(function).splitlines()]
        line = next(line for line in lines if line.startswith(beginning)).partition("  #")[0]
        table.append(f"| ${formula}$ | `{line}` | `{function.__qualname__}` |")
    display(Markdown("\n".join(table)))


# %% [markdown]
# **The encoder** reads the sentence in both directions. Each state knows its word and what is
# around it.

# %%
beside(
    (
        r"\overrightarrow{h}_i = \mathrm{GRU}(\overrightarrow{h}_{i-1}, x_i), \quad "
        r"\overleftarrow{h}_i = \mathrm{GRU}(\overleftarrow{h}_{i+1}, x_i)",
        encoder.Encoder.forward,
        "packed_states",
    ),
    (
        r"s_0 = \tanh(W_{init} [\overrightarrow{h}_N ; \overleftarrow{h}_1])",
        encoder.Bridge.forward,
        "start",
    ),
)

# %% [markdown]
# **Attention** asks, at each step: which source words matter now? The query is a state of the
# decoder. It is scored against each state of the encoder. This is all in which the variants differ.

# %%
beside(
    (r"e_{ti} = h_i^\top s_t \quad \text{(Luong, dot)}", attention.LuongDot.scores, "return"),
    (r"e_{ti} = h_i^\top W s_t \quad \text{(Luong, general)}", attention.LuongGeneral.scores, "return"),
    (r"W_c h_i \quad \text{(once for each source)}", attention.Additive.keys, "keys"),
    (r"\tanh(W_b s_{t-1} + W_c h_i)", attention.Additive.scores, "energy"),
    (r"e_{ti} = w_a^\top \tanh(\dots) \quad \text{(Bahdanau)}", attention.Additive.scores, "scores"),
)

# %% [markdown]
# Softmax turns the scores into weights that sum to 1, and padding gets weight 0. The *context* is
# the weighted sum of the encoder's states.

# %%
beside(
    (r"\alpha_t = \mathrm{softmax}(e_t)", attention.Attention.forward, "weights"),
    (r"a_t = \sum_i \alpha_{ti} h_i", attention.Attention.forward, "contexts"),
)

# %% [markdown]
# **The decoder** has one recurrence for all variants. What it attended to and the word before give
# the new state, which attends again.

# %%
beside(
    (r"[\mathrm{attend}(s_{t-1}) ; y_{t-1}]", decoder.Decoder.next_state, "inputs"),
    (r"s_t = \mathrm{GRU}(s_{t-1}, [\dots])", decoder.Decoder.next_state, "hidden"),
    (r"\mathrm{attend}(s_t)", decoder.Decoder.next_state, "context"),
    (
        r"\text{Luong reads out } \mathrm{attend}(s_t)\text{, Bahdanau } \mathrm{attend}(s_{t-1})",
        decoder.Decoder.step,
        "read =",
    ),
    (r"\tilde{s}_t = \tanh(W_v [s_t ; a_t])", decoder.Decoder._read_out, "readout"),
    (r"\text{logits} = W_o \tilde{s}_t + b", decoder.Decoder.step, "logits"),
)

# %% [markdown]
# Here is that recurrence as a whole:

# %%
display(Markdown(f"```python\n{textwrap.dedent(inspect.getsource(decoder.Decoder.next_state))}\n```"))

# %% [markdown]
# Do the lines really compute the formulas? We compute the first attention of a sentence with NumPy,
# straight from the formulas, and compare. (In the code, the parameter is $\sqrt{M} W$; the class
# says why.)

# %%
model = translator.model
ids = torch.tensor([[*pieces.encode(["Der Hund schläft."])[0], EOS]])
with torch.no_grad():
    decoding = model.encode(ids, torch.ones_like(ids, dtype=torch.bool))
H = decoding.memory.values[0].numpy()  # a row for each source piece
s = decoding.state.hidden[0].numpy()
W = (model.decoder.attention.query.weight * model.decoder.attention.scale).detach().numpy()

e = np.array([h @ (W @ s) for h in H])
α = np.exp(e) / np.exp(e).sum()
a = sum(weight * h for weight, h in zip(α, H, strict=True))

print("largest difference of a weight ", np.abs(α - decoding.state.weights[0].numpy()).max())
print("largest difference of a context", np.abs(a - decoding.state.context[0].numpy()).max())
assert np.allclose(α, decoding.state.weights[0], atol=1e-5)
assert np.allclose(a, decoding.state.context[0], atol=1e-4)

# %% [markdown]
# ## 4. Train
#
# One command. `experiment=phrasebook` sets the sizes; what follows overrides single settings: a
# learning rate that falls to 0 at the end of this short run, and a validation every sixth of it,
# each of which keeps a checkpoint. `seq2seq train --help` explains every setting.

# %% language="bash"
# seq2seq train experiment=phrasebook name=tutorial overwrite=true trainer.max_steps=$UPDATES \
#     schedule=linear schedule.warmup_steps=$((UPDATES / 10)) \
#     trainer.validate_unit=steps trainer.validate_every=$((UPDATES / 6)) trainer.keep_last=6 trainer.log_every=10

# %% [markdown]
# All of it is in `runs/tutorial`: checkpoints, curves, the log, and the settings. The same command
# resumes a run that was stopped or killed (without `overwrite=true`, which starts over).

# %% [markdown]
# ## 5. The curves, and how to read them

# %%
rows = [json.loads(line) for line in (RUN / "metrics.jsonl").read_text().splitlines()]


def plot(axes: plt.Axes, kind: str, name: str, style: str = "-") -> None:
    """Draw a value of training or validation over updates."""
    points = [(row["step"], row[name]) for row in rows if row["kind"] == kind]
    axes.plot(*zip(*points, strict=True), style, label=f"{kind} {name}")


figure, panels = plt.subplots(1, 4, figsize=(14, 2.8), dpi=64, layout="constrained")
plot(panels[0], "train", "loss")
plot(panels[0], "valid", "loss", "o-")
plot(panels[1], "valid", "bleu", "o-")
plot(panels[1], "valid", "chrf", "o-")
plot(panels[2], "train", "lr")
plot(panels[3], "train", "grad_norm")
for axes in panels:
    axes.set_xlabel("updates")
    axes.legend()
    axes.grid(alpha=0.3)

# %% [markdown]
# **Loss** is the mean negative log-likelihood of a target token, in nats, while the decoder is fed
# the reference (*teacher forcing*). It begins near $\ln V$, the loss of guessing among the $V$
# pieces of the vocabulary, and should fall fast, then slowly.
#
# - *Both fall*: the model learns. If they still fall at the end, train longer.
# - *train falls, valid rises*: it learns the training text by heart. More dropout, fewer epochs, or
#   more data.
# - *train above valid*: dropout is on in training and off in validation, and the validated weights
#   are an average of those of training. All is well.
# - *Neither falls*: see [troubleshooting](troubleshooting.md).
#
# **BLEU and chrF** compare what search writes, without seeing the reference, with the reference.
# BLEU counts equal sequences of 1 to 4 words, chrF of 1 to 6 letters. BLEU stays near 0 until whole
# phrases are right, and then rises fast; chrF shows progress earlier. Loss may get worse while BLEU
# still improves; the checkpoint with the best `trainer.metric` is kept in `best/`.
#
# **The learning rate** rises while the model is far from anything useful, and falls at the end.
# Much of the gain of a short run comes from the fall.
#
# **The norm of the gradient** is high at first. Gradients longer than `trainer.clip_norm` are
# shortened to it. A norm that keeps growing is a sign of a learning rate that is too high.
#
# `runs/tutorial/report.html` has these curves, translations of the same sentences over time with a
# slider for their attention, and where the time went. `runs/tutorial/curves.png` has the first
# three, and `tensorboard --logdir runs` has all of them while a run is in progress. There, *target
# tokens a second* shows the speed: a fall means that another program needs the processor.

# %% [markdown]
# ## 6. Attention, and how to read it
#
# A row for each piece of the translation, a column for each piece of the source. Dark cells show
# where the decoder looked when it wrote the row; each row sums to 1.

# %%
SOURCE, REFERENCE = "Gestern hat der Arzt seinen Schlüssel verloren.", "Yesterday the doctor lost his key."


def weights(translator: seq2seq.Translator, source: str, target: str) -> tuple[torch.Tensor, list[str], list[str]]:
    """Attention (T, S) of a model that is fed ``target``; and the pieces of source and target."""
    pair = translator.tokenizers
    src, tgt = [*pair.src.encode([source])[0], EOS], pair.tgt.encode([target])[0]
    inputs = torch.tensor([src])
    with torch.no_grad():
        output = translator.model.eval()(inputs, inputs >= 0, torch.tensor([[BOS, *tgt]]))
    return output.weights[0], pair.src.pieces(src), pair.tgt.pieces([*tgt, EOS])


def heatmap(axes: plt.Axes, shown: torch.Tensor, src: list[str], tgt: list[str], title: str) -> None:
    """Draw attention."""
    axes.imshow(shown, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    axes.set_xticks(range(len(src)), src, rotation=60, ha="right")
    axes.set_yticks(range(len(tgt)), tgt)
    axes.set_title(title)


figure, axes = plt.subplots(figsize=(6, 4), dpi=64, layout="constrained")
heatmap(axes, *weights(seq2seq.load(RUN), SOURCE, REFERENCE), "best checkpoint")

# %% [markdown]
# - A *diagonal* means that the words come in the same order.
# - A cell *off the diagonal* shows a word that moved. German puts *verloren* at the end, English
#   writes *lost* in the middle.
# - A row spread over *several cells* takes its meaning from several words: *lost* is *hat …
#   verloren*.
# - The column of `</s>` and of the full stop collect attention when there is nothing to look at.
# - *Every row in one column*, or *every row the same*, means that attention has not learned
#   anything; so do rows of equal grey.
#
# Weights show where the decoder looked, not why it chose a word: the state carries information of
# its own. Luong's weights belong to the word in their row. Bahdanau's are computed before the word
# is fed in, so that they may seem one step early or late.
#
# The checkpoints of this run show how the alignment forms. Each model is fed the same reference.

# %%
steps = sorted(int(path.name.removeprefix("step-")) for path in RUN.glob("step-*"))
figure, panels = plt.subplots(1, 3, figsize=(14, 3.6), dpi=64, sharey=True, layout="constrained")
for axes, step in zip(panels, (steps[0], steps[1], steps[-1]), strict=True):
    heatmap(axes, *weights(seq2seq.load(RUN / f"step-{step}"), SOURCE, REFERENCE), f"update {step}")

# %% [markdown]
# ## 7. The evaluation and its report

# %% language="bash"
# seq2seq evaluate run=runs/tutorial
# ls runs/tutorial/evaluation/test

# %% [markdown]
# **BLEU** of 0 to 100; the interval says how much of it is chance: 95 of 100 test sets drawn from
# these sentences anew (bootstrap) score within it. Compare only scores with the same signature.
# **chrF2** is kinder to words that are nearly right, **TER** counts edits, and lower is better. A
# **length ratio** below 1 means that translations are too short, which the *brevity penalty*
# punishes.
#
# `report.html` in that directory is one page to open in a browser, without a network. How to read
# it:
#
# - *Sentences by chrF*: how many sentences are how good. Two hills, one near 100 and one low, mean
#   that the model either knows a kind of sentence or does not; look for what the bad ones share.
# - *BLEU by source length*: a fall at the right end means that long sentences are worse than short
#   ones, as usual in recurrent models. A steep fall suggests that training has few of them.
# - *Words by how often training has seen them*: the share of these words that are right. If only
#   the rare ones are bad, you need more data, or smaller pieces.
# - *What may be wrong*: empty, repeated, copied, with unknown words, too short or too long.
#   [Troubleshooting](troubleshooting.md) has the settings to change for each.
# - *The worst and the best sentences*, with the differences marked and the attention on demand:
#   read them all. No number replaces that.
#
# The same in a few lines, for this run: some sentences that are not as the reference has them.

# %%
source, target = ((PHRASEBOOK / f"test.{language}").read_text().splitlines() for language in ("de", "en"))
translations = (RUN / "evaluation" / "test" / "translations.txt").read_text().splitlines()
wrong = [row for row in zip(source, target, translations, strict=True) if row[1] != row[2]]
print(f"{len(wrong)} of {len(source)} differ")
for src, ref, hyp in wrong[:5]:
    print(f"\nsource      {src}\nreference   {ref}\ntranslation {hyp}")

# %% [markdown]
# ## 8. Use it
#
# In Python, or in a shell: `seq2seq translate run=runs/tutorial < text.de`. The candidates of a
# translation are the ends of the search; their score is the log-probability, divided by a power of
# the length. The first is still wrong: this model has seen each sentence about once.
# `experiment=phrasebook` alone trains four times as long; the built-in model, which did, writes
# *lost*.

# %%
for candidate in seq2seq.load(RUN, num_best=3).translate([SOURCE])[0].candidates:
    print(f"{candidate.score:7.3f}  {candidate.text}")

# %% [markdown]
# ## Where next
#
# - [Your own data](tutorial.md#your-own-data), and sweeps over settings.
# - Try `attention=bahdanau` in the command above, and look at its heatmap.
# - Read `seq2seq/model/attention.py` and `decoder.py` in full: a few minutes each.
#   [Architecture](architecture.md) says what to read after that.
# - When something does not work: [troubleshooting](troubleshooting.md).
