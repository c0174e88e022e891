"""The whole model: encoder, bridge and attention decoder."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from seq2seq.model.attention import Memory
from seq2seq.model.decoder import Decoder, DecoderOutput, DecoderState
from seq2seq.model.encoder import Bridge, Encoder, ZeroBridge


class Decoding(NamedTuple):
    """A decoder state together with the memory it attends to: what search carries from step to step."""

    state: DecoderState
    memory: Memory

    def select(self, rows: Tensor) -> Decoding:
        """The given batch rows, in that order; ``rows`` is (B',) int64."""
        return Decoding(self.state.select(rows), self.memory.select(rows))


class Seq2Seq(nn.Module):
    """GRU encoder, bridge and attention decoder.

    Initialisation: linear and recurrent matrices as torch draws them (uniform ±1/√n, n the width of the
    input or state), embeddings from a normal distribution with standard deviation 1/√E, so that a tied
    output matrix starts with logits of order one; output bias zero.
    """

    def __init__(self, encoder: Encoder, bridge: Bridge | ZeroBridge, decoder: Decoder) -> None:
        super().__init__()
        self.encoder = encoder
        self.bridge = bridge
        self.decoder = decoder
        for embedding in dict.fromkeys([encoder.embedding, decoder.embedding]):  # one, if shared
            nn.init.normal_(embedding.weight, std=1 / math.sqrt(embedding.embedding_dim))
        nn.init.zeros_(decoder.output.bias)

    def encode(self, src: Tensor, src_mask: Tensor) -> Decoding:
        """Encode ``src`` (B, S) and give the decoder's state before its first step."""
        encoded = self.encoder(src, src_mask)
        memory = self.decoder.attention.prepare(encoded.states, encoded.mask)
        return Decoding(self.decoder.start(self.bridge(encoded.final_state), memory), memory)

    def step(self, tokens: Tensor, state: Decoding) -> tuple[Tensor, Tensor, Decoding]:
        """One step of search: words (B,) in; logits (B, V) of the next ones, weights (B, S), new state."""
        output = self.decoder.step(tokens, state.state, state.memory)
        return output.logits, output.weights, Decoding(output.state, state.memory)

    def forward(self, src: Tensor, src_mask: Tensor, tgt_in: Tensor) -> DecoderOutput:
        """Teacher forcing: read-outs (B, T, R) and attention weights (B, T, S) for ``tgt_in`` (B, T)."""
        start = self.encode(src, src_mask)
        return self.decoder(tgt_in, start.state, start.memory)

    def num_parameters(self) -> int:
        """Trainable numbers; a tied matrix counts once."""
        return sum(parameter.numel() for parameter in self.parameters() if parameter.requires_grad)

    if TYPE_CHECKING:
        __call__ = forward


def parameter_device(model: nn.Module) -> torch.device:
    """The device that the model's parameters are on."""
    return next(model.parameters()).device
