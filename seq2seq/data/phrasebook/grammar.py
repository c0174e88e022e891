"""The sentence plans: which clauses are worth saying, drawn evenly from the lexicon."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from random import Random
from typing import TypeVar

from seq2seq.data.phrasebook.clause import (
    Clause,
    Complement,
    NounPhrase,
    Participant,
    Phrase,
    Prepositional,
    Sentence,
)
from seq2seq.data.phrasebook.lexicon import Adjective, Frame, Lexicon, Name, Noun, Pronoun, has_class
from seq2seq.data.phrasebook.numbers import clock, number

Option = TypeVar("Option")
BECAUSE, ALTHOUGH, IF = Phrase("weil", "because"), Phrase("obwohl", "although"), Phrase("wenn", "if")
DEGREES = (Phrase("sehr", "very"), Phrase("zu", "too"), Phrase("wirklich", "really"), Phrase("", ""))
COUNTS = tuple(range(2, 13))
MINUTES = (0, 0, 5, 10, 15, 15, 20, 30, 30, 40, 45, 45, 50, 55)
PAST_MODALS = ("können", "müssen", "wollen")
SUBJECT_PRONOUNS = ("I", "he", "she", "we", "they")
COMPARABLE = (
    "sibling vehicle furniture clothes luggage pet fruit show readable building room device learner"
).split()
AGES = {"child": (2, 19), "old": (60, 99), "family": (20, 70), "acquaintance": (20, 70), "name": (2, 99)}


class UnsayableError(Exception):
    """The draw led to something that a careful speaker would not say."""


class Grammar:
    """Draws sentences; every choice prefers what has been used least."""

    def __init__(self, lexicon: Lexicon, rng: Random) -> None:
        self.lexicon = lexicon
        self.rng = rng
        self.used: Counter[tuple[str, str]] = Counter()
        self.plans: list[tuple[Callable[[], Sentence], int]] = [
            (self.statement, 34),
            (self.copula_statement, 12),
            (self.number_statement, 6),
            (self.yes_no_question, 8),
            (self.wh_question, 9),
            (self.choice_question, 3),
            (self.command, 6),
            (self.explained, 12),
            (self.conditional, 6),
            (self.reported, 10),
        ]

    def sentence(self) -> Sentence:
        """Draw a sentence."""
        plans, weights = zip(*self.plans, strict=True)
        while True:
            try:
                sentence: Sentence = self.rng.choices(plans, weights)[0]()
                return sentence
            except UnsayableError:
                continue

    # Choosing

    def pick(self, options: Sequence[Option], kind: str = "") -> Option:
        """The least used of three random options."""
        if not options:
            raise UnsayableError
        drawn = [self.rng.choice(options) for _ in range(3)]
        best = min(drawn, key=lambda option: self.used[kind, str(option)])
        self.used[kind, str(best)] += 1
        return best

    def chance(self, probability: float) -> bool:
        """Whether to do something done with this probability."""
        return self.rng.random() < probability

    # Noun phrases

    def forms(self, noun: Noun, dets: str) -> list[tuple[str, bool, bool]]:
        """The (determiner, plural, counted) a noun may take out of the determiners allowed."""
        singular, plural = noun.number != "pl", noun.number in ("both", "pl")
        found: list[tuple[str, bool, bool]] = []
        for det in dets.split():
            if det in ("the", "own", "this", "which"):
                found += [(det, False, False)] * 2 * singular + [(det, True, False)] * plural
            elif det == "a":
                found += [(det, False, False)] * 2 * (noun.number in ("both", "sg"))
            elif det == "num":
                found += [("none", True, True)] * (noun.number == "both")
            else:
                found += [("none", noun.number != "mass", False)] * (noun.number != "sg")
        return found

    def noun_phrase(self, noun: Noun, dets: str, owner: Pronoun | None, adjectives: float) -> NounPhrase:
        """A noun with a determiner out of `dets` and, with some probability, an adjective."""
        allowed = " ".join(det for det in dets.split() if det != "own" or owner is not None)
        forms = self.forms(noun, allowed)
        if not forms:
            raise UnsayableError
        det, plural, counted = self.rng.choice(forms)
        return NounPhrase(
            noun=noun,
            det=det,
            plural=plural,
            adjective=self.attribute(noun, adjectives),
            owner=owner if det == "own" else None,
            count=number(self.pick(COUNTS)) if counted else None,
        )

    def attribute(self, noun: Noun, probability: float) -> Adjective | None:
        """An adjective that suits the noun, or none."""
        fitting = [a for a in self.lexicon.adjectives if a.use in ("both", "attr") and has_class(a.classes, noun.classes)]
        return self.pick(fitting) if fitting and self.chance(probability) else None

    def human(self, noun: Noun, owners: Sequence[str]) -> NounPhrase:
        """A person as a subject: relatives with a possessive, others with an article."""
        relative, friend = has_class(noun.classes, "family"), has_class(noun.classes, "acquaintance")
        owner = self.lexicon.pronouns[self.rng.choice(owners)]
        return self.noun_phrase(noun, "own" if relative else "own the" if friend else "the", owner, 0.25)

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
        """The possessor that *own* refers back to."""
        try:
            return self.pronoun_for(subject)
        except UnsayableError:
            return None

    def suits(self, noun: Noun, subject: Participant) -> bool:
        """Whether the subject may well have to do with this noun (no grandfather of a grandfather)."""
        if not isinstance(subject, NounPhrase):
            return True
        young = has_class(subject.noun.classes, "minor child")
        if young and has_class(noun.classes, "child") or noun == subject.noun:
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

    def place(self, kind: str, classes: str, adjectives: float = 0.2) -> Complement:
        """A place of one of the classes; `kind` is loc, dir or from."""
        spots = [spot for spot in self.lexicon.spots if has_class(spot.classes, classes)]
        places = [place for place in self.lexicon.places if has_class(place.classes, classes)]
        chosen = self.pick([*spots, *(place for place in places if kind != "from")])
        de, en = f"de_{kind}", f"en_{kind}"
        if chosen in spots:
            if not getattr(chosen, de):
                raise UnsayableError
            return Phrase(getattr(chosen, de), getattr(chosen, en))
        phrase = self.noun_phrase(self.lexicon.nouns[getattr(chosen, "noun")], "the", None, adjectives)
        preposition = getattr(chosen, de)
        case = "acc" if kind == "dir" and preposition != "zu" else "dat"
        return Prepositional(preposition, case, getattr(chosen, en), replace(phrase, plural=False))

    def relation(self, kind: str, classes: str) -> Complement:
        """A place given by a landmark: *auf dem Tisch*, or *auf den Tisch* as a direction."""
        relation = self.pick([r for r in self.lexicon.relations if has_class(r.classes, classes)])
        phrase = self.noun_phrase(self.lexicon.nouns[relation.noun], "the", None, 0.25)
        case = "acc" if kind == "rel-dir" else "dat"
        return Prepositional(relation.de, case, relation.en, replace(phrase, plural=False))

    def frame_place(self, frame: Frame) -> Complement | None:
        """The place of a frame, if it has one (those marked ? have one in four of ten clauses)."""
        kind, _, classes = frame.place.partition(":")
        if not kind or (kind.endswith("?") and not self.chance(0.4)):
            return None
        kind = kind.removesuffix("?")
        return self.relation(kind, classes) if kind.startswith("rel") else self.place(kind, classes)

    def manners(self, frame: Frame, subject: Participant, placed: bool) -> tuple[Complement, ...]:
        """Means of travel, company, a beneficiary or an adverb, as the frame allows."""
        extras = frame.extras.split()
        means = [m for m in self.lexicon.manners if m.key in extras and m.key in ("means", "journey")]
        if means:
            chosen = self.pick(means)
            return (Phrase(chosen.de, chosen.en),)
        if "with" in extras and self.chance(0.25):
            company = self.thing("family acquaintance", "own", subject, 0.15)
            return (Prepositional("mit", "dat", "with", company),)
        if "for" in extras and self.chance(0.3):
            return (Prepositional("für", "acc", "for", self.thing("family acquaintance", "own", subject, 0.15)),)
        adverbs = [m for m in self.lexicon.manners if m.key in extras and not (placed and m.key == "well")]
        if adverbs and self.chance(0.5):
            chosen = self.pick(adverbs)
            return (Phrase(chosen.de, chosen.en),)
        return ()

    def time(self, *tenses: str) -> Phrase:
        """A time adverbial for one of the tenses."""
        chosen = self.pick([time for time in self.lexicon.times if time.tense in tenses])
        return Phrase(chosen.de, chosen.en)

    def clock_time(self) -> Phrase:
        """A time of day: *um acht Uhr*."""
        time = clock(self.pick(range(1, 13), "hour"), self.rng.choice(MINUTES))
        return Phrase(f"um {time.de}", f"at {time.en}")

    def may_front(self, time: Phrase) -> bool:
        """Whether a time adverbial may open a sentence."""
        return any(time.de == row.de and row.front for row in self.lexicon.times)

    # Clauses from frames

    def dets(self, frame: Frame, mode: str) -> str:
        """The determiners of the object in a mode: habits and likings are about any thing of its kind."""
        dets = frame.dets.split()
        general = [det for det in dets if det in (("zero",) if mode == "g" else ("a", "zero"))]
        return " ".join(general) if mode in "hg" and general else frame.dets

    def core(self, frame: Frame, mode: str, subject: Participant) -> Clause:
        """The clause of a frame with its complements, in the present, without time."""
        verb, place = self.lexicon.verbs[frame.verb], self.frame_place(frame)
        return Clause(
            subject=subject,
            verb=verb,
            object=self.thing(frame.object, self.dets(frame, mode), subject) if frame.object else None,
            dative=self.recipient(frame.dative, subject) if frame.dative else None,
            predicate=Phrase(frame.fixed_de, frame.fixed_en) if frame.fixed_de else None,
            place=place,
            manners=self.manners(frame, subject, place is not None),
        )

    def negatable(self, frame: Frame, clause: Clause) -> bool:
        """Whether plain *nicht* or *kein* negates the clause without a shift of meaning."""
        adverb = any(isinstance(manner, Phrase) for manner in clause.manners)
        part = clause.object
        counted = isinstance(part, NounPhrase) and part.count is not None
        vague = isinstance(part, NounPhrase) and part.indefinite and "+" in clause.verb.case
        return not (adverb or counted or vague or frame.fixed_de or "clock" in frame.extras)

    def habit(self, frame: Frame, clause: Clause) -> Clause:
        """A habit: the present with a frequency, a repeated time or a time of day."""
        if "clock" in frame.extras.split() and not clause.manners and self.chance(0.6):
            repeated = (self.time("habit"),) if self.chance(0.3) else ()
            if repeated and repeated[0].de.startswith(("am", "nach", "vor")):
                raise UnsayableError
            return replace(clause, times=(*repeated, self.clock_time()))
        if self.chance(0.35):
            return replace(clause, frequency=self.time("frequency"))
        return replace(clause, times=(self.time("rare" if "rare" in frame.extras else "habit"),))

    def dated(self, frame: Frame, clause: Clause, tense: str) -> Clause:
        """A clause in the past or future with its time."""
        clock_fits = "clock" in frame.extras.split() and not clause.manners and self.chance(0.4)
        day = self.time(tense)
        if clock_fits and day.de.split()[0] in ("gestern", "heute", "morgen"):
            return replace(clause, tense=tense, times=(day, self.clock_time()))
        return replace(clause, tense=tense, times=(day,))

    def with_modal(self, clause: Clause, infinitive: str = "") -> Clause:
        """A clause with a modal, sometimes in the past."""
        names = [infinitive] if infinitive else list(self.lexicon.modals)
        modal = self.lexicon.modals[self.pick(names)]
        if modal.infinitive in PAST_MODALS and self.chance(0.25):
            return replace(clause, modal=modal, tense="past", times=(self.time("past"),))
        times = (self.time("future"),) if not clause.manners and self.chance(0.5) else ()
        return replace(clause, modal=modal, times=times)

    def in_mode(self, frame: Frame, mode: str, subject: Participant) -> Clause:
        """The clause of a frame in one of its modes."""
        clause = self.core(frame, mode, subject)
        if mode == "h":
            return self.habit(frame, clause)
        if mode in "pf":
            clause = self.dated(frame, clause, {"p": "past", "f": "future"}[mode])
        elif mode == "m":
            clause = self.with_modal(clause)
        elif mode in "nl":
            return replace(clause, aspect="now" if mode == "n" else "posture")
        elif mode == "g":
            return replace(clause, fond=True)
        negatable = self.negatable(frame, clause) and (clause.modal is None or clause.modal.negatable)
        return replace(clause, negated=bool(negatable) and self.chance(0.2))

    def framed(self, modes: str, pronouns: Sequence[str] = SUBJECT_PRONOUNS) -> tuple[Frame, Clause]:
        """A clause in one of the modes."""
        mode = self.rng.choice(modes)
        frame = self.pick([frame for frame in self.lexicon.frames if mode in frame.modes], mode)
        return frame, self.in_mode(frame, mode, self.subject(frame.subject, pronouns))

    # Copular clauses

    def described(self, speaker: str = "I") -> Clause:
        """A thing or person is like this: adjective, two adjectives or a comparison."""
        adjective = self.pick([a for a in self.lexicon.adjectives if a.use != "attr"])
        noun = self.pick(self.lexicon.nouns_of(adjective.classes), "subject")
        subject = self.topic(noun, speaker)
        predicate: Complement = self.degree(adjective)
        if adjective.comparative and self.chance(0.4):
            predicate = self.comparison(adjective, subject)
        elif self.chance(0.2):
            predicate = self.contrast(adjective, noun)
        tense = self.rng.choices(("present", "past"), (2, 1))[0]
        clause = Clause(subject, self.lexicon.verbs["sein"], predicate=predicate, tense=tense)
        return replace(
            clause,
            negated=isinstance(predicate, Phrase)
            and "aber" not in predicate.de
            and "wirklich" not in predicate.de
            and self.chance(0.2),
        )

    def topic(self, noun: Noun, speaker: str) -> NounPhrase:
        """A noun phrase to say something about."""
        owner = self.lexicon.pronouns[speaker]
        owned = has_class(noun.classes, "family acquaintance owned pet clothes carried room home housing device")
        dets = "own" if has_class(noun.classes, "family") else "the this own" if owned else "the this"
        return self.noun_phrase(noun, dets, owner, 0)

    def degree(self, adjective: Adjective) -> Phrase:
        """The adjective, often with a degree adverb."""
        absolute = not adjective.comparative and adjective.de not in (
            "müde",
            "hungrig",
            "glücklich",
            "heiß",
            "kalt",
            "neu",
        )
        degree = Phrase("", "") if absolute else self.rng.choice(DEGREES)
        return Phrase(f"{degree.de} {adjective.de}".strip(), f"{degree.en} {adjective.en}".strip())

    def contrast(self, adjective: Adjective, noun: Noun) -> Phrase:
        """Two adjectives: *klein, aber bequem*."""
        fitting = [a for a in self.lexicon.adjectives if a.use != "comp" and has_class(a.classes, noun.classes)]
        other = self.pick([a for a in fitting if a.de in adjective.contrast.split()])
        return Phrase(f"{adjective.de}, aber {other.de}", f"{adjective.en} but {other.en}")

    def comparison(self, adjective: Adjective, subject: NounPhrase) -> Prepositional:
        """A comparison with a thing of the same kind."""
        kinds = " ".join(set(subject.noun.classes.split()) & set(COMPARABLE))
        nouns = [n for n in self.lexicon.nouns_of(kinds) if n != subject.noun]
        noun = self.pick([n for n in nouns if has_class(n.classes, adjective.classes)], "object")
        other = self.noun_phrase(noun, "own" if subject.det == "own" else "the", subject.owner, 0)
        if other.plural != subject.plural:
            raise UnsayableError
        return Prepositional(f"{adjective.comparative} als", "nom", f"{adjective.en_comparative} than", other)

    def profession(self) -> Clause:
        """What somebody does for a living; the noun agrees with the person's sex."""
        noun = self.pick(self.lexicon.nouns_of("family acquaintance"), "subject")
        subject = self.pick(self.lexicon.names) if self.chance(0.3) else self.human(noun, ("I", "we", "he"))
        sex = self.pronoun_for(subject).key
        if sex not in ("he", "she") or (isinstance(subject, NounPhrase) and subject.noun.de in ("Lehrerin", "Chef")):
            raise UnsayableError
        row = self.pick(self.lexicon.professions)
        german = row.masculine if sex == "he" else row.feminine
        article = "an" if row.en[0] in "aeiou" else "a"
        predicate = Phrase(german, f"{article} {row.en}")
        return Clause(replace(subject, adjective=None) if isinstance(subject, NounPhrase) else subject,
                      self.lexicon.verbs["sein"], predicate=predicate)

    def aged(self) -> Clause:
        """How old somebody is."""
        group = self.rng.choice(list(AGES))
        subject: Participant = self.pick(self.lexicon.names)
        if group != "name":
            noun = self.pick([n for n in self.lexicon.nouns_of(group) if n.number != "pl"], "subject")
            own = has_class(noun.classes, "family acquaintance") and not has_class(noun.classes, "minor")
            subject = self.noun_phrase(noun, "own" if own else "the", self.lexicon.pronouns[self.rng.choice(("I", "we"))], 0)
            subject = replace(subject, plural=False)
        age = number(self.pick(range(AGES[group][0], AGES[group][1] + 1), "number"))
        predicate = Phrase(f"{age.de} Jahre alt", f"{age.en} years old")
        return Clause(subject, self.lexicon.verbs["sein"], predicate=predicate)

    def priced(self) -> Clause:
        """What something costs."""
        noun = self.pick(self.lexicon.nouns_of("goods"), "subject")
        subject = self.noun_phrase(noun, "the this", None, 0.4)
        euros = self.pick(range(2, 100), "price")
        return Clause(subject, self.lexicon.verbs["kosten"], predicate=Phrase(f"{euros} Euro", f"{euros} euros"))

    def oclock(self) -> Clause:
        """What time it is."""
        time = clock(self.pick(range(1, 13), "hour"), self.rng.choice(MINUTES))
        return Clause(self.lexicon.pronouns["it"], self.lexicon.verbs["sein"], predicate=time)

    # Reasons and conditions

    def reason(self, theme: str, subject: Participant, past: bool) -> Clause:
        """A reason of a theme, about the subject or about the weather."""
        rows = [r for r in self.lexicon.reasons if r.theme == theme and (past or r.tense != "past")]
        row = self.pick(rows)
        subject = self.lexicon.pronouns["it"] if row.subject == "it" else subject
        predicate = Phrase(row.fixed_de, row.fixed_en) if row.fixed_de else None
        tense = "past" if past else "present"
        return Clause(subject, self.lexicon.verbs[row.verb], predicate=predicate, tense=tense)

    def themed(self, column: str) -> tuple[Frame, str]:
        """A frame and one of its themes out of `because` or `despite`."""
        theme = self.pick(sorted({row.theme for row in self.lexicon.reasons}), column)
        frames = [f for f in self.lexicon.frames if has_class(getattr(f, column), theme)]
        return self.pick(frames, column), theme

    # Sentences

    def front(self, clause: Clause) -> Clause:
        """Sometimes move the first time adverbial to the front; always if *nicht* would cling to it."""
        movable = bool(clause.times) and self.may_front(clause.times[0])
        if clause.negated and clause.times and not movable:
            raise UnsayableError
        return replace(clause, fronted=movable and (clause.negated or self.chance(0.4)))

    def statement(self) -> Sentence:
        """A statement from a frame."""
        _, clause = self.framed("hhpppffmmmngslll")
        return Sentence(self.front(clause))

    def copula_statement(self) -> Sentence:
        """A statement with *to be*, or about the weather."""
        kind = self.rng.random()
        if kind < 0.75:
            return Sentence(self.described(self.rng.choice(("I", "we"))))
        if kind < 0.85:
            return Sentence(self.profession())
        clause = self.reason(self.rng.choice(("rain", "sun", "cold", "hot")), self.lexicon.pronouns["it"], False)
        tense = self.rng.choice(("past", "future"))
        place = self.place("loc", "city") if self.chance(0.6) else None
        return Sentence(self.front(replace(clause, tense=tense, times=(self.time(tense),), place=place)))

    def number_statement(self) -> Sentence:
        """A statement about an age, a price or the time of day."""
        return Sentence(self.rng.choice((self.aged, self.aged, self.priced, self.priced, self.oclock))())

    def yes_no_question(self) -> Sentence:
        """A yes/no question, mostly to the listener."""
        if self.chance(0.2):
            clause = self.described("you")
        else:
            _, clause = self.framed("hpppfmmgsn", ("you", "you", "you", "he", "she"))
        return Sentence(replace(clause, negated=False), "question", end="?")

    def wh_question(self) -> Sentence:
        """A question with a question word."""
        plans = (self.ask_when, self.ask_where, self.ask_what, self.ask_who, self.ask_why, self.ask_how)
        return replace(self.rng.choice(plans)(), kind="question", end="?")

    def asked_clause(self, modes: str, suitable: Callable[[Frame], bool]) -> tuple[Frame, Clause]:
        """A clause for a question, never negated."""
        pronouns = ("you", "you", "you", "he", "she")
        mode = self.rng.choice(modes)
        frames = [f for f in self.lexicon.frames if mode in f.modes and suitable(f)]
        frame = self.pick(frames, f"ask {mode}")
        clause = self.in_mode(frame, mode, self.subject(frame.subject, pronouns))
        return frame, replace(clause, negated=False)

    def ask_when(self) -> Sentence:
        """When?"""
        _, clause = self.asked_clause("ppfm", lambda frame: True)
        if any(isinstance(manner, Phrase) and manner.en in ("early", "late") for manner in clause.manners):
            raise UnsayableError
        tense = "present" if clause.modal is not None else clause.tense
        return Sentence(replace(clause, times=(), tense=tense), wh=Phrase("wann", "when"))

    def ask_where(self) -> Sentence:
        """Where, or where to?"""
        _, clause = self.asked_clause("hppfms", lambda frame: frame.place.startswith(("loc", "dir", "rel")))
        dir_ = self.direction
        wh = Phrase("wohin" if dir_(clause) else "wo", "where")
        if clause.place is None or clause.predicate is not None:
            raise UnsayableError
        return Sentence(replace(clause, place=None), wh=wh)

    def ask_what(self) -> Sentence:
        """What?"""
        things = "food drink goods gift readable document carried clothes show"
        fits: Callable[[Frame], bool] = lambda frame: has_class(frame.object, things)
        _, clause = self.asked_clause("hpppfmmn", fits)
        return Sentence(replace(clause, object=None), wh=Phrase("was", "what"))

    def ask_who(self) -> Sentence:
        """Who (as a subject or as an object)?"""
        who = self.lexicon.pronouns["who"]
        if self.chance(0.6):
            frames = [f for f in self.lexicon.frames if has_class(f.subject, "person") and has_class("p m", "p")]
            frame = self.pick([f for f in frames if "p" in f.modes], "who")
            return Sentence(replace(self.in_mode(frame, "p", who), negated=False))
        fits: Callable[[Frame], bool] = lambda f: has_class(f.object, "person family acquaintance professional minor")
        _, clause = self.asked_clause("ppfm", fits)
        wh = {"acc": Phrase("wen", "who"), "dat": Phrase("wem", "who")}.get(clause.verb.case)
        if wh is None:
            raise UnsayableError
        return Sentence(replace(clause, object=None), wh=wh)

    def ask_why(self) -> Sentence:
        """Why?"""
        _, clause = self.asked_clause("pp", lambda frame: bool(frame.because or frame.despite))
        return Sentence(clause, wh=Phrase("warum", "why"))

    def ask_how(self) -> Sentence:
        """How old, how much, how often?"""
        kind = self.rng.randrange(3)
        if kind == 0:
            clause = self.aged()
            subject = clause.subject
            if isinstance(subject, NounPhrase) and subject.det == "own":
                subject = replace(subject, owner=self.lexicon.pronouns["you"])
            return Sentence(replace(clause, subject=subject, predicate=None), wh=Phrase("wie alt", "how old"))
        if kind == 1:
            return Sentence(replace(self.priced(), predicate=None), wh=Phrase("wie viel", "how much"))
        _, clause = self.asked_clause("h", lambda frame: True)
        return Sentence(replace(clause, times=(), frequency=None), wh=Phrase("wie oft", "how often"))

    def choice_question(self) -> Sentence:
        """Which book? How many books?"""
        fits: Callable[[Frame], bool] = lambda f: has_class(f.object, "food goods readable clothes show text word furniture")
        _, clause = self.asked_clause("ppmm", fits)
        if not isinstance(clause.object, NounPhrase) or clause.object.noun.number == "mass":
            raise UnsayableError
        noun, adjective = clause.object.noun, clause.object.adjective
        asked = NounPhrase(noun, "which", clause.object.plural)
        if self.chance(0.5) and noun.number == "both":
            asked = NounPhrase(noun, "none", True, adjective, count=Phrase("wie viele", "how many"))
        return Sentence(replace(clause, object=None), "question", asked=asked, end="?")

    def command(self) -> Sentence:
        """A polite command."""
        frame = self.pick([frame for frame in self.lexicon.frames if "c" in frame.modes], "command")
        you = self.lexicon.pronouns["you"]
        frame = replace(frame, dets=" ".join(d for d in frame.dets.split() if d in ("own", "the")) or frame.dets)
        clause = self.core(frame, "c", you)
        if frame.verb == "vergessen":
            return Sentence(replace(clause, negated=True, place=None), "command")
        times = (self.time("future"),) if self.chance(0.25) else ()
        return Sentence(replace(clause, times=times), "command")

    def explained(self) -> Sentence:
        """A main clause with *weil* or *obwohl*, in either order."""
        column = self.rng.choice(("because", "because", "despite"))
        frame, theme = self.themed(column)
        past, inverted = self.chance(0.55) and "p" in frame.modes, self.chance(0.4)
        subject = self.subject(frame.subject)
        first, second = (subject, self.pronoun_for(subject))
        reason = self.reason(theme, first if inverted else second, past)
        weather = isinstance(reason.subject, Pronoun) and reason.subject.key == "it"
        clause = self.core(frame, "p" if past else "m", second if inverted and not weather else first)
        if past:
            times = (self.time("past"),) if self.chance(0.5) else ()
            clause = replace(clause, tense="past", times=times)
        else:
            modal = self.pick(("müssen", "wollen", "möchten") if column == "because" else ("müssen", "wollen"))
            clause = replace(clause, modal=self.lexicon.modals[modal])
        conjunction = BECAUSE if column == "because" else ALTHOUGH
        return Sentence(clause, conjunction=conjunction, subordinate=reason, inverted=inverted)

    def conditional(self) -> Sentence:
        """A condition with *wenn*: a habit, or a prediction about the weather."""
        frame, theme = self.themed("because")
        subject = self.subject(frame.subject)
        condition = self.reason(theme, subject, False)
        if isinstance(condition.subject, Pronoun) and condition.subject.key == "it":
            day = self.pick([t for t in self.lexicon.times if t.de.startswith(("morgen", "heute A", "am W"))])
            condition = replace(condition, times=(Phrase(day.de, day.en),))
            clause = replace(self.core(frame, "f", subject), tense="future")
        else:
            usual = self.pick([t for t in self.lexicon.times if t.de in ("oft", "meistens", "manchmal", "immer")])
            clause = replace(self.core(frame, "h", self.pronoun_for(subject)), frequency=Phrase(usual.de, usual.en))
        return Sentence(clause, conjunction=IF, subordinate=condition, inverted=True)

    def reported(self) -> Sentence:
        """A clause that somebody knows, says or asks about."""
        intro = self.pick(self.lexicon.intros)
        if self.chance(0.25):
            clause = self.described()
        else:
            _, clause = self.framed("hppfmslg", ("he", "she", "they"))
        if intro.conjunction == "ob":
            clause = replace(clause, negated=False)
        english = "that" if intro.conjunction == "dass" else "whether"
        return Sentence(clause, conjunction=Phrase(intro.conjunction, english), intro=Phrase(intro.de, intro.en), end=intro.end)

    @staticmethod
    def direction(clause: Clause) -> bool:
        """Whether the place of a clause is where something goes."""
        place = clause.place
        if isinstance(place, Prepositional):
            return place.case == "acc" or place.de == "zu"
        return place is not None and place.en.startswith(("to ", "into ", "home"))
