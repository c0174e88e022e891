"""Attention beside translations: aligned words as text, weights as NumPy's .npz, heatmaps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import numpy as np

from seq2seq.decoding.streaming import replacing, writing
from seq2seq.decoding.translator import Candidate, Translation, Translator
from seq2seq.decoding.word_attention import WordAttention, pharaoh


@contextmanager
def attention_files(
    translator: Translator, alignments: str | None, weights: str | None, heatmaps: str | None, suffix: str = "png"
) -> Iterator[Callable[[int, Translation], None] | None]:
    """A function for ``translate_stream`` that writes attention to those of these files that are given.

    Args:
        translator: the one that translates.
        alignments: a file, with a line for each line of the output.
        weights: an .npz with the arrays of each line of the output, see ``write_weights``.
        heatmaps: a directory for n.png or n.svg, the attention of the best translation of line n.
        suffix: png or svg.

    Raises:
        DataError: a file can't be opened.
    """
    if not (alignments or weights or heatmaps):
        yield None
        return
    with ExitStack() as files:
        text = files.enter_context(writing(alignments)) if alignments else None
        archive = files.enter_context(_archive(Path(weights))) if weights else None
        lines = count(1)

        def write(number: int, translation: Translation) -> None:
            attention = [translator.word_attention(translation, best) for best in translation.candidates]
            for words, candidate, line in zip(attention, translation.candidates, lines, strict=False):
                if text:
                    text.write(pharaoh(words) + "\n")
                if archive:
                    write_weights(archive, line, words, translation, candidate)
            if heatmaps and translation.text:
                _draw(Path(heatmaps) / f"{number}.{suffix}", attention[0])

        yield write


@contextmanager
def _archive(path: Path) -> Iterator[ZipFile]:
    with replacing(path, "xb") as file, ZipFile(file, "w") as archive:
        yield archive


def write_weights(
    archive: ZipFile, number: int, words: WordAttention, translation: Translation, candidate: Candidate
) -> None:
    """Add the arrays of line ``number`` to an .npz, which NumPy reads.

    NUMBER/weights (target words, source words), NUMBER/src and NUMBER/tgt, the words, and the same between pieces:
    NUMBER/piece_weights, NUMBER/src_pieces and NUMBER/tgt_pieces. The last source word, and piece, is </s>.
    """
    arrays = {
        "weights": words.weights.numpy(),
        "src": np.array(words.src, str),
        "tgt": np.array(words.tgt, str),
        "piece_weights": candidate.weights.numpy(),
        "src_pieces": np.array(translation.src_pieces, str),
        "tgt_pieces": np.array(candidate.pieces, str),
    }
    for name, array in arrays.items():
        entry = ZipInfo(f"{number}/{name}.npy")  # of 1980: equal weights make equal files
        entry.compress_type = ZIP_DEFLATED
        with archive.open(entry, "w") as member:
            np.lib.format.write_array(member, array, allow_pickle=False)


def _draw(path: Path, words: WordAttention) -> None:
    from seq2seq.decoding.heatmap import write_heatmap  # with matplotlib, which is slow to import

    path.parent.mkdir(parents=True, exist_ok=True)
    write_heatmap(path, words.weights, words.src, words.tgt)
