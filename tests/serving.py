"""Servers for tests, of models that answer at once or when they are let."""

from __future__ import annotations

import asyncio
import dataclasses
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import httpx
import torch
from small_models import letters_translator

from seq2seq.decoding.translator import Candidate, Translation, Translator
from seq2seq.decoding.word_attention import WordAttention
from seq2seq.serve.models import Served
from seq2seq.serve.server import Server, bound, config
from seq2seq.settings.schema import DecodeConfig, LimitsConfig, ServeConfig


def letters(name: str = "letters", **decode: object) -> Served:
    """A model of random weights that translates letters into letters."""
    return Served(name, "de", "en", "random letters", letters_translator(workers="1", **decode))


class Echo:
    """In the place of a Translator: gives back the words in capitals, and attends to the same word.

    Its alternatives repeat the last word. It waits for ``gate``, and records the lines of each batch. A line with
    "fail" in it raises.
    """

    def __init__(self, beam_size: int = 3, batch_tokens: int = 2400) -> None:
        self.decode = DecodeConfig(beam_size=beam_size, batch_tokens=batch_tokens)
        self.gate = threading.Event()
        self.gate.set()
        self.begun = threading.Event()
        self.batches: list[list[str]] = []
        self.num_best = 1

    def with_num_best(self, num_best: int) -> Echo:
        self.num_best = num_best
        return self

    def translate(self, lines: Sequence[str]) -> list[Translation]:
        self.batches.append([*lines])
        self.begun.set()
        assert self.gate.wait(30)
        if any("fail" in line for line in lines):
            raise ValueError("failed")
        return [self._translation(line, self.num_best) for line in lines]

    def word_attention(self, translation: Translation, candidate: Candidate) -> WordAttention:
        return WordAttention([*translation.source.split(), "</s>"], candidate.text.split(), candidate.weights)

    def _translation(self, line: str, num_best: int) -> Translation:
        words = line.split()
        candidates = [self._candidate([*words, *words[-1:] * n], len(words), -1.0 - n) for n in range(num_best)]
        return Translation(line, [*(f"▁{word}" for word in words), "</s>"], candidates, False)

    def _candidate(self, words: list[str], num_src: int, score: float) -> Candidate:
        pieces = [f"▁{word.upper()}" for word in words]
        weights = torch.zeros(len(words), num_src + 1)
        for t in range(len(words)):
            weights[t, min(t, num_src - 1)] = 1.0
        return Candidate(" ".join(words).upper(), score, 2 * score, pieces, weights)


def echoing(name: str = "echo", **options: Any) -> tuple[Served, Echo]:
    """A served Echo, and the Echo."""
    echo = Echo(**options)
    translator: Translator = echo  # type: ignore[assignment]
    return Served(name, "de", "en", "an echo", translator), echo


@contextmanager
def listening(*served: Served, **limits: Any) -> Iterator[int]:
    """The port of a server of these models in a thread of this process."""
    settings = ServeConfig(run="none", port=0, limits=LimitsConfig(**limits))
    with bound(settings.host, 0) as listener:
        server = Server(config(settings, [*served], listener))
        thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listener])))
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join(30)
    assert not thread.is_alive()


@contextmanager
def client_of(*served: Served, **limits: Any) -> Iterator[httpx.Client]:
    """A client of such a server."""
    with listening(*served, **limits) as port, httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
        yield client


def alone(served: Served, line: str, num_best: int = 1) -> list[str]:
    """The candidates that the model gives when it translates nothing else."""
    translator = served.translator
    settings = dataclasses.replace(translator.decode, num_best=num_best)
    fresh = Translator(translator.model, translator.tokenizers, settings, translator.precision)
    return [candidate.text for candidate in fresh.translate([line])[0].candidates]
