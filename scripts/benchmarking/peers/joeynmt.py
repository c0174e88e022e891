"""JoeyNMT 2.3.0."""

from __future__ import annotations

from typing import Any, ClassVar

from benchmarking.peers.toolkit import Job, Toolkit
from benchmarking.settings import BenchmarkConfig


class JoeyNMT(Toolkit):
    """``attention`` with ``input_feeding``; both of its attentions read out the new context, as Luong's do."""

    key = "joeynmt"
    name = "JoeyNMT"
    scores: ClassVar = {"bahdanau": "bahdanau", "luong_general": "luong"}
    vocabulary = "{}"
    train = ("joeynmt.__main__", "train", "--skip-test")

    def settings(self, config: BenchmarkConfig, job: Job) -> dict[str, Any]:
        sizes = config.model
        dropout = sizes.dropout.readout
        return {
            "name": "benchmark",
            "model_dir": job.file("model"),
            "use_cuda": False,
            "random_seed": config.seed,
            "data": {
                "train": job.file("train"),
                "dev": job.file("dev"),
                "dataset_type": "plain",
                "src": {"lang": "src", "level": "word", "voc_file": job.file("vocab.src")},
                "trg": {"lang": "tgt", "level": "word", "voc_file": job.file("vocab.tgt")},
            },
            "testing": {},
            "training": {
                "optimizer": "adam",
                "learning_rate": config.optimizer.lr,
                "learning_rate_min": 0.0,
                "scheduling": "exponential",  # one must be named
                "decrease_factor": 1.0,
                "clip_grad_norm": config.trainer.clip_norm,
                "label_smoothing": config.trainer.label_smoothing,
                "normalization": "tokens",
                "batch_type": "sentence",
                "batch_size": job.sentences,
                "shuffle": not job.in_order,
                "epochs": 10**6,
                "updates": job.updates,
                "logging_freq": 10**9,
                "validation_freq": 10**9,  # there is no validation
                "overwrite": True,
            },
            "model": {
                "encoder": {
                    **{"type": "recurrent", "rnn_type": "gru", "bidirectional": True},
                    "embeddings": {"embedding_dim": sizes.embedding_size},
                    "hidden_size": sizes.encoder_size,
                    "num_layers": sizes.encoder_layers,
                    "dropout": dropout,
                },
                "decoder": {
                    **{"type": "recurrent", "rnn_type": "gru", "init_hidden": "bridge", "input_feeding": True},
                    "embeddings": {"embedding_dim": sizes.embedding_size},
                    "hidden_size": sizes.decoder_size,
                    "num_layers": sizes.decoder_layers,
                    "dropout": dropout,
                    "hidden_dropout": dropout,
                    "attention": self.scores[config.attention.variant],
                },
            },
        }

    def model(self, job: Job) -> str:
        return job.file("train.yaml")  # it names the directory of the checkpoints
