"""From a batch to its loss, and the teacher-forced perplexity of a corpus."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor, nn

from seq2seq.data.batch import Batch, TokenizedPairs
from seq2seq.data.loader import bucket, gather
from seq2seq.decoding.ensemble import mean
from seq2seq.distributed.group import ALONE, Group
from seq2seq.model import Seq2Seq
from seq2seq.model.loss import CHUNK_ROWS, Loss, output_loss, smoothed_cross_entropy
from seq2seq.model.seq2seq import parameter_device


def batch_loss(
    model: Seq2Seq, batch: Batch, smoothing: float = 0.0, loss_of: Callable[..., Loss] = output_loss
) -> Loss:
    """Sums over the target tokens of ``batch``, which must be on the model's device.

    Training, validation and measurements all use this path from a batch to its loss. ``loss_of`` takes the output
    layer, read-outs (N, R), targets (N,) and ``smoothing``.
    """
    return loss_of(model.decoder.output, _readout(model, batch), batch.targets, smoothing)


def _readout(model: Seq2Seq, batch: Batch) -> Tensor:
    """Read-outs (N, R) at the N real target positions."""
    return model(batch.src, batch.src_mask, batch.tgt_in).readout.flatten(0, 1).index_select(0, batch.places)


class BatchLoss(nn.Module):
    """``batch_loss`` in training: what data-parallel training wraps."""

    def __init__(self, model: Seq2Seq, smoothing: float) -> None:
        super().__init__()
        self.model, self.smoothing = model, smoothing

    def forward(self, batch: Batch) -> Loss:
        """See ``batch_loss``."""
        return batch_loss(self.model, batch, self.smoothing)


@torch.inference_mode()
def teacher_forced_loss(
    models: Sequence[Seq2Seq], pairs: TokenizedPairs, max_tokens: int, group: Group = ALONE
) -> float:
    """Negative log-likelihood for each target token, sentence ends included, given the reference before it.

    Several models are an ensemble. The processes of ``group`` share the batches.
    """
    device = _ready(models)
    total, num_tokens = 0.0, 0
    batches = bucket(pairs.src.all_lengths(), pairs.tgt.all_lengths(), max_tokens)
    for indices in group.share(batches):
        batch = gather(pairs, indices)
        total += float(_nll(models, batch.to(device)))
        num_tokens += len(batch.places)
    sums = group.sum(torch.tensor([total, num_tokens], dtype=torch.float64))
    return float(sums[0] / sums[1])


def _ready(models: Sequence[Seq2Seq]) -> torch.device:
    """Switch dropout off; gives the device that the models are on."""
    for model in models:
        model.eval()
    return parameter_device(models[0])


def _nll(models: Sequence[Seq2Seq], batch: Batch) -> Tensor:
    """Negative log-likelihood, summed over target tokens; ``decoding.ensemble`` defines that of several models."""
    if len(models) == 1:
        return batch_loss(models[0], batch).nll
    readouts = [_readout(model, batch).split(CHUNK_ROWS) for model in models]
    sums = []
    for targets, *chunks in zip(batch.targets.split(CHUNK_ROWS), *readouts, strict=True):
        logits = mean([model.decoder.output(chunk) for model, chunk in zip(models, chunks, strict=True)])
        sums.append(smoothed_cross_entropy(logits, targets).nll)
    return torch.stack(sums).sum()


@torch.inference_mode()
def teacher_forced_weights(
    models: Sequence[Seq2Seq], pairs: TokenizedPairs, max_tokens: int
) -> Iterator[tuple[int, Tensor]]:
    """The number of each pair and the attention weights (T, S) of its T target words, in any order.

    The weights of a word are those of the context from which it is predicted; of several models, the mean. Their
    last column is the source's </s>.
    """
    device = _ready(models)
    for indices in bucket(pairs.src.all_lengths(), pairs.tgt.all_lengths(), max_tokens):
        batch = gather(pairs, indices).to(device)
        weights = mean([model(batch.src, batch.src_mask, batch.tgt_in).weights.float() for model in models]).cpu()
        sizes = zip(pairs.src.lengths(indices).tolist(), pairs.tgt.lengths(indices).tolist(), strict=True)
        for row, (i, (src_size, tgt_size)) in enumerate(zip(indices.tolist(), sizes, strict=True)):
            yield i, weights[row, :tgt_size, : src_size + 1]


def perplexity(loss: float) -> float:
    """exp(loss), or infinity if that overflows."""
    return math.exp(loss) if loss < 700 else math.inf
