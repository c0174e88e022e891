"""A tokenizer of words and punctuation marks; "￭" stands before one that had no space before it."""

import itertools
import re

UNK = 1


class Words:
    """A list of words, one a line of a file."""

    def __init__(self, path):
        self.words = path.read_bytes().decode("utf-8").split("\n")[:-1]
        self.ids = {word: i for i, word in enumerate(self.words)}

    def encode(self, line):
        """The ids of its words."""
        found = list(re.finditer(r"\w+|[^\w\s]", line))
        joined = [False, *(one.end() == two.start() for one, two in itertools.pairwise(found))]
        return [self.ids.get("￭" * join + one[0], UNK) for one, join in zip(found, joined, strict=False)]

    def decode(self, ids):
        """Plain text."""
        words = [self.words[i] for i in ids]
        return "".join(w[1:] if w[0] == "￭" and w[1:] else f" {w}" for w in words).removeprefix(" ")
