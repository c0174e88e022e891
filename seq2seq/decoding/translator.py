"""Text in, translations out, in the order given."""

from __future__ import annotations

import copy
import dataclasses
import logging
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from seq2seq.data.batch import TokenizedPairs, pad
from seq2seq.data.loader import bucket
from seq2seq.decoding.ensemble import Prepared, PreparedEnsemble
from seq2seq.decoding.prepared import PreparedModel
from seq2seq.decoding.search import Hypothesis, SpecialTokens, max_length, search
from seq2seq.decoding.shortlist import Shortlist
from seq2seq.decoding.word_attention import WordAttention, word_attention
from seq2seq.decoding.workers import check_workers, largest_batch, num_workers, searched
from seq2seq.model.seq2seq import Seq2Seq, parameter_device
from seq2seq.precision import FP32, Precision
from seq2seq.settings.rules import check_decode
from seq2seq.settings.schema import DecodeConfig
from seq2seq.storage.rows import Rows
from seq2seq.text.tokenizer import BOS, EOS, PAD, UNK
from seq2seq.text.tokenizer_pair import TokenizerPair

logger = logging.getLogger(__name__)


class Candidate(NamedTuple):
    """One translation of a line.

    Attributes:
        text: plain text, without line breaks.
        score: by which search ranks: the log-probability with its length and coverage penalties.
        log_prob: natural logarithm of the text's probability, given the source.
        pieces: the words or subwords of the text; with ``replace_unk``, also what takes the place of <unk>.
        weights: attention weights (pieces, source pieces); each row sums to 1.
    """

    text: str
    score: float
    log_prob: float
    pieces: list[str]
    weights: Tensor


class Translation(NamedTuple):
    """A line and its translations; ``str(translation)`` is the text of the best.

    Attributes:
        source: the line as it was given.
        src_pieces: its words or subwords, and the sentence end </s>, to which the model attends too.
        candidates: ``num_best`` translations, best first; for a blank line, one with an empty text.
        truncated: whether the line had more than ``max_src_tokens`` tokens and was cut.
    """

    source: str
    src_pieces: list[str]
    candidates: list[Candidate]
    truncated: bool

    @property
    def text(self) -> str:
        """The text of the best translation."""
        return self.candidates[0].text

    def __str__(self) -> str:
        return self.text


EMPTY = Candidate("", 0.0, 0.0, [], torch.zeros(0, 0))


