"""Word-level text on torchtext: a tokenizer, pretrained word vectors and token-level BLEU.

torchtext is archived. These three parts of its release 0.6.0 work well, and only this file imports it.
"""

from __future__ import annotations

import gzip
import logging
import re
import ssl
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor
from torchtext.data.metrics import bleu_score
from torchtext.vocab import Vectors, Vocab

from seq2seq.errors import CheckpointError, ConfigError, DataError
from seq2seq.text.tokenizer import BOS, EOS, PAD, SPECIAL_TOKENS, Sampling, Spelled

logger = logging.getLogger(__name__)

JOINER = "￭"
"""Stands before a token that had no space before it, so that decoding restores the text."""

LONGEST_LINE = 2**20  # bytes of a word and its vector

_TOKEN = re.compile(r"\w+|[^\w\s]")


def split_words(line: str) -> list[str]:
    """Words and punctuation marks: "Ja, gut." to "Ja", "￭,", "gut", "￭."."""
    tokens = []
    end = 0
    for match in _TOKEN.finditer(line):
        joined = match.start() == end and end > 0
        tokens.append(JOINER + match.group() if joined else match.group())
        end = match.end()
    return tokens


def join_words(tokens: Sequence[str]) -> Spelled:
    """The text that ``split_words`` split, with single spaces."""
    text, starts = "", []
    for token in tokens:
        joined = token.startswith(JOINER) and len(token) > 1
        if text and not joined:
            text += " "
        starts.append(len(text))
        text += token[1:] if joined else token
    return Spelled(text, list(tokens), starts)


class WordTokenizer:
    """One token for each word that is frequent enough, <unk> for the others."""

    def __init__(self, tokens: Sequence[str]) -> None:
        """``tokens`` are the words after the special tokens, in the order of their ids."""
        # Vocab sorts by frequency, so invented frequencies that fall keep the order.
        self._vocab = Vocab(
            Counter({token: len(tokens) - i for i, token in enumerate(tokens)}), specials=SPECIAL_TOKENS
        )

    @classmethod
    def train(cls, lines: Sequence[str], min_frequency: int = 1, max_size: int | None = None) -> WordTokenizer:
        """The words seen at least ``min_frequency`` times, most frequent first, at most ``max_size`` of them."""
        counts = Counter(token for line in lines for token in split_words(line))
        vocab = Vocab(counts, max_size=max_size, min_freq=min_frequency, specials=SPECIAL_TOKENS)
        return cls(vocab.itos[len(SPECIAL_TOKENS) :])

    @classmethod
    def load(cls, path: Path) -> WordTokenizer:
        """Read what ``save`` wrote."""
        try:
            tokens = path.read_bytes().decode("utf-8").split("\n")[:-1]
        except (OSError, UnicodeDecodeError) as error:
            raise CheckpointError(f"{path}: not a readable word list ({error})") from error
        if tokens[: len(SPECIAL_TOKENS)] != SPECIAL_TOKENS:
            raise CheckpointError(f"{path}: a word list starts with {' '.join(SPECIAL_TOKENS)}, one a line")
        return cls(tokens[len(SPECIAL_TOKENS) :])

    def save(self, path: Path) -> None:
        """Write the vocabulary as text, one token a line."""
        path.write_bytes("".join(f"{token}\n" for token in self._vocab.itos).encode())

    def __len__(self) -> int:
        return len(self._vocab.itos)

    def encode(self, lines: Sequence[str], sampling: Sampling | None = None) -> list[list[int]]:
        """Token ids of each line. Words have one segmentation only, so there is nothing to sample."""
        return [[self._vocab[token] for token in split_words(line)] for line in lines]

    def decode(self, ids: Sequence[int]) -> str:
        """Plain text, without the special tokens except <unk>."""
        return self.join(self.pieces([i for i in ids if i not in (PAD, BOS, EOS)])).text

    def pieces(self, ids: Sequence[int]) -> list[str]:
        """The tokens, with their joiners."""
        return [self._vocab.itos[i] for i in ids]

    def split(self, line: str) -> Spelled:
        """The tokens of ``line``, with their joiners."""
        return Spelled(line, split_words(line), [match.start() for match in _TOKEN.finditer(line)])

    def join(self, pieces: Sequence[str]) -> Spelled:
        """The text of ``pieces``."""
        return join_words(pieces)


