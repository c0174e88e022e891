"""Noun phrases, places and times, drawn evenly from the lexicon."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import TypeVar

from phrasebook.clause import (
    Complement,
    NounPhrase,
    Participant,
    Phrase,
    Prepositional,
)
from phrasebook.lexicon import Adjective, Frame, Lexicon, Name, Noun, Place, Pronoun, Spot, has_class
from phrasebook.numbers import clock, number

Option = TypeVar("Option")
MINUTES = (0, 0, 5, 10, 15, 15, 20, 30, 30, 40, 45, 45, 50, 55)
SUBJECT_PRONOUNS = ("I", "I", "he", "she", "we", "they")
UNFIT = {
    "morning": ("Abend", "Nachmittag", "Stunde", "Essen", "nach"),
    "evening": ("Morgen", "früh", "Nachmittag", "Stunde", "Essen", "vor", "nach der"),
}
HOURS = {"morning": range(5, 10), "evening": range(8, 12)}


class UnsayableError(Exception):
    """Drawn at random, this came out as something that a careful speaker would not say."""


def part_of_day(frame: Frame) -> str:
    """The part of the day a frame belongs to, if any."""
    return next((part for part in UNFIT if part in frame.extras.split()), "")


class Phrases:
    """Draws the parts of clauses; every choice prefers what has been used least."""

    def __init__(self, lexicon: Lexicon, rng: Random) -> None:
        self.lexicon = lexicon
        self.rng = rng
        self.used: Counter[tuple[str, object]] = Counter()

    # Choosing

    def pick(self, options: Sequence[Option], kind: str = "") -> Option:
        """The least used of three random options."""
        if not options:
            raise UnsayableError
        drawn = [self.rng.choice(options) for _ in range(3)]
        best = min(drawn, key=lambda option: self.used[kind, option])
        self.used[kind, best] += 1
        return best

    def chance(self, probability: float) -> bool:
        """Whether to do something done with this probability."""
        return self.rng.random() < probability

    # Noun phrases

    def forms(self, noun: Noun, dets: str, many: bool = True) -> list[tuple[str, bool, bool]]:
        """The (determiner, plural, counted) a noun may take out of the determiners allowed."""
        singular, plural = noun.number != "pl", noun.number in ("both", "pl")
        forms: list[tuple[str, bool, bool]] = []
        for det in dets.split():
            if det == "the1":
                forms.append(("the", False, False))
            elif det in ("the", "own", "this", "which"):
                forms += [(det, False, False)] * 2 * singular
                forms += [(det, True, False)] * (plural and (det != "own" or many))
            elif det == "a":
                forms += [(det, False, False)] * 2 * (noun.number in ("both", "sg"))
            elif det == "num":
                forms += [("none", True, True)] * (noun.number == "both")
            else:
                forms += [("none", noun.number != "mass", False)] * (noun.number != "sg")
        return forms

    def noun_phrase(self, noun: Noun, dets: str, owner: Pronoun | None, adjectives: float) -> NounPhrase:
        """A noun with a determiner out of ``dets`` and, with some probability, an adjective."""
        if has_class(noun.classes, "people professional"):
            dets = " ".join(det for det in dets.split() if det != "own") or "the"
        if has_class(noun.classes, "unique"):
            dets = "own" if owner is not None else "the"
        if has_class(noun.classes, "family close"):
            dets = " ".join(det for det in dets.split() if det in ("own", "a", "num", "which")) or "own"
        allowed = " ".join(det for det in dets.split() if det != "own" or owner is not None)
        shared = owner is not None and owner.form == "wir"
        many = shared or has_class(noun.classes, "many family")
        forms = self.forms(noun, allowed, many)
        if not forms:
            raise UnsayableError
        if shared and has_class(noun.classes, "clothes carried"):
            forms = [row for row in forms if row[0] != "own" or row[1]]
        det, plural, counted = self.rng.choice(forms)
        return NounPhrase(
            noun=noun,
            det=det,
            plural=plural,
            adjective=self.attribute(noun, adjectives),
            owner=owner if det == "own" else None,
            count=number(self.pick(range(2, 5 if noun.sex else 13))) if counted else None,
        )

    def attribute(self, noun: Noun, probability: float) -> Adjective | None:
        """An adjective that suits the noun, or none."""
        fitting = [
            a for a in self.lexicon.adjectives if a.use in ("both", "attr") and has_class(a.classes, noun.classes)
        ]
        return self.pick(fitting) if fitting and self.chance(probability) else None

    def human(self, noun: Noun, owners: Sequence[str]) -> NounPhrase:
        """A person as a subject: relatives with a possessive, others with an article."""
        relative, friend = has_class(noun.classes, "family"), has_class(noun.classes, "acquaintance")
        owner = self.lexicon.pronouns[self.rng.choice(owners)]
        return self.noun_phrase(noun, "own" if relative else "own the" if friend else "the", owner, 0.15)

    def subject(self, classes: str, pronouns: Sequence[str] = SUBJECT_PRONOUNS) -> Participant:
        """A subject of one of the classes."""
        owners = ("I", "we", "he") if "you" not in pronouns else ("you",)
        if not has_class(classes, "person minor"):
            noun = self.pick(self.lexicon.nouns_of(classes), "subject")
            owned = has_class(noun.classes, "owned pet furniture carried clothes")
            return self.noun_phrase(noun, "the own" if owned else "the", self.lexicon.pronouns[owners[0]], 0.3)
        kind = self.rng.choices(("pronoun", "name", "noun"), (35, 15, 50))[0]
        if kind == "pronoun":
            return self.lexicon.pronouns[self.rng.choice(pronouns)]
        if kind == "name":
            return self.pick(self.lexicon.names)
        return self.human(self.pick(self.lexicon.nouns_of(classes), "subject"), owners)

    def pronoun_for(self, part: Participant) -> Pronoun:
        """The pronoun that takes up a participant."""
        if isinstance(part, Pronoun):
            return part
        if isinstance(part, NounPhrase) and part.plural:
            return self.lexicon.pronouns["they"]
        sex = part.sex if isinstance(part, Name) else part.noun.sex
        if not sex:
            raise UnsayableError
        return self.lexicon.pronouns["he" if sex == "m" else "she"]

    def owner(self, subject: Participant) -> Pronoun | None:
        """The possessor that *own* refers back to: the subject if it is a person, else the speaker."""
        if isinstance(subject, NounPhrase) and not has_class(subject.noun.classes, "person minor"):
            return self.lexicon.pronouns["I"]
        try:
            return self.pronoun_for(subject)
        except UnsayableError:
            return None

    def suits(self, noun: Noun, subject: Participant) -> bool:
        """Whether the subject may well have to do with this noun (no grandfather of a grandfather)."""
        man = subject == self.lexicon.pronouns["he"] or (isinstance(subject, Name) and subject.sex == "m")
        if not isinstance(subject, NounPhrase):
            return not (man and has_class(noun.classes, "womens"))
        if has_class(noun.classes, "womens") and subject.noun.sex == "m":
            return False
        young = has_class(subject.noun.classes, "minor child")
        if (young and has_class(noun.classes, "child adultlife")) or noun == subject.noun:
            return False
        return (
            not has_class(subject.noun.classes, "family")
            or not has_class(noun.classes, "family")
            or (has_class(noun.classes, "sibling"))
        )

    def thing(self, classes: str, dets: str, subject: Participant, adjectives: float = 0.4) -> NounPhrase:
        """An object or complement of one of the classes."""
        noun = self.pick([n for n in self.lexicon.nouns_of(classes) if self.suits(n, subject)], "object")
        return self.noun_phrase(noun, dets, self.owner(subject), adjectives)

    def recipient(self, classes: str, subject: Participant, adjectives: float = 0.2) -> Participant:
        """A dative person: a pronoun, a name or a noun."""
        kind = self.rng.choices(("pronoun", "name", "noun"), (30, 12, 58))[0]
        if classes == "minor" or kind == "noun":
            noun = self.pick([n for n in self.lexicon.nouns_of(classes) if self.suits(n, subject)], "object")
            relative = has_class(noun.classes, "family acquaintance")
            return self.noun_phrase(noun, "own" if relative else "the", self.owner(subject), adjectives)
        key = subject.key if isinstance(subject, Pronoun) else ""
        if kind == "name" and not isinstance(subject, Name):
            return self.pick(self.lexicon.names)
        options = {"I": ("he", "she"), "we": ("he", "she"), "you": ("I", "we")}.get(key, ("I", "we"))
        return self.lexicon.pronouns[self.rng.choice(options)]

    # Complements

    def place(self, kind: str, classes: str, adjectives: float = 0.12) -> Complement:
        """A place of one of the classes; ``kind`` is loc, dir or from."""
        spots: list[Spot] = [spot for spot in self.lexicon.spots if has_class(spot.classes, classes)]
        places = [place for place in self.lexicon.places if has_class(place.classes, classes)]
        options: list[Spot | Place] = [*spots, *places]
        chosen = self.pick(options)
        de, en = f"de_{kind}", f"en_{kind}"
        if isinstance(chosen, Spot):
            if not getattr(chosen, de):
                raise UnsayableError
            return Phrase(getattr(chosen, de), getattr(chosen, en))
        phrase = self.noun_phrase(self.lexicon.nouns[chosen.noun], "the", None, adjectives)
        preposition = getattr(chosen, de)
        case = "acc" if kind == "dir" and preposition != "zu" else "dat"
        english = "from" if kind == "from" else getattr(chosen, en)
        return Prepositional(preposition, case, english, replace(phrase, plural=False))

    def relation(self, kind: str, classes: str) -> Complement:
        """A place given by a landmark: *auf dem Tisch*, or *auf den Tisch* as a direction."""
        relation = self.pick([r for r in self.lexicon.relations if has_class(r.classes, classes)])
        phrase = self.noun_phrase(self.lexicon.nouns[relation.noun], "the", None, 0.15)
        case = "acc" if kind == "rel-dir" else "dat"
        return Prepositional(relation.de, case, relation.en, replace(phrase, plural=False))

    def frame_place(self, frame: Frame) -> Complement | None:
        """The place of a frame, if it has one (those marked ? have one in four of ten clauses)."""
        kind, _, classes = frame.place.partition(":")
        if not kind or (kind.endswith("?") and not self.chance(0.3)):
            return None
        kind = kind.removesuffix("?")
        return self.relation(kind, classes) if kind.startswith("rel") else self.place(kind, classes)

    def manners(self, frame: Frame, mode: str, subject: Participant, placed: bool) -> tuple[Complement, ...]:
        """Means of travel, company, a beneficiary or an adverb, as the frame allows."""
        extras = frame.extras.split()
        means = [m for m in self.lexicon.manners if m.key in extras and m.key in ("means", "journey")]
        if means:
            chosen = self.pick(means)
            return (Phrase(chosen.de, chosen.en),)
        general = mode == "h" and not placed
        if "with" in extras and mode != "c" and self.chance(0.25):
            company = self.thing("family acquaintance", "own", subject, 0.15)
            return (Prepositional("mit", "dat", "with", company),)
        if "for" in extras and self.chance(0.3):
            return (Prepositional("für", "acc", "for", self.thing("family acquaintance", "own", subject, 0.15)),)
        adverbs = [m for m in self.lexicon.manners if m.key in extras and (m.key != "well" or general)]
        if adverbs and mode not in "gnc" and self.chance(0.5):
            chosen = self.pick(adverbs)
            return (Phrase(chosen.de, chosen.en),)
        return ()

    def time(self, *tenses: str, part: str = "") -> Phrase:
        """A time adverbial for one of the tenses; ``part`` of the day (morning or evening) rules some out."""
        times = [time for time in self.lexicon.times if time.tense in tenses]
        chosen = self.pick([t for t in times if not any(word in t.de for word in UNFIT.get(part, ()))])
        return Phrase(chosen.de, chosen.en)

    def hour(self, part: str = "") -> Phrase:
        """An hour, perhaps with minutes: *halb acht*."""
        return clock(self.pick(HOURS.get(part, range(1, 13)), "hour"), self.rng.choice(MINUTES))

    def clock_time(self, part: str = "") -> Phrase:
        """A time of day: *um acht Uhr*."""
        time = self.hour(part)
        return Phrase(f"um {time.de}", f"at {time.en}")

    def may_front(self, time: Phrase) -> bool:
        """Whether a time adverbial may open a sentence."""
        return any(time.de == row.de and row.front == "yes" for row in self.lexicon.times)
