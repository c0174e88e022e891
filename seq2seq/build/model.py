"""The model that the settings describe."""

from __future__ import annotations

import torch

from seq2seq import machine
from seq2seq.errors import ConfigError
from seq2seq.model import ATTENTIONS, BRIDGES, Attention, Decoder, Embedding, Encoder, Seq2Seq
from seq2seq.model.fused import FUSED_SCORES, FusedDecoder, FusedEncoder
from seq2seq.settings.schema import BahdanauConfig, TrainConfig


def attention(config: TrainConfig) -> Attention:
    """The attention that the settings name."""
    sizes = {"size": config.attention.size} if isinstance(config.attention, BahdanauConfig) else {}
    memory_size = 2 * config.model.encoder_size
    return ATTENTIONS[config.attention.variant](config.model.decoder_size, memory_size, **sizes)


def model(config: TrainConfig, src_vocab_size: int, tgt_vocab_size: int) -> Seq2Seq:
    """A new model, its weights drawn at random."""
    sizes, dropout = config.model, config.model.dropout
    src_embedding = Embedding(src_vocab_size, sizes.embedding_size, dropout.words)
    tgt_embedding = src_embedding
    if sizes.tie_embeddings != "all":
        tgt_embedding = Embedding(tgt_vocab_size, sizes.embedding_size, dropout.words)
    mechanism = attention(config)
    fused = config.machine.fused and type(mechanism) in FUSED_SCORES
    encoder = (FusedEncoder if fused else Encoder)(
        src_embedding,
        sizes.encoder_size,
        sizes.encoder_layers,
        embedding_dropout=dropout.embedding,
        layer_dropout=dropout.layers,
    )
    decoder = (FusedDecoder if fused else Decoder)(
        tgt_embedding,
        mechanism,
        encoder.memory_size,
        sizes.decoder_size,
        sizes.readout_size,
        sizes.decoder_layers,
        sizes.decoder_transitions,
        tie_output=sizes.tie_embeddings != "none",
        embedding_dropout=dropout.embedding,
        recurrent_dropout=dropout.recurrent,
        layer_dropout=dropout.layers,
        readout_dropout=dropout.readout,
    )
    bridge = BRIDGES[sizes.bridge](encoder.memory_size, sizes.decoder_size, sizes.decoder_layers)
    return Seq2Seq(encoder, bridge, decoder)


def check_size(config: TrainConfig, src_vocab_size: int, tgt_vocab_size: int, device: torch.device) -> None:
    """Raise ``ConfigError`` if memory can't hold the training: the system kills a process that fills it."""
    values = 4 if device.type == "cpu" else 1  # weight, gradient and two moments; all begin in main memory
    sizes = config.model
    widths = (sizes.embedding_size, 2 * sizes.encoder_size, sizes.decoder_size, sizes.readout_size)
    widest = max(*widths, getattr(config.attention, "size", 1))
    layers = sizes.encoder_layers + sizes.decoder_layers + sizes.decoder_transitions - 1
    words = src_vocab_size + 2 * tgt_vocab_size
    if 4 * values * (20 * layers * widest + words) * widest < machine.memory():  # more than it can be
        return
    with torch.device("meta"):  # sizes without values; the first of them cost seconds
        parameters = model(config, src_vocab_size, tgt_vocab_size).num_parameters()
    needed, there = (size / 2**30 for size in (4 * values * parameters, machine.memory()))
    if needed > there:
        raise ConfigError(
            f"model: to train {parameters:,} parameters takes {needed:,.0f} GiB of memory, and {there:,.0f} are "
            "there: lower model.*_size, model.*_layers or the size of the vocabulary"
        )
