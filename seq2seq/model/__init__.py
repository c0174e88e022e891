"""The model: attention, encoder, decoder, and the three put together."""

from seq2seq.model.attention import ATTENTIONS, Attention, Memory
from seq2seq.model.decoder import Decoder, DecoderState
from seq2seq.model.embedding import Embedding
from seq2seq.model.encoder import BRIDGES, Encoder
from seq2seq.model.seq2seq import Seq2Seq

__all__ = [
    "ATTENTIONS",
    "BRIDGES",
    "Attention",
    "Decoder",
    "DecoderState",
    "Embedding",
    "Encoder",
    "Memory",
    "Seq2Seq",
]
