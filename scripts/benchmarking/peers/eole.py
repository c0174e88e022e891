"""Eole 0.6.4, the successor of OpenNMT-py."""

from __future__ import annotations

from typing import Any, ClassVar

from benchmarking.peers.opennmt import training
from benchmarking.peers.toolkit import Job, Toolkit
from benchmarking.settings import BenchmarkConfig


class Eole(Toolkit):
    """``global_attention`` with ``input_feed``."""

    key = "eole"
    name = "eole"
    scores: ClassVar = {"bahdanau": "mlp", "luong_general": "general", "luong_dot": "dot"}
    vocabulary = "{}\t1"
    train = ("eole.bin.main", "train", "-config")

    def settings(self, config: BenchmarkConfig, job: Job) -> dict[str, Any]:
        sizes = config.model
        return {
            "data": {"corpus": {"path_src": job.file("train.src"), "path_tgt": job.file("train.tgt")}},
            "src_vocab": job.file("vocab.src"),
            "tgt_vocab": job.file("vocab.tgt"),
            "model": {
                "architecture": "custom",  # "rnn" has no encoder of two directions
                "hidden_size": sizes.decoder_size,
                "embeddings": {"word_vec_size": sizes.embedding_size},
                "encoder": {"encoder_type": "brnn", "rnn_type": "GRU", "layers": sizes.encoder_layers},
                "decoder": {
                    "decoder_type": "rnn",
                    "rnn_type": "GRU",
                    "layers": sizes.decoder_layers,
                    "global_attention": self.scores[config.attention.variant],
                },
                "input_feed": 1,
            },
            "training": {
                **training(config, job),
                "model_path": job.file("model"),
            },
            "seed": config.seed,
        }

    def model(self, job: Job) -> str:
        return job.file("model")
