"""Evaluation of a trained model: decode, detokenise, score against the raw reference, write it all down."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from seq2seq.data.batch import TokenizedPairs
from seq2seq.decoding.translator import Translation, Translator
from seq2seq.evaluation.metrics import Score, all_scores, bleu
from seq2seq.evaluation.teacher_forcing import perplexity, teacher_forced_loss
from seq2seq.runs.layout import CONFIG
from seq2seq.storage.atomic import write_text
from seq2seq.text.words import token_bleu


class Evaluation(NamedTuple):
    """What there is to say of a model on a test set."""

    name: str
    scores: dict[str, Score]
    length_ratio: float
    brevity_penalty: float
    tok_bleu: float  # torchtext's, token level
    teacher_forced_ppl: float
    sentences: int
    truncated: int  # sources longer than max_src_tokens
    sentences_per_second: float
    translations: list[Translation]


def evaluate(
    name: str,
    translator: Translator,
    src: Sequence[str],
    ref: Sequence[str],
    tgt_language: str,
    bootstrap: int = 1000,
) -> Evaluation:
    """Translate ``src`` and score it against ``ref``, raw lines both."""
    started = time.monotonic()
    translations = translator.translate(src)
    seconds = time.monotonic() - started
    hypotheses = [translation.text for translation in translations]
    tokenizers = translator.tokenizers
    pairs = TokenizedPairs(tokenizers.src.encode(src), tokenizers.tgt.encode(ref))
    loss = teacher_forced_loss(translator.model, pairs, translator.decode.batch_tokens)
    made_of = bleu(hypotheses, ref, tgt_language)
    return Evaluation(
        name=name,
        scores=all_scores(hypotheses, ref, tgt_language, bootstrap),
        length_ratio=made_of.length_ratio,
        brevity_penalty=made_of.brevity_penalty,
        tok_bleu=token_bleu(hypotheses, ref),
        teacher_forced_ppl=perplexity(loss),
        sentences=len(src),
        truncated=sum(translation.truncated for translation in translations),
        sentences_per_second=len(src) / seconds,
        translations=translations,
    )


def table(evaluation: Evaluation) -> str:
    """The scores as a table for people."""
    rows = []
    for name, score in evaluation.scores.items():
        interval = f"[{score.interval[0]:.1f}, {score.interval[1]:.1f}]" if score.interval else ""
        rows.append((name, f"{score.value:.2f}", interval, score.signature))
    rows += [
        ("tok_bleu", f"{evaluation.tok_bleu:.2f}", "", "token level (torchtext), not comparable with BLEU"),
        (
            "length ratio",
            f"{evaluation.length_ratio:.3f}",
            "",
            f"brevity penalty {evaluation.brevity_penalty:.3f}",
        ),
        ("perplexity", f"{evaluation.teacher_forced_ppl:.2f}", "", "teacher-forced, a target token"),
        ("sentences/s", f"{evaluation.sentences_per_second:.1f}", "", f"{evaluation.sentences:,} sentences"),
    ]
    if evaluation.truncated:
        rows.append(("truncated", f"{evaluation.truncated:,}", "", "sources longer than decode.max_src_tokens"))
    head = (evaluation.name, "value", "95% interval", "how")
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(3)]
    lines = [
        f"{name:<{widths[0]}}  {value:>{widths[1]}}  {interval:<{widths[2]}}  {how}"
        for name, value, interval, how in [head, *rows]
    ]
    return "\n".join([lines[0], "-" * max(map(len, lines)), *lines[1:]])


def write(evaluation: Evaluation, directory: Path) -> Path:
    """Write NAME.json, NAME.hyp (a translation a line) and NAME.align into ``directory``; gives the first."""
    directory.mkdir(parents=True, exist_ok=True)
    fields = evaluation._asdict()
    del fields["translations"]
    fields["scores"] = {name: score._asdict() for name, score in evaluation.scores.items()}
    path = directory / f"{evaluation.name}.json"
    write_text(path, json.dumps(fields, indent=2, ensure_ascii=False) + "\n")
    translations = evaluation.translations
    write_text(path.with_suffix(".hyp"), "".join(f"{translation.text}\n" for translation in translations))
    write_text(path.with_suffix(".align"), "".join(f"{pharaoh(translation)}\n" for translation in translations))
    return path


def pharaoh(translation: Translation) -> str:
    """Source-target piece pairs, "0-0 1-2 …": each target piece with the source piece it attends to most.

    A target piece that attends most to the source's </s> is left unaligned.
    """
    weights = translation.candidates[0].weights
    if weights.numel() == 0:
        return ""
    end = len(translation.src_pieces) - 1
    pairs = [(src, tgt) for tgt, src in enumerate(weights.argmax(dim=1).tolist()) if src != end]
    return " ".join(f"{src}-{tgt}" for src, tgt in sorted(pairs))


def evaluation_directory(checkpoint: Path) -> Path:
    """Where an evaluation is written: beside best/ and last/, or inside a copied checkpoint."""
    is_copy = not (checkpoint.parent / CONFIG).exists()
    return (checkpoint if is_copy else checkpoint.parent) / "evaluation"
