"""Clauses that make sense: from the frames of verbs, with *to be*, and as reasons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from phrasebook.clause import (
    Clause,
    Complement,
    NounPhrase,
    Participant,
    Phrase,
    Prepositional,
)
from phrasebook.german import form
from phrasebook.lexicon import Adjective, Frame, Noun, Pronoun, has_class
from phrasebook.numbers import number
from phrasebook.phrases import SUBJECT_PRONOUNS, Phrases, UnsayableError, part_of_day

DEGREES = (Phrase("sehr", "very"), Phrase("zu", "too"), Phrase("wirklich", "really"), Phrase("", ""))
PAST_MODALS = ("können", "müssen", "wollen")
OWNABLE = "family acquaintance owned pet clothes carried room home housing device"
COMPARABLE = "sibling vehicle furniture clothes luggage pet fruit show readable lodging dining room device learner"
AGES = {
    "child minor sibling": (2, 19),
    "old": (60, 99),
    "adult": (20, 70),
    "acquaintance": (20, 70),
    "name": (18, 99),
}
DAY_PARTS = ("Morgen", "Nachmittag", "Abend", "Essen", "Arbeit")


def modals_for(frame: Frame) -> list[str]:
    """The modals that a frame may take: not every action can be an obligation, or be permitted."""
    extras = frame.extras.split()
    duty = [] if "fun" in extras else ["müssen", "sollen"]
    return ["können", "wollen", "möchten", *duty, *(["dürfen"] if "may" in extras else [])]


class Clauses(Phrases):
    """Draws clauses."""

    # Clauses from frames

    def dets(self, frame: Frame, mode: str) -> str:
        """The determiners of the object in a mode: habits and likings are about any thing of its kind."""
        dets = frame.dets.split()
        general = [det for det in dets if det in (("zero",) if mode == "g" else ("a", "zero"))]
        return " ".join(general) if mode in "hg" and general else frame.dets

    def core(self, frame: Frame, mode: str, subject: Participant) -> Clause:
        """The clause of a frame with its complements, in the present, without time."""
        verb, place = self.lexicon.verbs[frame.verb], self.frame_place(frame)
        if verb.id == "gehören" and isinstance(subject, NounPhrase):
            subject = replace(subject, det="this", owner=None)
        attributes = 0.0 if "plain" in frame.extras else 0.3
        clause = Clause(
            subject=subject,
            verb=verb,
            object=self.thing(frame.object, self.dets(frame, mode), subject, attributes) if frame.object else None,
            dative=self.recipient(frame.dative, subject) if frame.dative else None,
            predicate=Phrase(frame.fixed_de, frame.fixed_en) if frame.fixed_de else None,
            place=place,
            manners=self.manners(frame, mode, subject, place is not None),
        )
        part = clause.object
        one_a_person = "each" in frame.extras and form(subject) == "wir"
        if one_a_person and isinstance(part, NounPhrase) and part.det == "a":
            raise UnsayableError  # several people do not share a hat
        return clause

    def negatable(self, frame: Frame, clause: Clause) -> bool:
        """Whether plain *nicht* or *kein* negates the clause without a shift of meaning."""
        part = clause.object
        counted = isinstance(part, NounPhrase) and part.count is not None
        vague = isinstance(part, NounPhrase) and part.indefinite and "+" in clause.verb.case
        return not (clause.manners or counted or vague or frame.fixed_de or "clock" in frame.extras)

    def habit(self, frame: Frame, clause: Clause) -> Clause:
        """A habit: the present with a frequency, a repeated time or a time of day."""
        part, person = part_of_day(frame), has_class(frame.subject, "person minor")
        if "clock" in frame.extras.split() and not clause.manners and self.chance(0.6 if person else 1):
            repeated = (self.time("habit", part=part),) if self.chance(0.3) else ()
            if repeated and any(part in repeated[0].de for part in DAY_PARTS):
                raise UnsayableError
            return replace(clause, times=(*repeated, self.clock_time(part)))
        if any(isinstance(manner, Phrase) and manner.de == "gut" for manner in clause.manners):
            return clause
        if self.chance(0.35):
            return replace(clause, frequency=self.time("frequency"))
        return replace(clause, times=(self.time("rare" if "rare" in frame.extras else "habit", part=part),))

    def dated(self, frame: Frame, clause: Clause, tense: str) -> Clause:
        """A clause in the past or future with its time."""
        clock_fits = "clock" in frame.extras.split() and not clause.manners and self.chance(0.4)
        part = part_of_day(frame)
        day = self.time(tense, *([f"far{tense}"] if "far" in frame.extras else []), part=part)
        if day.de == "morgen" and clause.manners:
            raise UnsayableError  # *morgen früh* would be tomorrow morning
        if clock_fits and day.de in ("gestern", "heute", "morgen"):
            return replace(clause, tense=tense, times=(day, self.clock_time(part)))
        return replace(clause, tense=tense, times=(day,))

    def with_modal(self, frame: Frame, clause: Clause) -> Clause:
        """A clause with a modal, sometimes in the past."""
        modal = self.lexicon.modals[self.pick(modals_for(frame), "modal")]
        addressed = isinstance(clause.subject, Pronoun) and clause.subject.key == "you"
        if addressed and modal.infinitive in ("sollen", "dürfen"):
            raise UnsayableError
        part = part_of_day(frame)
        if modal.infinitive in PAST_MODALS and self.chance(0.25):
            unable = modal.infinitive == "können"  # a single success is not "could" in English
            if unable and not self.negatable(frame, clause):
                raise UnsayableError
            past = self.time("past", part=part)
            return replace(clause, modal=modal, tense="past", times=(past,), negated=unable)
        times = (self.time("future", part=part),) if not clause.manners and self.chance(0.35) else ()
        return replace(clause, modal=modal, times=times)

    def in_mode(self, frame: Frame, mode: str, subject: Participant) -> Clause:
        """The clause of a frame in one of its modes."""
        clause = self.core(frame, mode, subject)
        if mode == "h":
            return self.habit(frame, clause)
        if mode in "pf":
            clause = self.dated(frame, clause, {"p": "past", "f": "future"}[mode])
        elif mode == "m":
            clause = self.with_modal(frame, clause)
        elif mode in "nl":
            return replace(clause, aspect="now" if mode == "n" else "posture")
        elif mode == "g":
            return replace(clause, fond=True)
        if clause.negated:
            return clause
        negatable = self.negatable(frame, clause) and (clause.modal is None or clause.modal.negatable == "yes")
        return replace(clause, negated=bool(negatable) and self.chance(0.2))

    def framed(self, modes: str, pronouns: Sequence[str] = SUBJECT_PRONOUNS) -> tuple[Frame, Clause]:
        """A clause in one of the modes."""
        mode = self.rng.choice(modes)
        frame = self.pick([frame for frame in self.lexicon.frames if mode in frame.modes], mode)
        return frame, self.in_mode(frame, mode, self.subject(frame.subject, pronouns))

    # Copular clauses

    def described(self, speaker: str = "I") -> Clause:
        """A thing or person is like this: adjective, two adjectives or a comparison."""
        adjective = self.pick([a for a in self.lexicon.adjectives if a.use != "attr"], "predicate")
        noun = self.pick(self.lexicon.nouns_of(adjective.classes), "subject")
        subject = self.topic(noun, speaker)
        predicate: Complement = self.degree(adjective)
        if adjective.use == "comp" or (adjective.comparative and self.chance(0.35)):
            predicate = self.comparison(adjective, subject)
        elif self.chance(0.2):
            predicate = self.contrast(adjective, noun)
        tense = "past" if adjective.use != "comp" and self.chance(0.33) else "present"
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
        owned = has_class(noun.classes, OWNABLE)
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
        fitting = [degree for degree in DEGREES if degree.de != "zu" or adjective.excess]
        degree = Phrase("", "") if absolute else self.rng.choice(fitting)
        return Phrase(f"{degree.de} {adjective.de}".strip(), f"{degree.en} {adjective.en}".strip())

    def contrast(self, adjective: Adjective, noun: Noun) -> Phrase:
        """Two adjectives: *klein, aber bequem*."""
        fitting = [a for a in self.lexicon.adjectives if a.use != "comp" and has_class(a.classes, noun.classes)]
        other = self.pick([a for a in fitting if a.de in adjective.contrast.split()])
        return Phrase(f"{adjective.de}, aber {other.de}", f"{adjective.en} but {other.en}")

    def comparison(self, adjective: Adjective, subject: NounPhrase) -> Prepositional:
        """A comparison with a thing of the same kind."""
        kinds = " ".join(set(subject.noun.classes.split()) & set(COMPARABLE.split()))
        nouns = [n for n in self.lexicon.nouns_of(kinds) if n != subject.noun]
        noun = self.pick([n for n in nouns if has_class(n.classes, adjective.classes)], "object")
        own = subject.det == "own" and has_class(noun.classes, OWNABLE)
        other = self.noun_phrase(noun, "own" if own else "the", subject.owner, 0)
        if other.plural != subject.plural:
            raise UnsayableError
        return Prepositional(f"{adjective.comparative} als", "nom", f"{adjective.en_comparative} than", other)

    def profession(self) -> Clause:
        """What somebody does for a living; the noun agrees with the person's sex."""
        noun = self.pick(self.lexicon.nouns_of("family acquaintance"), "subject")
        subject = self.pick(self.lexicon.names) if self.chance(0.3) else self.human(noun, ("I", "we", "he"))
        sex = self.pronoun_for(subject).key
        if sex not in ("he", "she") or (
            isinstance(subject, NounPhrase) and subject.noun.de in ("Lehrerin", "Chef")
        ):
            raise UnsayableError
        row = self.pick(self.lexicon.professions)
        german = row.masculine if sex == "he" else row.feminine
        article = "an" if row.en[0] in "aeiou" else "a"
        predicate = Phrase(german, f"{article} {row.en}")
        return Clause(
            replace(subject, adjective=None) if isinstance(subject, NounPhrase) else subject,
            self.lexicon.verbs["sein"],
            predicate=predicate,
        )

    def aged(self) -> Clause:
        """How old somebody is."""
        group = self.rng.choice(list(AGES))
        subject: Participant = self.pick(self.lexicon.names)
        if group != "name":
            noun = self.pick([n for n in self.lexicon.nouns_of(group) if n.number != "pl"], "subject")
            own = has_class(noun.classes, "family acquaintance") and not has_class(noun.classes, "minor")
            subject = self.noun_phrase(
                noun, "own" if own else "the", self.lexicon.pronouns[self.rng.choice(("I", "we"))], 0
            )
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
        return Clause(self.lexicon.pronouns["it"], self.lexicon.verbs["sein"], predicate=self.hour())

    # Reasons and conditions

    def reason(self, theme: str, subject: Participant, past: bool) -> Clause:
        """A reason of a theme, about the subject or about the weather."""
        rows = [r for r in self.lexicon.reasons if r.theme == theme and (past or r.tense != "past")]
        row = self.pick(rows)
        subject = self.lexicon.pronouns["it"] if row.subject == "it" else subject
        predicate = Phrase(row.fixed_de, row.fixed_en) if row.fixed_de else None
        tense = "past" if past else "present"
        return Clause(subject, self.lexicon.verbs[row.verb], predicate=predicate, tense=tense)

    def modals(self, theme: str) -> list[str]:
        """The modals that fit the consequences of a theme."""
        return next(row.modals.split() for row in self.lexicon.reasons if row.theme == theme)

    def themed(self, column: str, mode: str) -> tuple[Frame, str]:
        """A frame and one of its themes out of ``because`` or ``despite``."""
        theme = self.pick(sorted({row.theme for row in self.lexicon.reasons}), column)
        frames = [f for f in self.lexicon.frames if has_class(getattr(f, column), theme) and mode in f.modes]
        return self.pick(frames, column), theme
