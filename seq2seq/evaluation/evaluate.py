"""Evaluation of a trained model: translate, score against the raw references, write the results."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import ZipFile

from seq2seq.decoding.attention_files import write_weights
from seq2seq.decoding.translator import Translation, Translator
from seq2seq.decoding.word_attention import WordAttention, pharaoh
from seq2seq.evaluation.alignment import AlignmentScores, Gold, alignment_scores, forced_links
from seq2seq.evaluation.metrics import Score, all_scores, bleu
from seq2seq.evaluation.teacher_forcing import perplexity, teacher_forced_loss
from seq2seq.runs.layout import ALIGNMENTS, ATTENTION, REPORT, SCORES, TRANSLATIONS
from seq2seq.storage.atomic import atomic_directory, write_json, write_text
from seq2seq.tables import table
from seq2seq.text.words import token_bleu

FILES = SCORES, TRANSLATIONS, ALIGNMENTS, REPORT


class ShortlistEffect(NamedTuple):
    """The translations with decode.shortlist compared with those of search over the whole vocabulary."""

    unchanged: float  # share of the sentences
    bleu_difference: float  # with minus without


class Evaluation(NamedTuple):
    """The results of a model on a test set."""

    scores: dict[str, Score]
    length_ratio: float
    brevity_penalty: float
    tok_bleu: float  # torchtext's, token level
    teacher_forced_ppl: float
    sentences: int
    truncated: int  # sources longer than max_src_tokens, cut to that for perplexity too
    truncated_references: int  # for perplexity alone
    seconds: float  # to translate
    sentences_per_second: float
    translations: list[Translation]
    attention: list[WordAttention]  # of each translation, between its words
    shortlist: ShortlistEffect | None = None  # if one was used
    alignment: AlignmentScores | None = None  # of the references, if gold links were given


def evaluate(
    translator: Translator,
    src: Sequence[str],
    ref: Sequence[str],
    tgt_language: str,
    bootstrap: int = 1000,
    gold: Sequence[Gold] | None = None,
) -> Evaluation:
    """Translate the raw lines ``src`` and score them against the raw lines ``ref``.

    If the translator has a shortlist, they are translated without it too, and the two are compared.
    With ``gold`` links between the words of ``src`` and ``ref``, the model's attention is scored against them.

    Raises:
        DecodingError: the model's logits are not finite.
    """
    started = time.monotonic()
    translations = translator.translate(src)
    seconds = time.monotonic() - started
    hypotheses = [translation.text for translation in translations]
    pairs, truncated_references = translator.encode_pairs(src, ref)
    loss = teacher_forced_loss(translator.models, pairs, translator.decode.batch_tokens)
    parts = bleu(hypotheses, ref, tgt_language)
    return Evaluation(
        scores=all_scores(hypotheses, ref, tgt_language, bootstrap),
        length_ratio=parts.length_ratio,
        brevity_penalty=parts.brevity_penalty,
        tok_bleu=token_bleu(hypotheses, ref),
        teacher_forced_ppl=perplexity(loss),
        sentences=len(src),
        truncated=sum(translation.truncated for translation in translations),
        truncated_references=truncated_references,
        seconds=seconds,
        sentences_per_second=len(src) / seconds,
        translations=translations,
        attention=[translator.word_attention(translation) for translation in translations],
        shortlist=_effect(translator, src, ref, tgt_language, hypotheses, parts.value),
        alignment=None if gold is None else alignment_scores(forced_links(translator, pairs, src, ref), gold),
    )


def _effect(
    translator: Translator, src: Sequence[str], ref: Sequence[str], language: str, with_it: list[str], score: float
) -> ShortlistEffect | None:
    if translator.shortlist is None:
        return None
    without = [translation.text for translation in translator.without_shortlist().translate(src)]
    unchanged = sum(map(str.__eq__, with_it, without)) / len(src)
    return ShortlistEffect(unchanged, score - bleu(without, ref, language).value)


def report(result: Evaluation) -> str:
    """The scores as a table for people, at most 80 columns wide, with sacreBLEU's signatures below."""
    rows = [("", "value", "95% interval", "")]
    for number, (name, score) in enumerate(result.scores.items(), 1):
        interval = f"[{score.interval[0]:.1f}, {score.interval[1]:.1f}]" if score.interval else ""
        rows.append((name, f"{score.value:.2f}", interval, f"signature {number}"))
    rows += [(name, value, "", meaning) for name, value, meaning in measures(result)]
    signatures = [f"{number} {score.signature}" for number, score in enumerate(result.scores.values(), 1)]
    return "\n".join([*table(rows, "<><<"), *signatures])


def measures(result: Evaluation) -> list[tuple[str, str, str]]:
    """What else than scores was measured, for people: name, value and meaning."""
    rows = [
        ("tok_bleu", f"{result.tok_bleu:.2f}", "torchtext's, not comparable with BLEU"),
        ("length ratio", f"{result.length_ratio:.3f}", f"brevity penalty {result.brevity_penalty:.3f}"),
        ("perplexity", f"{result.teacher_forced_ppl:.2f}", "teacher-forced, a target token"),
        ("sentences/s", f"{result.sentences_per_second:.1f}", f"{result.sentences:,} sentences"),
    ]
    if result.shortlist:
        unchanged, difference = result.shortlist
        rows += [
            ("unchanged", f"{100 * unchanged:.1f}%", "of the sentences, by the shortlist"),
            ("BLEU gained", f"{difference:+.2f}", "by the shortlist"),
        ]
    if result.alignment:
        error_rate, precision, recall = (f"{100 * value:.2f}" for value in result.alignment)
        rows.append(("AER", error_rate, f"precision {precision}, recall {recall}, of references"))
    if result.truncated:
        rows.append(("truncated", f"{result.truncated:,}", "sources, at decode.max_src_tokens"))
    return rows


def write(
    directory: Path, result: Evaluation, record: Mapping[str, Any], page: str, weights: bool = False
) -> list[str]:
    """Write the results and the ``record`` of how they were measured; an earlier equal evaluation is replaced.

    ``directory`` then has scores.json, report.html (``page``) and, with a line for each sentence, translations.txt
    and alignments.txt (between words, in Pharaoh's format); with ``weights``, also weights.npz. Their names are
    returned.
    """
    fields = {**record, **result._asdict(), "scores": {name: s._asdict() for name, s in result.scores.items()}}
    del fields["translations"], fields["attention"]
    for name in ("shortlist", "alignment"):
        if part := fields.pop(name):
            fields[name] = part._asdict()
    texts = {
        TRANSLATIONS: "\n".join(translation.text for translation in result.translations),
        ALIGNMENTS: "\n".join(map(pharaoh, result.attention)),
    }
    with atomic_directory(directory) as temporary:
        write_json(temporary / SCORES, fields)
        for name, text in texts.items():
            write_text(temporary / name, text + "\n")
        write_text(temporary / REPORT, page)
        if weights:
            _write_weights(temporary / ATTENTION, result)
        return [*FILES, ATTENTION] if weights else [*FILES]


def _write_weights(path: Path, result: Evaluation) -> None:
    with ZipFile(path, "w") as archive:
        for number, (words, translation) in enumerate(zip(result.attention, result.translations, strict=True), 1):
            write_weights(archive, number, words, translation, translation.candidates[0])
