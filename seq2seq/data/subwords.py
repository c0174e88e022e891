"""Subword tokenizer: SentencePiece, unigram or BPE (Kudo and Richardson, 2018)."""

from __future__ import annotations

import io
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import sentencepiece

from seq2seq.data.tokenizer import BOS, EOS, PAD, UNK, Sampling
from seq2seq.errors import CheckpointError, ConfigError

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class SubwordOptions:
    """How a SentencePiece model is trained."""

    model_type: str  # "unigram" or "bpe"
    vocab_size: int
    character_coverage: float = 1.0
    byte_fallback: bool = True
    normalization: str = "nmt_nfkc"


class SubwordTokenizer:
    """A trained SentencePiece model."""

    def __init__(self, model: bytes) -> None:
        self.model = model
        self._processor = sentencepiece.SentencePieceProcessor(model_proto=model)

    @classmethod
    def train(cls, lines: Sequence[str], options: SubwordOptions) -> SubwordTokenizer:
        """Train on ``lines``; a vocabulary too large for them is lowered, and a message says so.

        Raises:
            ConfigError: the vocabulary is too small for the characters of the lines.
        """
        model = io.BytesIO()
        try:
            sentencepiece.SentencePieceTrainer.train(
                sentence_iterator=iter(lines),
                model_writer=model,
                model_type=options.model_type,
                vocab_size=options.vocab_size,
                character_coverage=options.character_coverage,
                byte_fallback=options.byte_fallback,
                normalization_rule_name=options.normalization,
                hard_vocab_limit=False,
                # Longer lines would be left out without a word; less than 10 is refused.
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
                f"tokenizer.vocab_size={options.vocab_size}: SentencePiece says: {reason}"
            ) from error
        tokenizer = cls(model.getvalue())
        if len(tokenizer) < options.vocab_size:
            logger.warning(
                "tokenizer.vocab_size=%d lowered to %d: the corpus has no more pieces to offer",
                options.vocab_size,
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
        if not tokenizer.model:  # which SentencePiece takes for none given
            raise CheckpointError(f"{path}: not a readable SentencePiece model (the file is empty)")
        return tokenizer

    def save(self, path: Path) -> None:
        """Write the SentencePiece model."""
        path.write_bytes(self.model)

    def __len__(self) -> int:
        return int(self._processor.get_piece_size())

    def encode(self, lines: Sequence[str], sampling: Sampling | None = None) -> list[list[int]]:
        """Token ids of each line, of its best segmentation unless ``sampling`` is asked for."""
        ids: list[list[int]]
        if sampling is None:
            ids = self._processor.encode(list(lines))
            return ids
        sentencepiece.set_random_generator_seed(sampling.seed)
        ids = self._processor.encode(  # one thread: each has a generator of its own
            list(lines), enable_sampling=True, alpha=sampling.alpha, nbest_size=-1, num_threads=1
        )
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """Plain text, the special tokens left out."""
        text: str = self._processor.decode([i for i in ids if i not in (PAD, BOS, EOS)])
        return text

    def pieces(self, ids: Sequence[int]) -> list[str]:
        """The pieces, "▁" standing for a space before the word."""
        pieces: list[str] = self._processor.id_to_piece(list(ids))
        return pieces
