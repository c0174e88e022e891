"""Small models that tests share."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from seq2seq.decoding.translator import Translator
from seq2seq.model import ATTENTIONS, BRIDGES, Attention, Decoder, Embedding, Encoder, Seq2Seq
from seq2seq.precision import FP32, Precision
from seq2seq.settings.schema import DecodeConfig
from seq2seq.text.tokenizer_pair import TokenizerPair
from seq2seq.text.words import WordTokenizer

NewModel = Callable[..., Seq2Seq]
"""What the fixture ``new_model`` gives."""


def make_attention(variant: str, decoder_size: int = 6, memory_size: int = 6) -> Attention:
    sizes = {"size": 5} if variant == "bahdanau" else {}
    return ATTENTIONS[variant](decoder_size, memory_size, **sizes)


def make_model(
    variant: str = "bahdanau",
    vocab_size: int = 11,
    hidden: int = 3,
    embedding: int = 4,
    encoder_layers: int = 1,
    decoder_layers: int = 1,
    transitions: int = 1,
    bridge: str = "tanh",
    tie: str = "none",
    dropout: float = 0.0,
) -> Seq2Seq:
    src = Embedding(vocab_size, embedding)
    tgt = src if tie == "all" else Embedding(vocab_size, embedding)
    encoder = Encoder(src, hidden, encoder_layers, embedding_dropout=dropout, layer_dropout=dropout)
    decoder = Decoder(
        tgt,
        make_attention(variant, 2 * hidden, 2 * hidden),
        memory_size=2 * hidden,
        hidden_size=2 * hidden,
        readout_size=embedding,
        num_layers=decoder_layers,
        num_transitions=transitions,
        tie_output=tie != "none",
        embedding_dropout=dropout,
        recurrent_dropout=dropout,
        layer_dropout=dropout,
        readout_dropout=dropout,
    )
    return Seq2Seq(encoder, BRIDGES[bridge](2 * hidden, 2 * hidden, decoder_layers), decoder)


def enlarged(model: Seq2Seq) -> Seq2Seq:
    """Give it larger weights than it is drawn with, so that mistakes show."""
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.5)
    return model


def letters_translator(precision: Precision = FP32, **decode: object) -> Translator:
    """A model of random weights that translates letters into letters."""
    tokenizer = WordTokenizer("abcdefghijkl")
    torch.manual_seed(5)
    model = enlarged(make_model(vocab_size=len(tokenizer), hidden=8, embedding=8))
    settings = DecodeConfig(max_ratio=1.0, max_offset=1, **decode)  # type: ignore[arg-type]
    return Translator(model, TokenizerPair(tokenizer, tokenizer), settings, precision)
