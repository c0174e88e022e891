"""OpenNMT-py 3.5.1."""

from __future__ import annotations

from typing import Any, ClassVar

from benchmarking.peers.toolkit import Job, Toolkit
from benchmarking.settings import BenchmarkConfig

BUCKET = 32768  # sentences that are sorted by length before they are cut into batches


class OpenNMT(Toolkit):
    """``global_attention`` with ``input_feed``."""

    key = "opennmt"
    name = "OpenNMT-py"
    scores: ClassVar = {"bahdanau": "mlp", "luong_general": "general", "luong_dot": "dot"}
    vocabulary = "{}\t1"
    train = ("onmt.bin.train", "-config")

    def settings(self, config: BenchmarkConfig, job: Job) -> dict[str, Any]:
        sizes = config.model
        return {
            "data": {"corpus": {"path_src": job.file("train.src"), "path_tgt": job.file("train.tgt")}},
            "src_vocab": job.file("vocab.src"),
            "tgt_vocab": job.file("vocab.tgt"),
            "encoder_type": "brnn",
            "decoder_type": "rnn",
            "rnn_type": "GRU",
            "enc_layers": sizes.encoder_layers,
            "dec_layers": sizes.decoder_layers,
            "word_vec_size": sizes.embedding_size,
            "hidden_size": sizes.decoder_size,
            "global_attention": self.scores[config.attention.variant],
            "input_feed": 1,
            **training(config, job),
            "save_model": job.file("model"),
            "seed": config.seed,
        }

    def model(self, job: Job) -> str:
        return job.file(f"model_step_{job.updates}.pt")


def training(config: BenchmarkConfig, job: Job) -> dict[str, Any]:
    """The settings of training that OpenNMT-py and its successor share."""
    return {
        "dropout": [config.model.dropout.readout],
        "optim": "adam",
        "learning_rate": config.optimizer.lr,
        "max_grad_norm": config.trainer.clip_norm or 0,
        "label_smoothing": config.trainer.label_smoothing,
        "batch_type": "sents",
        "batch_size": job.sentences,
        "bucket_size": job.sentences if job.in_order else BUCKET,
        "num_workers": 0,
        "train_steps": job.updates,
        "save_checkpoint_steps": job.updates,
    }
