"""Translate text, a sentence a line: python translate.py [--beam 5] [--best 1] < text > translations.

Needs the files beside it, onnxruntime, NumPy and, if settings.json names a .subwords file, sentencepiece.
"""

import argparse
import io
import itertools
import json
import sys
from pathlib import Path

import onnxruntime
from search import EOS, search

HERE = Path(__file__).parent
SETTINGS = json.loads((HERE / "settings.json").read_text(encoding="utf-8"))
SEARCH = SETTINGS["search"]
BATCH = 64  # sentences


def tokenizer(path):
    """What encodes a line and decodes token ids."""
    if path.suffix == ".words":
        from words import Words

        return Words(path)
    from sentencepiece import SentencePieceProcessor

    return SentencePieceProcessor(model_proto=path.read_bytes())


SRC, TGT = (tokenizer(HERE / SETTINGS["tokenizers"][side]) for side in ("src", "tgt"))
NETWORKS = [onnxruntime.InferenceSession(HERE / f"{name}.onnx") for name in ("encoder", "decoder")]


def translate(lines, beam=SEARCH["beam_size"], num_best=1):
    """The best translations of each line, (score, text); lines of like length are translated together."""
    src = [[*SRC.encode(line)[: SEARCH["max_src_tokens"]], EOS] for line in lines]
    by_length = sorted((i for i, ids in enumerate(src) if len(ids) > 1), key=lambda i: len(src[i]))
    results = [[(0.0, "")] for _ in lines]
    for start in range(0, len(by_length), BATCH):
        batch = by_length[start : start + BATCH]
        for i, best in zip(batch, search(*NETWORKS, SEARCH, [src[i] for i in batch], beam, num_best), strict=True):
            results[i] = [(score, TGT.decode(ids).replace("\n", " ")) for score, ids in best]
    return results


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Translate the lines of standard input.")
    parser.add_argument("--beam", type=int, default=SEARCH["beam_size"], help="partial translations at each step")
    parser.add_argument("--best", type=int, default=1, help="translations of each line: number, rank, score, text")
    given = parser.parse_args()
    text = io.TextIOWrapper(sys.stdin.buffer, encoding="utf-8", errors="replace", newline="\n")
    output, number = io.TextIOWrapper(sys.stdout.buffer, encoding="utf-8", newline="\n"), itertools.count(1)
    while lines := [line.removesuffix("\n").removesuffix("\r") for line in itertools.islice(text, 1000)]:
        for best, i in zip(translate(lines, max(given.beam, given.best), given.best), number, strict=False):
            for rank, (score, translation) in enumerate(best, 1):
                output.write(
                    f"{i}\t{rank}\t{score:.4f}\t{translation}\n" if given.best > 1 else f"{translation}\n"
                )
        output.flush()
