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
    """Decoder states with the memory they attend to; search carries them from step to step.

    Each source has the same number of states. They stand side by side and share its memory.
    """

    state: DecoderState  # of B × K rows
    memory: Memory  # of B sources

    def repeat(self, times: int) -> Decoding:
        """The same with every row ``times`` times."""
        rows = torch.arange(len(self.state.hidden), device=self.state.hidden.device)
        return Decoding(self.state.select(rows.repeat_interleave(times)), self.memory)

    def select(self, rows: Tensor) -> Decoding:
        """The given ``rows`` (B' × K,) int64, in that order; each K of them belong to one source."""
        sources = torch.arange(len(self.memory.mask), device=rows.device)
        times = len(self.state.hidden) // len(sources)
        kept = rows[::times] // times
        memory = self.memory if torch.equal(kept, sources) else self.memory.select(kept)
        return Decoding(self.state.select(rows), memory)


class Seq2Seq(nn.Module):
    """GRU encoder, bridge and attention decoder; ``initialise`` says how its weights are drawn."""

    def __init__(self, encoder: Encoder, bridge: Bridge | ZeroBridge, decoder: Decoder) -> None:
        super().__init__()
        self.encoder = encoder
        self.bridge = bridge
        self.decoder = decoder
        initialise(self)

    def encode(self, src: Tensor, src_mask: Tensor) -> Decoding:
        """Encode ``src`` (B, S) and give the decoder's state before its first step."""
        layers, memory = self._read(src, src_mask)
        return Decoding(self.decoder.start(layers, memory), memory)

    def step(self, tokens: Tensor, state: Decoding) -> tuple[Tensor, Tensor, Decoding]:
        """One step of search: words (B,) in; logits (B, V) of the next ones, weights (B, S), new state."""
        logits, weights, new = self.decoder.step(tokens, state.state, state.memory)
        return logits, weights, Decoding(new, state.memory)

    def forward(self, src: Tensor, src_mask: Tensor, tgt_in: Tensor) -> DecoderOutput:
        """Teacher forcing: read-outs (B, T, R) and attention weights (B, T, S) for ``tgt_in`` (B, T)."""
        return self.decoder(tgt_in, *self._read(src, src_mask))

    def _read(self, src: Tensor, src_mask: Tensor) -> tuple[Tensor, Memory]:
        """First decoder state of each layer (L, B, D), and the memory."""
        states, final_state = self.encoder(src, src_mask)
        return self.bridge(final_state), self.decoder.attention.prepare(states, src_mask)

    def num_parameters(self) -> int:
        """Trainable numbers; a tied matrix counts once."""
        return sum(parameter.numel() for parameter in self.parameters() if parameter.requires_grad)

    if TYPE_CHECKING:
        __call__ = forward


@torch.no_grad()
def initialise(model: nn.Module) -> None:
    """Draw all weights.

    Recurrent matrices are orthogonal gate by gate (Saxe et al., 2014), other matrices uniform as in Glorot and
    Bengio (2010), those of a GRU gate by gate; embeddings, and an output matrix tied to them, normal with
    standard deviation 1/√E; biases zero.
    """
    for name, parameter in model.named_parameters():  # a tied matrix comes once, as the embedding
        if parameter.dim() == 1:
            nn.init.zeros_(parameter)
        elif "embedding" in name:
            nn.init.normal_(parameter, std=1 / math.sqrt(parameter.size(1)))
        elif "weight_hh" in name:
            for gate in parameter.chunk(3):
                nn.init.orthogonal_(gate)
        elif "weight_ih" in name:
            for gate in parameter.chunk(3):
                nn.init.xavier_uniform_(gate)
        else:
            nn.init.xavier_uniform_(parameter)


def parameter_device(model: nn.Module) -> torch.device:
    """The device that the model's parameters are on."""
    return next(model.parameters()).device