def load_vectors(path: Path, tokens: Sequence[str], size: int) -> tuple[Tensor, Tensor]:
    """Pretrained vectors of ``tokens`` from a local text file (word, then ``size`` numbers, a line).

    Returns:
        The vectors (V, size), zero for words that the file lacks, and a mask (V,) that is True for words that it
        has, as they are or in lower case.

    Raises:
        DataError: the file is missing, not of that format, or has numbers that are not finite.
        ConfigError: its vectors are of another size.
    """
    if not path.is_file():
        raise DataError(
            f"{path}: no such file of word vectors; give tokenizer.src_vectors and tgt_vectors a local path"
        )
    _check_words(path)
    new_context = ssl._create_default_https_context
    try:
        with TemporaryDirectory() as cache:  # torchtext writes a copy for itself
            vectors = Vectors(str(path), cache=cache)
    except Exception as error:  # torchtext checks nothing, so anything may be raised
        raise DataError(f"{path}: not a text file of word vectors ({error})") from error
    finally:
        ssl._create_default_https_context = new_context  # torchtext turns certificate checks off
    if vectors.dim != size:
        raise ConfigError(f"model.embedding_size={size}: the vectors in {path} have {vectors.dim} numbers")
    finite = vectors.vectors.isfinite().all(dim=1)
    if not finite.all():
        word = vectors.itos[int(finite.logical_not().nonzero()[0])]
        raise DataError(f"{path}:{_not_finite(word, path)}: the vector of {word} is not finite; remove the line")
    words = [token.removeprefix(JOINER) for token in tokens]
    known = torch.tensor([word in vectors.stoi or word.lower() in vectors.stoi for word in words])
    known[: len(SPECIAL_TOKENS)] = False
    return vectors.get_vecs_by_tokens(words, lower_case_backup=True), known


def _check_words(path: Path) -> None:
    """Count the words in a file of vectors that are not UTF-8, which torchtext leaves out without a message.

    Raises:
        DataError: a line is longer than ``LONGEST_LINE``.
    """
    lines = []
    for number, line in enumerate(_lines(path), 1):
        if len(line) > LONGEST_LINE:
            raise DataError(
                f"{path}: not a text file of word vectors (line {number} has over {LONGEST_LINE:,} bytes)"
            )
        try:
            line.partition(b" ")[0].decode("utf-8")
        except UnicodeDecodeError:
            lines.append(number)
    if lines:
        logger.warning(
            "%s:%d: a word that is not UTF-8; %s such words are left out; if they are Latin-1: "
            "iconv -f latin1 -t utf-8",
            *(path, lines[0], f"{len(lines):,}"),
        )


def _lines(path: Path) -> Iterator[bytes]:
    """The lines of a file of vectors as far as it can be read; torchtext says what is wrong with the rest."""
    opened = gzip.open if path.suffix == ".gz" else open
    with suppress(OSError, EOFError, zlib.error), opened(path, "rb") as file:
        yield from iter(lambda: file.readline(LONGEST_LINE + 1), b"")


def _not_finite(word: str, path: Path) -> int:
    """The number of the first line of ``path`` with ``word`` and a vector that is not finite."""
    start = f"{word} ".encode()
    vectors = ((i, line.split()[1:]) for i, line in enumerate(_lines(path), 1) if line.startswith(start))
    return next(i for i, vector in vectors if not torch.tensor([*map(float, vector)]).isfinite().all())


def token_bleu(hypotheses: Sequence[str], references: Sequence[str]) -> float:
    """BLEU × 100 over ``split_words`` tokens, unsmoothed: another view, not comparable with sacreBLEU's."""
    candidates = [split_words(line) for line in hypotheses]
    score: float = bleu_score(candidates, [[split_words(line)] for line in references])
    return 100 * float(score)
