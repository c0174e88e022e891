"""Eole 0.6.4, the successor of OpenNMT-py."""

from __future__ import annotations

from typing import Any, ClassVar

from benchmarking.peers.opennmt import BUCKET
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
                "dropout": [sizes.dropout.readout],
                "optim": "adam",
                "learning_rate": config.optimizer.lr,
                "max_grad_norm": config.trainer.clip_norm or 0,
                "label_smoothing": config.trainer.label_smoothing,
                "batch_type": "sents",
                "batch_size": job.sentences,
                "bucket_size": job.sentences if job.in_order else BUCKET,
                "num_workers": 0,
                "train_steps": job.updates,
                "model_path": job.file("model"),
                "save_checkpoint_steps": job.updates,
            },
            "seed": config.seed,
        }

    def model(self, job: Job) -> str:
        return job.file("model")
