"""The abstract clause: its content, before it is put into either language."""

from __future__ import annotations

from dataclasses import dataclass

from phrasebook.lexicon import Adjective, Modal, Name, Noun, Pronoun, Verb


@dataclass(frozen=True)
class Phrase:
    """A fixed expression in both languages."""

    de: str
    en: str


@dataclass(frozen=True)
class NounPhrase:
    """A noun with its determiner: the, this, a, none, own (the possessive of ``owner``) or which.

    A ``count`` (a number, or *wie viele*) goes with the determiner none and a plural.
    """

    noun: Noun
    det: str
    plural: bool = False
    adjective: Adjective | None = None
    owner: Pronoun | None = None
    count: Phrase | None = None

    @property
    def indefinite(self) -> bool:
        """Whether German negates it by *kein*."""
        return self.det in ("a", "none")


Participant = NounPhrase | Pronoun | Name


@dataclass(frozen=True)
class Prepositional:
    """A preposition and its object; ``case`` is acc, dat or (in comparisons) nom."""

    de: str
    case: str
    en: str
    object: Participant


Complement = Phrase | Prepositional


@dataclass(frozen=True)
class Clause:
    """One clause.

    ``tense`` is present, past or future. ``aspect`` is simple, now (German *gerade*, English progressive) or
    posture (a progressive in English only: *liegt*, is lying). ``fond`` is German *gern*.
    A ``fronted`` clause has its first time adverbial in front.
    """

    subject: Participant
    verb: Verb
    object: Participant | None = None
    dative: Participant | None = None
    predicate: Complement | None = None
    place: Complement | None = None
    manners: tuple[Complement, ...] = ()
    times: tuple[Phrase, ...] = ()
    frequency: Phrase | None = None
    modal: Modal | None = None
    tense: str = "present"
    aspect: str = "simple"
    fond: bool = False
    negated: bool = False
    fronted: bool = False


@dataclass(frozen=True)
class Sentence:
    """A clause as a sentence.

    ``kind`` is statement, question or command. A question may have a question word (``wh``) or a questioned
    direct object (``asked``) in front. A ``conjunction`` joins a subordinate clause, which goes first if
    ``inverted``; or the sentence is a fixed ``intro`` with the clause subordinate to it.
    """

    clause: Clause
    kind: str = "statement"
    wh: Phrase | None = None
    asked: Participant | None = None
    conjunction: Phrase | None = None
    subordinate: Clause | None = None
    inverted: bool = False
    intro: Phrase | None = None
    end: str = "."


def participants(sentence: Sentence) -> list[tuple[Verb, NounPhrase]]:
    """Every noun phrase of a sentence with the verb that governs it, subjects left out."""
    governed: list[tuple[Verb, NounPhrase]] = []
    for clause in (sentence.clause, sentence.subordinate):
        if clause is not None:
            parts = [clause.object, clause.dative, clause.predicate, clause.place, *clause.manners]
            parts += [sentence.asked] if clause is sentence.clause else []
            inner = [part.object if isinstance(part, Prepositional) else part for part in parts]
            governed += [(clause.verb, part) for part in inner if isinstance(part, NounPhrase)]
    return governed


def subjects(sentence: Sentence) -> list[NounPhrase]:
    """The noun phrases that are subjects."""
    clauses = (sentence.clause, sentence.subordinate)
    return [c.subject for c in clauses if c is not None and isinstance(c.subject, NounPhrase)]
