"""A page and an API to translate with, on top of ``seq2seq.load``. Needs the extra ``serve``."""
