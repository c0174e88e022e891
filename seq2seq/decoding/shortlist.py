"""Vocabulary selection: search over the target pieces that a batch may need, not over all of them.

Jean et al. (2015, section 3.3) and L'Hostis et al. (2016) compare ways to select; this one, from a lexicon of
aligned pieces and the most frequent ones, is that of Marian (``--shortlist``) and CTranslate2 (``use_vmap``).
"""

from __future__ import annotations

import re

import torch
from torch import Tensor

from seq2seq.text.lexicon import Lexicon
from seq2seq.text.tokenizer import EOS, SPECIAL_TOKENS, Tokenizer
from seq2seq.text.tokenizer_pair import TokenizerPair

BYTE = re.compile("<0x[0-9A-F]{2}>")  # how SentencePiece writes a byte of a character that is not a piece


class Shortlist:
    """Selects the candidates of a batch."""

    def __init__(self, lexicon: Lexicon, tokenizers: TokenizerPair, size: int) -> None:
        """Use the ``size`` most frequent target pieces and the ``size`` likeliest ones of each source piece."""
        src, tgt = (_pieces(tokenizer) for tokenizer in tokenizers)
        written = {tgt[i]: i for i in lexicon.frequent.tolist()}  # the model has learned to write no others
        same = torch.tensor([written.get(piece, EOS) for piece in src])  # names and numbers are copied
        self._of_piece = torch.cat([lexicon.best(size, EOS), same.unsqueeze(1)], dim=1)  # (V, size + 1)
        self._always = torch.zeros(len(tgt), dtype=torch.bool)
        self._always[: len(SPECIAL_TOKENS)] = True
        self._always[lexicon.frequent[:size].long()] = True
        self._src_bytes, self._tgt_bytes = (
            torch.tensor([BYTE.fullmatch(piece) is not None for piece in side]) for side in (src, tgt)
        )

    def words(self, src: Tensor) -> Tensor:
        """The candidates (C,) for the source ids ``src`` (B, S): int64, ascending, each once.

        The special tokens are always among them, so that these keep their numbers 0 to 3; so are all bytes if a
        source has a byte, that is an unknown character, which may be spelled in other bytes.
        """
        chosen = self._always.clone()
        chosen[self._of_piece[src.cpu()]] = True
        if self._src_bytes[src.cpu()].any():
            chosen |= self._tgt_bytes
        return chosen.nonzero().flatten().to(src.device)


def _pieces(tokenizer: Tokenizer) -> list[str]:
    return tokenizer.pieces(range(len(tokenizer)))
