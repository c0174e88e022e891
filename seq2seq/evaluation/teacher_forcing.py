"""From a batch to its loss, and the teacher-forced perplexity of a corpus."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from seq2seq.data.batch import Batch, TokenizedPairs
from seq2seq.data.loader import bucket, gather
from seq2seq.distributed.group import ALONE, Group
from seq2seq.model import Seq2Seq
from seq2seq.model.loss import Loss, output_loss
from seq2seq.model.seq2seq import parameter_device


def batch_loss(
    model: Seq2Seq, batch: Batch, smoothing: float = 0.0, loss_of: Callable[..., Loss] = output_loss
) -> Loss:
    """Sums over the target tokens of ``batch``, which must be on the model's device.

    Training, validation and measurements all use this path from a batch to its loss. ``loss_of`` takes the output
    layer, read-outs (N, R), targets (N,) and ``smoothing``.
    """
    readout = model(batch.src, batch.src_mask, batch.tgt_in).readout.flatten(0, 1).index_select(0, batch.places)
    return loss_of(model.decoder.output, readout, batch.targets, smoothing)


class BatchLoss(nn.Module):
    """``batch_loss`` in training: what data-parallel training wraps."""

    def __init__(self, model: Seq2Seq, smoothing: float) -> None:
        super().__init__()
        self.model, self.smoothing = model, smoothing

    def forward(self, batch: Batch) -> Loss:
        """See ``batch_loss``."""
        return batch_loss(self.model, batch, self.smoothing)


@torch.inference_mode()
def teacher_forced_loss(model: Seq2Seq, pairs: TokenizedPairs, max_tokens: int, group: Group = ALONE) -> float:
    """Negative log-likelihood for each target token, sentence ends included, given the reference before it.

    The processes of ``group`` share the batches.
    """
    model.eval()
    device = parameter_device(model)
    total, num_tokens = 0.0, 0
    batches = bucket(pairs.src.all_lengths(), pairs.tgt.all_lengths(), max_tokens)
    for indices in group.share(batches):
        batch = gather(pairs, indices)
        total += float(batch_loss(model, batch.to(device)).nll)
        num_tokens += len(batch.places)
    sums = group.sum(torch.tensor([total, num_tokens], dtype=torch.float64))
    return float(sums[0] / sums[1])


@torch.inference_mode()
def teacher_forced_weights(model: Seq2Seq, pairs: TokenizedPairs, max_tokens: int) -> Iterator[tuple[int, Tensor]]:
    """The number of each pair and the attention weights (T, S) of its T target words, in any order.

    The weights of a word are those of the context from which it is predicted. Their last column is the source's
    </s>.
    """
    model.eval()
    device = parameter_device(model)
    for indices in bucket(pairs.src.all_lengths(), pairs.tgt.all_lengths(), max_tokens):
        batch = gather(pairs, indices).to(device)
        weights = model(batch.src, batch.src_mask, batch.tgt_in).weights.float().cpu()
        sizes = zip(pairs.src.lengths(indices).tolist(), pairs.tgt.lengths(indices).tolist(), strict=True)
        for row, (i, (src_size, tgt_size)) in enumerate(zip(indices.tolist(), sizes, strict=True)):
            yield i, weights[row, :tgt_size, : src_size + 1]


def perplexity(loss: float) -> float:
    """exp(loss), or infinity if that overflows."""
    return math.exp(loss) if loss < 700 else math.inf
