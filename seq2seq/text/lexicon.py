"""A lexicon of pieces: what each source piece is likely translated into, and the most frequent target pieces."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from seq2seq.errors import CheckpointError

LEXICON = "lexicon.safetensors"


class Lexicon(NamedTuple):
    """All int32; V the source and W the target vocabulary."""

    targets: Tensor  # the target pieces of source piece 0, likeliest first, then those of piece 1, …
    lengths: Tensor  # (V,) how many each source piece has
    frequent: Tensor  # the target pieces that occur in the training split, most frequent first

    def save(self, path: Path) -> None:
        """Write the file ``path``."""
        path.write_bytes(save(self._asdict()))

    @classmethod
    def load(cls, path: Path, src_size: int, tgt_size: int) -> Lexicon:
        """Read what ``save`` wrote, for vocabularies of these sizes.

        Raises:
            CheckpointError: the file is missing, damaged or of other vocabularies.
        """
        try:
            lexicon = cls(**load(path.read_bytes()))
        except (OSError, SafetensorError, TypeError) as error:
            raise CheckpointError(f"{path}: not a readable lexicon ({' '.join(str(error).split())})") from error
        whole = all(part.dtype == torch.int32 and part.dim() == 1 for part in lexicon)
        whole = whole and len(lexicon.lengths) == src_size and bool((lexicon.lengths >= 0).all())
        whole = whole and int(lexicon.lengths.sum()) == len(lexicon.targets)
        ids = torch.cat([lexicon.targets, lexicon.frequent]) if whole else torch.tensor([-1])
        if not whole or bool(((ids < 0) | (ids >= tgt_size)).any()):
            raise CheckpointError(f"{path}: not a lexicon of {src_size:,} source and {tgt_size:,} target pieces")
        return lexicon

    def best(self, count: int, empty: int) -> Tensor:
        """(V, count): the ``count`` likeliest target pieces of each source piece; ``empty`` where it has fewer."""
        table = torch.full((len(self.lengths), count), empty)
        source = torch.arange(len(self.lengths)).repeat_interleave(self.lengths.long())
        rank = torch.arange(len(source)) - (self.lengths.cumsum(0) - self.lengths)[source]
        kept = rank < count
        table[source[kept], rank[kept]] = self.targets[kept].long()
        return table
