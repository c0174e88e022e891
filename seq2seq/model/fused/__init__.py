"""The fast path of training: the plain model's mathematics with the backward passes written by hand.

``seq2seq.model`` stays the definition: each function here computes the same as a plain module there. The tests
compare their outputs and gradients.
"""

from seq2seq.model.fused.decoder import FusedDecoder
from seq2seq.model.fused.encoder import FusedEncoder
from seq2seq.model.fused.scores import FUSED_SCORES

__all__ = ["FUSED_SCORES", "FusedDecoder", "FusedEncoder"]
