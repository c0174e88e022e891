"""Validation: teacher-forced loss and decoded scores, by the same path as the final evaluation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple

from seq2seq.data.corpus import ParallelText
from seq2seq.decoding.translator import Translation, Translator
from seq2seq.distributed.group import ALONE, Group
from seq2seq.evaluation.metrics import bleu, chrf
from seq2seq.evaluation.teacher_forcing import perplexity, teacher_forced_loss
from seq2seq.precision import Precision

ProgressBar = Callable[[int], AbstractContextManager[Callable[[int], object]]]
"""Takes the number of sentences; yields a function to call with how many more of them are done."""


class ValidationResult(NamedTuple):
    """The results of one validation."""

    metrics: dict[str, float]  # loss, ppl (teacher-forced); bleu, chrf, length_ratio, brevity_penalty (decoded)
    translations: list[Translation]

    def __str__(self) -> str:
        loss, ppl, bleu, chrf = (self.metrics[name] for name in ("loss", "ppl", "bleu", "chrf"))
        return f"loss {loss:.3f}, ppl {ppl:.2f} (teacher-forced), BLEU {bleu:.2f}, chrF {chrf:.2f}"


class Validator:
    """Validates on one split."""

    def __init__(
        self, text: ParallelText, translator: Translator, tgt_language: str, group: Group = ALONE
    ) -> None:
        """The processes of ``group`` share the sentences."""
        self.group = group
        self.text = text
        self.pairs, _ = translator.encode_pairs(text.src, text.tgt)
        self.translator = translator
        self.tgt_language = tgt_language

    def validate(self, progress: ProgressBar) -> ValidationResult:
        """Score the translator's model as it is now; this leaves it in evaluation mode.

        All processes get the metrics, rank 0 alone the translations.
        """
        batch_tokens = self.translator.decode.batch_tokens
        loss = teacher_forced_loss(self.translator.models, self.pairs, batch_tokens, self.group)
        self.translator.prepare()  # the weights have changed
        with progress(len(self.group.share(self.text.src))) as advance:
            translations, decoded = self._decoded(self.translator, advance)
        return ValidationResult({"loss": loss, "ppl": perplexity(loss), **decoded}, translations)

    def bleu(self, precision: Precision) -> float:
        """BLEU of search in ``precision``, with the weights as they are now."""
        return self._decoded(self.translator.in_precision(precision))[1]["bleu"]

    def _decoded(
        self, translator: Translator, advance: Callable[[int], object] | None = None
    ) -> tuple[list[Translation], dict[str, float]]:
        translations = self.group.shared_out(self.text.src, lambda lines: translator.translate(lines, advance))
        return translations, self.group.once(lambda: _scores(translations, self.text.tgt, self.tgt_language))


def _scores(translations: Sequence[Translation], references: Sequence[str], language: str) -> dict[str, float]:
    hypotheses = [translation.text for translation in translations]
    score = bleu(hypotheses, references, language)
    return {
        "bleu": score.value,
        "chrf": chrf(hypotheses, references),
        "length_ratio": score.length_ratio,
        "brevity_penalty": score.brevity_penalty,
    }