class Translator:
    """A trained model, its tokenizers and the settings of search. ``seq2seq.load`` makes one from a run.

    Attributes:
        models: the model, or several that translate together as an ensemble.
    """

    def __init__(
        self,
        model: Seq2Seq,
        tokenizers: TokenizerPair,
        decode: DecodeConfig,
        precision: Precision = FP32,
        shortlist: Shortlist | None = None,
        others: Sequence[Seq2Seq] = (),
    ) -> None:
        """Search runs on the device of ``model``, over the words of ``shortlist`` if one is given.

        ``others`` are further models of the same vocabulary, on the same device: all translate together.

        Raises:
            ConfigError: the settings of search contradict each other, or this system has no workers.
        """
        check_decode(decode)
        check_workers(str(decode.workers), parameter_device(model))
        self.models = (model, *others)
        self.tokenizers = tokenizers
        self.decode = decode
        self.precision = precision
        self.shortlist = shortlist
        allow_unk = decode.allow_unk or decode.replace_unk
        self.special = SpecialTokens(BOS, EOS, (PAD, BOS) if allow_unk else (PAD, BOS, UNK))
        self._prepared: Prepared | None = None

    @property
    def model(self) -> Seq2Seq:
        """The model; of an ensemble, the first."""
        return self.models[0]

    def prepare(self) -> Prepared:
        """Prepare the model for search as its weights are now; to be repeated when they have changed."""
        members = [PreparedModel(model, self.precision) for model in self.models]
        self._prepared = members[0] if len(members) == 1 else PreparedEnsemble(members)
        return self._prepared

    def translate(self, lines: Sequence[str], advance: Callable[[int], object] | None = None) -> list[Translation]:
        """Translate ``lines``, a sentence each.

        Args:
            lines: a list of texts. They are sorted into batches by length; no line depends on another.
            advance: called after each batch with its number of lines.

        Returns:
            One ``Translation`` for each line, in the same order; a blank line gives empty text.

        Raises:
            DecodingError: the model's logits are not finite.
            TypeError: ``lines`` is one text instead of a list.
        """
        if isinstance(lines, str):
            raise TypeError("translate() takes a list of lines: translate([line])")
        for model in self.models:
            model.eval()
        if self._prepared is None:
            self.prepare()  # once, before the workers that share it are forked
        src, truncated = self.encode(lines)
        results = [Translation(line, [], [EMPTY], cut) for line, cut in zip(lines, truncated, strict=True)]
        filled = [i for i, ids in enumerate(src) if ids]
        sources = [src[i] for i in filled]
        with closing(self._found(sources)) as found:
            for batch, best in found:
                for j, hypotheses in zip(batch, best, strict=True):
                    i = filled[j]
                    pieces = self.tokenizers.src.pieces([*src[i], EOS])
                    candidates = [self._candidate(hypothesis, lines[i]) for hypothesis in hypotheses]
                    results[i] = results[i]._replace(src_pieces=pieces, candidates=candidates)
                if advance:
                    advance(len(batch))
        return results

    def _found(self, sources: list[list[int]]) -> Generator[tuple[list[int], list[list[Hypothesis]]]]:
        """Batches of indices of ``sources``, and their hypotheses; the longest first: so workers end together."""
        num_tokens = sum(len(ids) + 1 for ids in sources)
        processes = num_workers(str(self.decode.workers), num_tokens, parameter_device(self.model))
        most = largest_batch(self.decode.batch_tokens, num_tokens, processes)
        lengths = np.array([len(ids) for ids in sources], np.int64)
        batches = [batch.tolist() for batch in bucket(lengths, lengths, most)[::-1]]
        return searched(lambda batch: self._search([sources[j] for j in batch]), batches, processes)

    def encode(self, lines: Sequence[str]) -> tuple[list[list[int]], list[bool]]:
        """The first ``max_src_tokens`` token ids of each source line, and whether the line had more."""
        most = self.decode.max_src_tokens
        encoded = self.tokenizers.src.encode(lines)
        return [ids[:most] for ids in encoded], [len(ids) > most for ids in encoded]

    def encode_pairs(self, src: Sequence[str], ref: Sequence[str]) -> tuple[TokenizedPairs, int]:
        """Token ids of sources and references, for teacher forcing, and how many references were cut.

        None is longer than what search reads or writes; a message counts those that were.
        """
        sources, cut = self.encode(src)
        most_src, most = self.decode.max_src_tokens, max_length(self.decode, self.decode.max_src_tokens)
        references = self.tokenizers.tgt.encode(ref)
        cut_references = sum(len(ids) > most for ids in references)
        if any(cut) or cut_references:
            logger.warning(
                "too long and cut: %d of %d sources, at decode.max_src_tokens=%d, and for loss and perplexity %d "
                "references, at %d tokens",
                *(sum(cut), len(cut), most_src, cut_references, most),
            )
        return TokenizedPairs.of(sources, [ids[:most] for ids in references]), cut_references

    def without_shortlist(self) -> Translator:
        """The same translator, with search over the whole vocabulary."""
        other = copy.copy(self)
        other.shortlist, other.decode = None, dataclasses.replace(self.decode, shortlist=0)
        return other

    def with_num_best(self, num_best: int) -> Translator:
        """The same translator, with so many candidates for each line.

        Raises:
            ConfigError: it is more than the beam.
        """
        other = copy.copy(self)
        other.decode = dataclasses.replace(self.decode, num_best=num_best)
        check_decode(other.decode)
        return other

    def in_precision(self, precision: Precision) -> Translator:
        """The same translator, with products in another precision."""
        other = copy.copy(self)
        other.precision, other._prepared = precision, None
        return other

    @torch.inference_mode()
    def _search(self, sources: Sequence[Sequence[int]]) -> list[list[Hypothesis]]:
        device, prepared = parameter_device(self.model), self._prepared or self.prepare()
        src, mask = pad(Rows.of(sources))
        lengths = [len(ids) + 1 for ids in sources]
        src = src.to(device)
        words = self.shortlist.words(src) if self.shortlist else None
        start = prepared.encode(src, mask.to(device), words)
        return search(prepared.step, start, lengths, self.decode, self.special, device, words)

    def _candidate(self, hypothesis: Hypothesis, line: str) -> Candidate:
        tgt, tokens = self.tokenizers.tgt, hypothesis.tokens
        pieces, text = tgt.pieces(tokens), tgt.decode(tokens)
        if self.decode.replace_unk and UNK in tokens:
            pieces = self._without_unk(hypothesis, pieces, line)
            text = tgt.join(pieces).text
        text = text.replace("\n", " ")  # byte pieces could spell a line break
        return Candidate(text, hypothesis.score, hypothesis.log_prob, pieces, hypothesis.weights)

    def _without_unk(self, hypothesis: Hypothesis, pieces: list[str], line: str) -> list[str]:
        """``pieces`` with, for each <unk>, the token of ``line`` that it attends to most; </s> is none."""
        weights = hypothesis.weights[:, :-1].clone()
        source = self.tokenizers.src.split(line).pieces[: weights.size(1)]
        weights[:, [not token for token in source]] = -1.0  # subwords that are but a space
        best = weights.argmax(dim=1).tolist()
        known = zip(hypothesis.tokens, pieces, best, strict=True)
        return [source[place] if token == UNK else piece for token, piece, place in known]

    def word_attention(self, translation: Translation, candidate: Candidate | None = None) -> WordAttention:
        """Attention between the words of a translation, the best if no ``candidate`` is given."""
        candidate = candidate or translation.candidates[0]
        src, tgt = self.tokenizers.src.split(translation.source), self.tokenizers.tgt.join(candidate.pieces)
        return word_attention(candidate.weights, src, tgt)
