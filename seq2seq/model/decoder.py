"""The decoder: one recurrence for every attention.

    s_t = GRU(s_{t-1}, [attend(s_{t-1}) ; y_{t-1}])

Further transitions, if there are any, are GRUs without an input, one after the other: deep transition (Pascanu et
al., 2014, "How to Construct Deep Recurrent Neural Networks"; Miceli Barone et al., 2017, "Deep Architectures for
Neural Machine Translation").

Beside s_t, Luong reads out attend(s_t); Bahdanau reads out attend(s_{t-1}), the context that built s_t. Over T
steps, each of attend(s_0) … attend(s_T) is computed once, and the choice between the two is a shift by one.
Shapes: B batch, T target length, S source length, E embedding, D decoder state, M memory, R read-out,
V vocabulary, L layers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seq2seq.model.attention import Attention, Memory
from seq2seq.model.dropout import Dropout
from seq2seq.model.embedding import Embedding


class DecoderState(NamedTuple):
    """All that a step needs to know of the past: s_t and the context it attends to."""

    hidden: Tensor  # (B, D) s_t, the state of the recurrence
    upper: Tensor  # (B, L-1, D) states of the layers above it
    context: Tensor  # (B, M) attend(s_t)
    weights: Tensor  # (B, S) attention weights of that context

    def select(self, rows: Tensor) -> DecoderState:
        """The state of the given batch rows, in that order; ``rows`` is (B',) int64."""
        return DecoderState(*(part.index_select(0, rows) for part in self))


class Unrolled(NamedTuple):
    """The recurrence over all steps of teacher forcing."""

    hidden: Tensor  # (B, T, D) s_1 … s_T
    contexts: Tensor  # (B, T, M) the contexts read out beside these states
    weights: Tensor  # (B, T, S) their attention weights


class DecoderOutput(NamedTuple):
    """All steps of teacher forcing at once."""

    readout: Tensor  # (B, T, R) s̃_t, one linear map away from the logits
    weights: Tensor  # (B, T, S) attention weights of the contexts that were read out


class Transition(nn.Module):
    """A GRU without an input: z, r = σ(U h + b), n = tanh(b_i + r ⊙ (U_n h + b_n)), h' = (1 - z) ⊙ n + z ⊙ h."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.weight_hh = nn.Parameter(nn.init.xavier_uniform_(torch.empty(3 * size, size)))
        self.bias_ih = nn.Parameter(torch.zeros(3 * size))
        self.bias_hh = nn.Parameter(torch.zeros(3 * size))

    def forward(self, hidden: Tensor) -> Tensor:
        """The next state (B, D) of ``hidden`` (B, D)."""
        reset_in, update_in, new_in = self.bias_ih.chunk(3)
        reset, update, new = F.linear(hidden, self.weight_hh, self.bias_hh).chunk(3, dim=1)
        candidate = torch.tanh(new_in + torch.sigmoid(reset_in + reset) * new)
        return torch.lerp(candidate, hidden, torch.sigmoid(update_in + update))

    if TYPE_CHECKING:
        __call__ = forward


class Decoder(nn.Module):
    """GRU decoder with attention; ``num_layers - 1`` plain GRU layers may stand above the recurrence."""

    def __init__(
        self,
        embedding: Embedding,
        attention: Attention,
        memory_size: int,
        hidden_size: int,
        readout_size: int,
        num_layers: int = 1,
        num_transitions: int = 1,
        tie_output: bool = False,
        embedding_dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        layer_dropout: float = 0.0,
        readout_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        vocab_size, embedding_size = embedding.num_embeddings, embedding.embedding_dim
        if tie_output and readout_size != embedding_size:
            raise ValueError(
                f"a tied output needs a read-out of the embedding's size {embedding_size}, not {readout_size}"
            )
        self.embedding = embedding
        self.attention = attention
        self.cell = nn.GRUCell(memory_size + embedding_size, hidden_size)
        further = nn.ModuleList(Transition(hidden_size) for _ in range(num_transitions - 1))
        self.transitions: Sequence[Transition] = further  # type: ignore[assignment]
        self.upper = upper_layers(hidden_size, num_layers - 1, layer_dropout) if num_layers > 1 else None
        self.readout = nn.Linear(hidden_size + memory_size, readout_size, bias=False)  # W_v
        self.output = nn.Linear(readout_size, vocab_size)  # W_o
        if tie_output:
            self.output.weight = embedding.weight
        self.embedding_dropout = Dropout(embedding_dropout)
        self.recurrent_dropout = Dropout(recurrent_dropout)
        self.layer_dropout = Dropout(layer_dropout)
        self.readout_dropout = Dropout(readout_dropout)

    def start(self, layers: Tensor, memory: Memory) -> DecoderState:
        """State before the first step, from the bridge's first states ``layers`` (L, B, D)."""
        hidden = layers[0]
        return DecoderState(hidden, layers[1:].transpose(0, 1), *self.attention(hidden, memory))

    def next_state(self, embedded: Tensor, state: DecoderState, memory: Memory) -> DecoderState:
        """One step of the recurrence: ``embedded`` (B, E) is the previous word y_{t-1}."""
        inputs = self.recurrent_dropout(torch.cat([state.context, embedded], dim=1))
        hidden = self.cell(inputs, state.hidden)
        for transition in self.transitions:
            hidden = transition(hidden)
        context, weights = self.attention(hidden, memory)
        return DecoderState(hidden, state.upper, context, weights)

    def step(self, tokens: Tensor, state: DecoderState, memory: Memory) -> tuple[Tensor, Tensor, DecoderState]:
        """Read the words ``tokens`` (B,).

        Returns:
            Logits (B, V) of the words after them, the weights (B, S) of the context that was read out, the state.
        """
        new = self.next_state(self._embed(tokens), state, memory)
        top, upper = self._upper_layers(new.hidden.unsqueeze(1), state.upper)
        new = new._replace(upper=upper)
        read = new if self.attention.reads_new_context else state
        logits = self.output(self._read_out(top.squeeze(1), read.context))
        return logits, read.weights, new

    def forward(self, tgt_in: Tensor, layers: Tensor, memory: Memory) -> DecoderOutput:
        """Teacher forcing: ``tgt_in`` (B, T) are the words fed in, beginning with the sentence start.

        The same as ``start`` and repeated ``step``; work that does not depend on the state is done for all T at
        once.
        """
        hidden, contexts, weights = self.unroll(self._embed(tgt_in), layers[0], memory)
        top, _ = self._upper_layers(hidden, layers[1:].transpose(0, 1))
        return DecoderOutput(self._read_out(top, contexts), weights)

    def unroll(self, embedded: Tensor, start: Tensor, memory: Memory) -> Unrolled:
        """All steps of the recurrence from s_0, ``start`` (B, D); ``embedded`` (B, T, E) are the words fed in."""
        states = [self.start(start.unsqueeze(0), memory)]
        for word in embedded.unbind(dim=1):
            states.append(self.next_state(word, states[-1], memory))
        read = states[1:] if self.attention.reads_new_context else states[:-1]
        return Unrolled(
            torch.stack([state.hidden for state in states[1:]], dim=1),
            torch.stack([state.context for state in read], dim=1),
            torch.stack([state.weights for state in read], dim=1),
        )

    def _embed(self, tokens: Tensor) -> Tensor:
        embedded: Tensor = self.embedding_dropout(self.embedding(tokens))
        return embedded

    def _upper_layers(self, hidden: Tensor, upper: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T, D) through the layers above the recurrence, with their states (B, L-1, D)."""
        if self.upper is None:
            return hidden, upper
        top, last = self.upper(self.layer_dropout(hidden), upper.transpose(0, 1).contiguous())
        return top, last.transpose(0, 1)

    def _read_out(self, hidden: Tensor, context: Tensor) -> Tensor:
        """s̃_t = tanh(W_v [s_t ; a_t]): (..., D) and (..., M) to (..., R)."""
        readout = torch.tanh(self.readout(torch.cat([hidden, context], dim=-1)))
        dropped: Tensor = self.readout_dropout(readout)
        return dropped

    if TYPE_CHECKING:
        __call__ = forward


def upper_layers(size: int, num_layers: int, dropout: float) -> nn.GRU:
    """The plain GRU layers above the recurrence, ``dropout`` between them."""
    return nn.GRU(size, size, num_layers, batch_first=True, dropout=dropout if num_layers > 1 else 0.0)
