"""The sentence plans."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random

from phrasebook.clause import (
    Clause,
    Complement,
    NounPhrase,
    Phrase,
    Prepositional,
    Sentence,
)
from phrasebook.clauses import Clauses
from phrasebook.lexicon import Frame, Lexicon, Pronoun, has_class
from phrasebook.phrases import UnsayableError, part_of_day

BECAUSE, ALTHOUGH, IF = Phrase("weil", "because"), Phrase("obwohl", "although"), Phrase("wenn", "if")


def means_only(frame: Frame, clause: Clause) -> tuple[Complement, ...]:
    """The manner adverbials of a clause without those that a question would stress."""
    return clause.manners if has_class(frame.extras, "means journey") else ()


class Grammar(Clauses):
    """Draws sentences."""

    def __init__(self, lexicon: Lexicon, rng: Random) -> None:
        super().__init__(lexicon, rng)
        self.plans: list[tuple[Callable[[], Sentence], int]] = [
            (self.statement, 40),
            (self.copula_statement, 20),
            (self.number_statement, 11),
            (self.yes_no_question, 10),
            (self.wh_question, 10),
            (self.choice_question, 3),
            (self.command, 8),
            (self.explained, 6),
            (self.conditional, 4),
            (self.reported, 6),
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

    def front(self, clause: Clause) -> Clause:
        """Sometimes move the first time adverbial to the front; always if *nicht* would cling to it."""
        movable = bool(clause.times) and self.may_front(clause.times[0])
        if clause.negated and clause.times and not movable:
            raise UnsayableError
        return replace(clause, fronted=movable and (clause.negated or self.chance(0.4)))

    def statement(self) -> Sentence:
        """A statement from a frame."""
        _, clause = self.framed("hhhpppffmmmngslll")
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
            self.check_askable(clause)
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
        self.check_askable(clause)
        return frame, replace(clause, negated=False)

    @staticmethod
    def check_askable(clause: Clause) -> None:
        """Nobody asks whether something is rarely the case, or whether it could not be done."""
        if clause.modal is not None and clause.modal.infinitive == "können" and clause.tense == "past":
            raise UnsayableError
        if clause.frequency is not None and clause.frequency.de not in ("oft", "immer"):
            raise UnsayableError

    def ask_when(self) -> Sentence:
        """When?"""
        _, clause = self.asked_clause("ppfm", lambda frame: True)
        tense = "present" if clause.modal is not None else clause.tense
        return Sentence(replace(clause, times=(), tense=tense, manners=()), wh=Phrase("wann", "when"))

    def ask_where(self) -> Sentence:
        """Where, or where to?"""
        frame, clause = self.asked_clause("hppfms", lambda frame: frame.place.startswith(("loc", "dir", "rel")))
        dir_ = self.direction
        wh = Phrase("wohin" if dir_(clause) else "wo", "where")
        if clause.place is None or clause.predicate is not None or frame.verb == "kommen":
            raise UnsayableError
        return Sentence(replace(clause, place=None, manners=means_only(frame, clause)), wh=wh)

    def ask_what(self) -> Sentence:
        """What?"""
        things = "food drink goods gift readable document carried clothes show"

        def fits(frame: Frame) -> bool:
            return has_class(frame.object, things) and self.lexicon.verbs[frame.verb].case == "acc"

        _, clause = self.asked_clause("hpppfmmn", fits)
        return Sentence(replace(clause, object=None), wh=Phrase("was", "what"))

    def ask_who(self) -> Sentence:
        """Who (as a subject or as an object)?"""
        who = self.lexicon.pronouns["who"]
        if self.chance(0.6):
            frames = [f for f in self.lexicon.frames if has_class(f.subject, "person")]
            frame = self.pick([f for f in frames if "p" in f.modes], "who")
            return Sentence(replace(self.in_mode(frame, "p", who), negated=False))

        def fits(f: Frame) -> bool:
            return has_class(f.object, "person family acquaintance professional minor")

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
        frame, clause = self.asked_clause("h", lambda frame: has_class(frame.subject, "person"))
        clause = replace(clause, times=(), frequency=None, manners=means_only(frame, clause))
        return Sentence(clause, wh=Phrase("wie oft", "how often"))

    def choice_question(self) -> Sentence:
        """Which book? How many books?"""

        def fits(f: Frame) -> bool:
            return has_class(f.object, "food goods readable clothes show text word furniture")

        frame, clause = self.asked_clause("ppmm", fits)
        if (
            clause.verb.case != "acc"
            or not isinstance(clause.object, NounPhrase)
            or clause.object.noun.number == "mass"
        ):
            raise UnsayableError
        noun, adjective = clause.object.noun, clause.object.adjective
        asked = NounPhrase(noun, "which", clause.object.plural)
        if self.chance(0.5) and "num" in frame.dets.split():
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
        times = (self.time("future", part=part_of_day(frame)),) if self.chance(0.25) else ()
        if times and times[0].de.startswith("in "):
            raise UnsayableError
        return Sentence(replace(clause, times=times), "command")

    def explained(self) -> Sentence:
        """A main clause with *weil* or *obwohl*, in either order."""
        column = self.rng.choice(("because", "because", "despite"))
        past, inverted = self.chance(0.55), self.chance(0.4)
        frame, theme = self.themed(column, "p" if past else "m")
        subject = self.subject(frame.subject)
        first, second = (subject, self.pronoun_for(subject))
        reason = self.reason(theme, first if inverted else second, past)
        weather = isinstance(reason.subject, Pronoun) and reason.subject.key == "it"
        clause = self.core(frame, "p" if past else "m", first)
        clause = replace(clause, subject=second if inverted and not weather else first)
        if past:
            times = (self.time("past", part=part_of_day(frame)),) if self.chance(0.25) else ()
            clause = replace(clause, tense="past", times=times)
        else:
            modal = self.pick(self.modals(theme)) if column == "because" else "wollen"
            clause = replace(clause, modal=self.lexicon.modals[modal])
        conjunction = BECAUSE if column == "because" else ALTHOUGH
        if reason.verb.id in ("regnen", "schneien") and not past:
            reason = replace(reason, aspect="posture")
        return Sentence(clause, conjunction=conjunction, subordinate=reason, inverted=inverted)

    def conditional(self) -> Sentence:
        """A condition with *wenn*: a habit, or a prediction about the weather."""
        frame, theme = self.themed("because", "h")
        subject = self.subject(frame.subject)
        condition = self.reason(theme, subject, False)
        if isinstance(condition.subject, Pronoun) and condition.subject.key == "it":
            day = self.pick([t for t in self.lexicon.times if t.de.startswith(("morgen", "heute A", "am W"))])
            condition = replace(condition, times=(Phrase(day.de, day.en),))
            clause = replace(self.core(frame, "f", subject), tense="future")
        else:
            usual = self.pick([t for t in self.lexicon.times if t.de in ("oft", "meistens", "manchmal", "immer")])
            clause = replace(self.core(frame, "n", subject), frequency=Phrase(usual.de, usual.en))
            clause = replace(clause, subject=self.pronoun_for(subject))
        return Sentence(clause, conjunction=IF, subordinate=condition, inverted=True)

    def reported(self) -> Sentence:
        """A clause that somebody knows, says or asks about."""
        intro = self.pick(self.lexicon.intros)
        if "s" in intro.modes and self.chance(0.3):
            clause = self.described()
        else:
            _, clause = self.framed(intro.modes, ("he", "she", "they"))
        if intro.conjunction == "ob":
            self.check_askable(clause)
            clause = replace(clause, negated=False)
        english = "that" if intro.conjunction == "dass" else "whether"
        return Sentence(
            clause, conjunction=Phrase(intro.conjunction, english), intro=Phrase(intro.de, intro.en), end=intro.end
        )

    @staticmethod
    def direction(clause: Clause) -> bool:
        """Whether the place of a clause is where something goes."""
        place = clause.place
        if isinstance(place, Prepositional):
            return place.case == "acc" or place.de == "zu"
        return place is not None and place.en.startswith(("to ", "into ", "home"))
