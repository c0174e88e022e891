"""Validation: teacher-forced loss and decoded scores, by the same path as the final evaluation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch

from seq2seq.data.batch import TokenizedPairs
from seq2seq.data.corpus import ParallelText
from seq2seq.data.loader import bucket, gather
from seq2seq.data.tokenizer_pair import TokenizerPair
from seq2seq.metrics import bleu, chrf
from seq2seq.model.seq2seq import Seq2Seq, parameter_device
from seq2seq.training.loss import output_loss
from seq2seq.translator import Translation, Translator


class ValidationResult(NamedTuple):
    """What one validation found."""

    metrics: dict[str, float]  # loss, ppl (teacher-forced); bleu, chrf, length_ratio, brevity_penalty (decoded)
    translations: list[Translation]


@torch.inference_mode()
def teacher_forced_loss(model: Seq2Seq, pairs: TokenizedPairs, max_tokens: int) -> float:
    """Negative log-likelihood a target token (sentence ends counted), given the reference before it."""
    model.eval()
    device = parameter_device(model)
    total, num_tokens = 0.0, 0
    for indices in bucket(pairs, max_tokens):
        batch = gather(pairs, indices).to(device)
        places, targets = batch.targets
        readout = model(batch.src, batch.src_mask, batch.tgt_in).readout.flatten(0, 1).index_select(0, places)
        total += float(output_loss(model.decoder.output, readout, targets).nll)
        num_tokens += len(targets)
    return total / num_tokens


class Validator:
    """Validates on one split."""

    def __init__(
        self,
        text: ParallelText,
        tokenizers: TokenizerPair,
        translator: Translator,
        max_tokens: int,
        tgt_language: str,
    ) -> None:
        self.text = text
        self.pairs = TokenizedPairs(tokenizers.src.encode(text.src), tokenizers.tgt.encode(text.tgt))
        self.translator = translator
        self.max_tokens = max_tokens
        self.tgt_language = tgt_language

    def validate(self) -> ValidationResult:
        """Score the translator's model as it is now; it is left in evaluation mode."""
        loss = teacher_forced_loss(self.translator.model, self.pairs, self.max_tokens)
        translations = self.translator.translate(self.text.src)
        metrics = {
            "loss": loss,
            "ppl": perplexity(loss),
            **_decoded(translations, self.text.tgt, self.tgt_language),
        }
        return ValidationResult(metrics, translations)


def _decoded(translations: Sequence[Translation], references: Sequence[str], language: str) -> dict[str, float]:
    hypotheses = [translation.text for translation in translations]
    score = bleu(hypotheses, references, language)
    return {
        "bleu": score.value,
        "chrf": chrf(hypotheses, references),
        "length_ratio": score.length_ratio,
        "brevity_penalty": score.brevity_penalty,
    }


def perplexity(loss: float) -> float:
    """exp(loss), infinite where that overflows."""
    return math.exp(loss) if loss < 700 else math.inf
