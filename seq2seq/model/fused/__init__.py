"""The fast path of training: the plain model's mathematics with the backward passes written by hand.

``seq2seq.model`` stays the definition; every function here computes what a plain module there does, and the
tests compare the two: outputs and gradients.
"""

from seq2seq.model.fused.decoder import FusedDecoder
from seq2seq.model.fused.encoder import FusedEncoder
from seq2seq.model.fused.scores import FUSED_SCORES

__all__ = ["FUSED_SCORES", "FusedDecoder", "FusedEncoder"]
