"""Subword tokenizer: SentencePiece, unigram or BPE (Kudo and Richardson, 2018)."""

from __future__ import annotations

import functools
import io
import logging
import random
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import sentencepiece

from seq2seq.errors import CheckpointError, ConfigError
from seq2seq.settings.schema import SubwordConfig
from seq2seq.text.segmentation import BpeDropout, Unigram
from seq2seq.text.tokenizer import BOS, EOS, PAD, UNK, Sampling, Spelled

logger = logging.getLogger(__name__)

WORD = re.compile("▁?[^▁]+|▁")  # of normalised text, in which "▁" stands for the space before a word


class SubwordTokenizer:
    """A trained SentencePiece model."""

    def __init__(self, model: bytes) -> None:
        self.model = model
        self._processor = sentencepiece.SentencePieceProcessor(model_proto=model)
        self._segmentations: dict[float, Unigram | BpeDropout] = {}  # by their alpha

    @classmethod
    def train(cls, lines: Sequence[str], settings: SubwordConfig) -> SubwordTokenizer:
        """Train on ``lines``; a vocabulary too large for them is lowered, and a message says so.

        Raises:
            ConfigError: the vocabulary is too small for the characters of the lines.
        """
        model = io.BytesIO()
        try:
            sentencepiece.SentencePieceTrainer.train(
                sentence_iterator=iter(lines),
                model_writer=model,
                model_type=settings.name,
                vocab_size=settings.vocab_size,
                character_coverage=settings.character_coverage,
                byte_fallback=settings.byte_fallback,
                normalization_rule_name=settings.normalization,
                hard_vocab_limit=False,
                # Longer lines would be left out silently; a limit below 10 is refused.
                max_sentence_length=max([10, *(len(line.encode()) + 1 for line in lines)]),
                pad_id=PAD,
                unk_id=UNK,
                bos_id=BOS,
                eos_id=EOS,
                minloglevel=2,
            )
        except RuntimeError as error:
            reason = " ".join(str(error).split())
            raise ConfigError(
                f"tokenizer.vocab_size={settings.vocab_size}: SentencePiece says: {reason}"
            ) from error
        tokenizer = cls(model.getvalue())
        if len(tokenizer) < settings.vocab_size:
            logger.warning(
                "tokenizer.vocab_size=%d lowered to %d: the corpus does not have more pieces",
                settings.vocab_size,
                len(tokenizer),
            )
        return tokenizer

    @classmethod
    def load(cls, path: Path) -> SubwordTokenizer:
        """Read what ``save`` wrote."""
        try:
            tokenizer = cls(path.read_bytes())
        except (OSError, RuntimeError) as error:
            raise CheckpointError(f"{path}: not a readable SentencePiece model ({error})") from error
        if not tokenizer.model:  # SentencePiece takes it for no model at all
            raise CheckpointError(f"{path}: not a readable SentencePiece model (the file is empty)")
        return tokenizer

    def save(self, path: Path) -> None:
        """Write the SentencePiece model."""
        path.write_bytes(self.model)

    def __len__(self) -> int:
        return int(self._processor.get_piece_size())

    def encode(self, lines: Sequence[str], sampling: Sampling | None = None) -> list[list[int]]:
        """Token ids of each line: of its best segmentation, or with ``sampling`` of one drawn at random."""
        if sampling is not None:
            return list(self._sample(lines, sampling))
        ids: list[list[int]] = self._processor.encode(list(lines))
        return ids

    def _sample(self, lines: Sequence[str], sampling: Sampling) -> Iterator[list[int]]:
        if sampling.alpha not in self._segmentations:
            self._segmentations[sampling.alpha] = self._segmentation(sampling.alpha)
        segmentation, rng = self._segmentations[sampling.alpha], random.Random(sampling.seed)
        for line in self._processor.normalize(list(lines)):
            row: list[int] = []
            for word in WORD.findall(line):
                for piece in segmentation.draw(word, rng):
                    row += self._text_ids.get(piece) or self._unknown(piece, row)
            yield row

    def _segmentation(self, alpha: float) -> Unigram | BpeDropout:
        scores = {piece: self._processor.get_score(i) for piece, (i,) in self._text_ids.items()}
        # BPE's scores are 0, -1, -2, ... as the pieces were learned; a log-probability is never 0.
        return (BpeDropout if max(scores.values()) == 0 else Unigram)(scores, alpha)

    @functools.cached_property
    def _text_ids(self) -> dict[str, list[int]]:
        """The id of each piece that is text, as a list of one."""
        model = self._processor
        special = model.is_control, model.is_byte, model.is_unknown, model.is_unused
        pieces = enumerate(self.pieces(range(len(self))))
        return {piece: [i] for i, piece in pieces if not any(is_special(i) for is_special in special)}

    def _unknown(self, character: str, before: Sequence[int]) -> list[int]:
        """Ids of a character that is not a piece: its bytes, or one <unk> for several such characters in a row."""
        byte_ids = [self._processor.piece_to_id(f"<0x{byte:02X}>") for byte in character.encode()]
        if UNK not in byte_ids:  # the model has bytes to fall back to
            return byte_ids
        return [] if before and before[-1] == UNK else [UNK]

    def decode(self, ids: Sequence[int]) -> str:
        """Plain text, without the special tokens."""
        text: str = self._processor.decode([i for i in ids if i not in (PAD, BOS, EOS)])
        return text

    def pieces(self, ids: Sequence[int]) -> list[str]:
        """The pieces; "▁" stands for the space before a word."""
        pieces: list[str] = self._processor.id_to_piece(list(ids))
        return pieces

    def split(self, line: str) -> Spelled:
        """The tokens of ``line`` as they stand there, before normalization."""
        spans = self._processor.encode(line, return_type="offset_mapping")["offsets"]
        return Spelled(line, [line[start:end].strip() for start, end in spans], [start for start, _ in spans])

    def join(self, pieces: Sequence[str]) -> Spelled:
        """The text of ``pieces``; those that are not in the vocabulary stay as they are."""
        joined = self._processor.decode(list(pieces), return_type="offset_mapping")
        return Spelled(joined["text"], list(pieces), [start for start, _ in joined["offsets"]])
