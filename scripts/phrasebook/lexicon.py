"""The lexicon: one frozen dataclass per table of ``data/phrasebook/lexicon``, field for column."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TypeVar

LEXICON_DIR = Path(__file__).resolve().parents[2] / "data" / "phrasebook" / "lexicon"
Row = TypeVar("Row")


@dataclass(frozen=True)
class Noun:
    """A noun; ``oblique`` is the accusative and dative singular of the weak nouns.

    ``gender`` is m, f, n or p (plural only); ``number`` is both, sg, pl or mass; ``sex`` (m, f or empty) picks
    the pronoun for a person; ``classes`` are the selectional classes.
    """

    de: str
    gender: str
    plural: str
    oblique: str
    en: str
    en_plural: str
    number: str
    sex: str
    classes: str


@dataclass(frozen=True)
class Verb:
    """A verb with its principal parts in both languages.

    ``case`` is acc, dat or preposition+case; ``preterite`` is set for the verbs whose past is not the perfect.
    """

    id: str
    infinitive: str
    prefix: str
    er: str
    participle: str
    aux: str
    preterite: str
    case: str
    en: str
    en_s: str
    en_past: str
    en_ing: str
    en_dative: str


@dataclass(frozen=True)
class Frame:
    """What a verb may be said of: classes of its subject and complements, and the modes it may take.

    ``modes`` is a set of letters: h habit, p past, f future, n now (progressive), m modal, c command,
    g gern ("like doing"), s state, l position. ``because`` and ``despite`` name themes of ``Reason``.
    """

    verb: str
    subject: str
    object: str
    dets: str
    dative: str
    place: str
    extras: str
    modes: str
    fixed_de: str
    fixed_en: str
    because: str
    despite: str


@dataclass(frozen=True)
class Reason:
    """A state of affairs that explains (or fails to prevent) the frames of its theme.

    ``tense`` is any or past; ``modals`` are those that fit its consequences.
    """

    theme: str
    subject: str
    verb: str
    fixed_de: str
    fixed_en: str
    tense: str
    modals: str


@dataclass(frozen=True)
class Adjective:
    """An adjective; ``stem`` takes the endings, ``use`` is both, attr, pred or comp (comparisons only).

    ``excess`` says whether *zu* makes sense; ``contrast`` lists the adjectives that make sense after *but*.
    """

    de: str
    stem: str
    en: str
    comparative: str
    en_comparative: str
    use: str
    excess: str
    contrast: str
    classes: str


@dataclass(frozen=True)
class Place:
    """A noun as a place, with the prepositions for being there, going there and coming from there."""

    noun: str
    classes: str
    de_loc: str
    de_dir: str
    de_from: str
    en_loc: str
    en_dir: str


@dataclass(frozen=True)
class Spot:
    """A place without a free article: a city, a country, or an idiom such as *zu Hause*."""

    classes: str
    de_loc: str
    de_dir: str
    de_from: str
    en_loc: str
    en_dir: str
    en_from: str


@dataclass(frozen=True)
class Relation:
    """A landmark and a two-way preposition, with the classes of what may be found there."""

    noun: str
    classes: str
    de: str
    en: str


@dataclass(frozen=True)
class Time:
    """A time adverbial; ``tense`` says which clauses take it, ``front`` whether it may open a sentence."""

    de: str
    en: str
    tense: str
    front: str


@dataclass(frozen=True)
class Manner:
    """A manner adverbial, found by the ``key`` that frames name in their extras."""

    key: str
    de: str
    en: str


@dataclass(frozen=True)
class Name:
    """A person's name."""

    de: str
    oblique: str
    en: str
    sex: str


@dataclass(frozen=True)
class Pronoun:
    """A personal pronoun; ``form`` and ``en_form`` say which verb form it takes as a subject."""

    key: str
    nominative: str
    accusative: str
    dative: str
    possessive: str
    form: str
    en_subject: str
    en_object: str
    en_possessive: str
    en_form: str


@dataclass(frozen=True)
class Modal:
    """A modal verb; in English an auxiliary (can) or an operator and a rest (do + want to)."""

    infinitive: str
    singular: str
    plural: str
    past_singular: str
    past_plural: str
    en_auxiliary: str
    en_rest: str
    en_singular: str
    en_past_auxiliary: str
    en_past: str
    negatable: str


@dataclass(frozen=True)
class Profession:
    """A profession as a predicate; German agrees with the sex of the subject."""

    masculine: str
    feminine: str
    en: str


@dataclass(frozen=True)
class Intro:
    """A main clause that introduces a *dass* or *ob* clause, with its final punctuation and the modes it takes."""

    conjunction: str
    de: str
    en: str
    end: str
    modes: str


@cache
def has_class(classes: str, wanted: str) -> bool:
    """Whether two space-separated class lists share a class."""
    return not set(classes.split()).isdisjoint(wanted.split())


def read_table(path: Path, row: type[Row]) -> tuple[Row, ...]:
    """Read a tab-separated table whose header names the fields of ``row``; "-" stands for empty."""
    header, *lines = path.read_text(encoding="utf-8").splitlines()
    columns = header.split("\t")
    cells = ([("" if cell == "-" else cell) for cell in line.split("\t")] for line in lines)
    return tuple(row(**dict(zip(columns, values, strict=True))) for values in cells)


class Lexicon:
    """All tables of one directory."""

    def __init__(self, directory: Path = LEXICON_DIR) -> None:
        def table(name: str, row: type[Row]) -> tuple[Row, ...]:
            return read_table(directory / f"{name}.tsv", row)

        self.nouns = {noun.de: noun for noun in table("nouns", Noun)}
        self.verbs = {verb.id: verb for verb in table("verbs", Verb)}
        self.pronouns = {pronoun.key: pronoun for pronoun in table("pronouns", Pronoun)}
        self.modals = {modal.infinitive: modal for modal in table("modals", Modal)}
        self.frames = table("frames", Frame)
        self.reasons = table("reasons", Reason)
        self.adjectives = table("adjectives", Adjective)
        self.places = table("places", Place)
        self.spots = table("spots", Spot)
        self.relations = table("relations", Relation)
        self.times = table("times", Time)
        self.manners = table("manners", Manner)
        self.names = table("names", Name)
        self.professions = table("professions", Profession)
        self.intros = table("intros", Intro)

    @cache  # noqa: B019 - one lexicon lives as long as the program
    def nouns_of(self, classes: str) -> list[Noun]:
        """The nouns of any of the (space-separated) classes."""
        return [noun for noun in self.nouns.values() if has_class(noun.classes, classes)]
