"""What the API reads and answers. Each description is also the rule in the message to who breaks it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from seq2seq.decoding.translator import Candidate as Found
from seq2seq.decoding.translator import Translation as Translated
from seq2seq.decoding.translator import Translator
from seq2seq.errors import did_you_mean
from seq2seq.serve.models import Served
from seq2seq.settings.schema import LimitsConfig

MOST_WEIGHTS = 100_000  # of a candidate's attention, between pieces: 300 of the source and 300 of the candidate
Translations = list[dict[str, Any]]
"""A ``Translation`` for each line, as plain values."""


class Asked(BaseModel):
    """A text to translate."""

    model_config = ConfigDict(extra="forbid", strict=True)

    text: str | list[str] = Field(description="a text, a sentence a line, or a list of sentences")
    num_best: int | None = Field(
        None,
        ge=1,
        description="candidates for each sentence: a whole number from 1 to the run's most_best; null: as its run",
    )
    run: str | None = Field(None, description="name of the run that translates; null: the first")
    attention: bool = Field(False, description="true or false: whether candidates come with their attention")

    @field_validator("text")
    @classmethod
    def _is_text(cls, text: str | list[str]) -> str | list[str]:
        "".join(text).encode()  # JSON can spell halves of characters, which are no text
        return text

    @property
    def lines(self) -> list[str]:
        """The sentences."""
        if isinstance(self.text, list):
            return self.text
        return [line.removesuffix("\r") for line in self.text.removesuffix("\n").split("\n")]


class Attention(BaseModel):
    """What each word of a candidate attends to."""

    src: list[str] = Field(description="words of the source, and the sentence end </s>")
    tgt: list[str] = Field(description="words of the candidate")
    weights: list[list[float]] = Field(description="a row for each word of the candidate; each row sums to 1")


class Candidate(BaseModel):
    """One translation of a sentence."""

    text: str = Field(description="plain text")
    score: float = Field(description="by which candidates are ranked: log_prob with its penalties")
    log_prob: float = Field(description="natural logarithm of the text's probability")
    attention: Attention | None = Field(description="null if it was not asked for, or is very large")


class Translation(BaseModel):
    """A sentence and its translations."""

    source: str = Field(description="the sentence")
    truncated: bool = Field(description="whether it was too long for the model and was cut")
    candidates: list[Candidate] = Field(description="best first")


class Answer(BaseModel):
    """The translations of a text."""

    run: str = Field(description="name of the run that translated")
    translations: list[Translation] = Field(description="one for each sentence, in their order")


class Run(BaseModel):
    """A model that can be asked."""

    name: str = Field(description="by which a request asks for it")
    src: str = Field(description="language that it reads, as a code")
    tgt: str = Field(description="language that it writes, as a code")
    about: str = Field(description="what else it is, in a line")
    most_best: int = Field(description="most candidates for each sentence: its beam")


class Limits(BaseModel):
    """What a request may ask for."""

    characters: int = Field(description="most characters of a request")
    sentences: int = Field(description="most sentences of a request")
    deadline: float = Field(description="seconds after which a request that still waits gets an error")


class Runs(BaseModel):
    """The models, and the limits of requests."""

    runs: list[Run] = Field(description="the first translates unless another is asked for")
    limits: Limits = Field(description="of each request")


class Health(BaseModel):
    """How the server is."""

    status: str = Field(description="ok, or busy if no further request would be taken")
    waiting: int = Field(description="requests that nobody translates yet")


class Problem(BaseModel):
    """Why a request was not served."""

    error: str = Field(description="one line")


def described(translator: Translator, translation: Translated, attention: bool) -> dict[str, Any]:
    """A ``Translation`` as plain values; with ``attention``, unless it has more than ``MOST_WEIGHTS``."""
    candidates = [_candidate(translator, translation, one, attention) for one in translation.candidates]
    return {"source": translation.source, "truncated": translation.truncated, "candidates": candidates}


def _candidate(
    translator: Translator, translation: Translated, candidate: Found, attention: bool
) -> dict[str, Any]:
    words = None
    if attention and candidate.weights.numel() <= MOST_WEIGHTS:
        src, tgt, weights = translator.word_attention(translation, candidate)
        rows = [[round(weight, 4) for weight in row] for row in weights.tolist()]
        words = {"src": src, "tgt": tgt, "weights": rows}
    return {
        "text": candidate.text,
        "score": candidate.score,
        "log_prob": candidate.log_prob,
        "attention": words,
    }


def runs(served: Sequence[Served], limits: LimitsConfig) -> dict[str, Any]:
    """``Runs`` as plain values."""
    return {
        "runs": [
            {
                "name": one.name,
                "src": one.src,
                "tgt": one.tgt,
                "about": one.about,
                "most_best": one.translator.decode.beam_size,
            }
            for one in served
        ],
        "limits": {name: getattr(limits, name) for name in Limits.model_fields},
    }


def mistake(errors: Sequence[Any]) -> str:
    """One line for what pydantic found wrong with a request."""
    kind, place = errors[0]["type"], errors[0]["loc"]
    key = str(place[1]) if len(place) > 1 else ""
    if kind == "json_invalid":
        return f"the body: not JSON ({errors[0]['ctx']['error']} at character {key})"
    if kind == "extra_forbidden":
        return f"{key[:40]}: no such key{did_you_mean(key, Asked.model_fields)}"
    if kind == "missing" and key:
        return f"{key}: a value is needed"
    if key in Asked.model_fields:
        return f"{key}: expected {Asked.model_fields[key].description}"
    return "the body: expected a JSON object"
