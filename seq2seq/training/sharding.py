"""A process's share of a batch that several processes compute together."""

from __future__ import annotations

from seq2seq.data.batch import Batch
from seq2seq.text.tokenizer import PAD


def share_of(batch: Batch, rank: int, size: int) -> Batch:
    """Every ``size``-th row of ``batch`` from row ``rank`` on, without columns that are padding in all of them.

    Rows are sorted by length, so the shares are alike. A rank for which there is no row gets a copy of the first
    without target tokens: its loss is 0 and so are its gradients, but they take part in each exchange.
    """
    if size == 1:
        return batch
    rows = slice(rank, None, size) if rank < len(batch.src) else slice(0, 1)
    real = batch.tgt_out[rows] != PAD
    src, tgt = (int(mask.sum(dim=1).max()) for mask in (batch.src_mask[rows], real))
    places = real[:, :tgt].flatten().nonzero().squeeze(1)
    return Batch(
        batch.src[rows, :src].contiguous(),
        batch.src_mask[rows, :src].contiguous(),
        batch.tgt_in[rows, :tgt].contiguous(),
        batch.tgt_out[rows, :tgt].contiguous(),
        places if rank < len(batch.src) else places[:0],
    )
