"""German morphology and word order."""

from __future__ import annotations

from phrasebook.clause import (
    Clause,
    Complement,
    NounPhrase,
    Participant,
    Prepositional,
    Sentence,
)
from phrasebook.lexicon import Name, Pronoun, Verb

# Endings by gender (m, f, n, p), one row per case.
STRONG = {
    "nom": {"m": "er", "f": "e", "n": "es", "p": "e"},
    "acc": {"m": "en", "f": "e", "n": "es", "p": "e"},
    "dat": {"m": "em", "f": "er", "n": "em", "p": "en"},
}
WEAK = {
    "nom": {"m": "e", "f": "e", "n": "e", "p": "en"},
    "acc": {"m": "en", "f": "e", "n": "e", "p": "en"},
    "dat": {"m": "en", "f": "en", "n": "en", "p": "en"},
}
ARTICLE = {
    "nom": {"m": "der", "f": "die", "n": "das", "p": "die"},
    "acc": {"m": "den", "f": "die", "n": "das", "p": "die"},
    "dat": {"m": "dem", "f": "der", "n": "dem", "p": "den"},
}
CONTRACTIONS = {
    "in dem": "im",
    "in das": "ins",
    "an dem": "am",
    "an das": "ans",
    "bei dem": "beim",
    "von dem": "vom",
    "zu dem": "zum",
    "zu der": "zur",
}
IRREGULAR = {
    "sein": {"ich": "bin", "er": "ist", "wir": "sind"},
    "haben": {"ich": "habe", "er": "hat", "wir": "haben"},
    "werden": {"ich": "werde", "er": "wird", "wir": "werden"},
}


def join(*parts: str) -> str:
    """Join the parts that are not empty by spaces."""
    return " ".join(part for part in parts if part)


def bare_ending(case: str, gender: str) -> bool:
    """Whether *ein* and its like take no ending here."""
    return (gender in ("m", "n") and case == "nom") or (gender == "n" and case == "acc")


def determiner(phrase: NounPhrase, case: str, gender: str, negated: bool) -> str:
    """The article, possessive, demonstrative or numeral in front of a noun phrase."""
    if phrase.det == "the":
        return ARTICLE[case][gender]
    if phrase.det in ("this", "which"):
        return {"this": "dies", "which": "welch"}[phrase.det] + STRONG[case][gender]
    if phrase.count is not None:
        return phrase.count.de
    if phrase.det == "none" and not negated:
        return ""
    stem = "kein" if negated else "ein"
    if phrase.det == "own" and phrase.owner is not None:
        stem = phrase.owner.possessive
    return stem + ("" if bare_ending(case, gender) else STRONG[case][gender])


def adjective(phrase: NounPhrase, case: str, gender: str, negated: bool) -> str:
    """The adjective of a noun phrase with its ending."""
    if phrase.adjective is None:
        return ""
    strong = phrase.det == "none" and not negated
    mixed = phrase.det in ("a", "none", "own") and bare_ending(case, gender)
    endings = STRONG if strong or mixed else WEAK
    return phrase.adjective.stem + endings[case][gender]


def noun(phrase: NounPhrase, case: str) -> str:
    """The noun in its number and case."""
    if not phrase.plural:
        return phrase.noun.oblique if phrase.noun.oblique and case != "nom" else phrase.noun.de
    plural = phrase.noun.plural
    return plural + "n" if case == "dat" and plural[-1] not in "ns" else plural


def participant(part: Participant, case: str, negated: bool = False) -> str:
    """A noun phrase, pronoun or name in the given case."""
    if isinstance(part, Pronoun):
        return {"nom": part.nominative, "acc": part.accusative, "dat": part.dative}[case]
    if isinstance(part, Name):
        return part.de if case == "nom" else part.oblique
    gender = "p" if part.plural else part.noun.gender
    negated = negated and part.indefinite
    words = determiner(part, case, gender, negated), adjective(part, case, gender, negated)
    return join(*words, noun(part, case))


def complement(part: Complement | None) -> str:
    """A fixed phrase or a prepositional phrase, contracted where German contracts it."""
    if not isinstance(part, Prepositional):
        return part.de if part is not None else ""
    first, *rest = participant(part.object, part.case).split(" ")
    definite = isinstance(part.object, NounPhrase) and part.object.det == "the"
    head = f"{part.de} {first}"
    return join(CONTRACTIONS.get(head, head) if definite else head, *rest)


def form(subject: Participant) -> str:
    """The verb form a subject takes: that of ich, er or wir."""
    if isinstance(subject, Pronoun):
        return subject.form
    return "wir" if isinstance(subject, NounPhrase) and subject.plural else "er"


def conjugate(verb: Verb, person: str, past: bool = False) -> str:
    """The finite form without separable prefix: the present, or the preterite of sein and haben."""
    if past:
        return verb.preterite + ("n" if verb.preterite.endswith("e") else "en") * (person == "wir")
    if verb.infinitive in IRREGULAR:
        return IRREGULAR[verb.infinitive][person]
    infinitive = verb.infinitive.removeprefix(verb.prefix)
    stem = infinitive.removesuffix("n").removesuffix("e")
    return {"ich": stem + "e", "er": verb.er, "wir": infinitive}[person]


def bracket(clause: Clause) -> tuple[str, str]:
    """The two halves of the sentence bracket: the finite verb and what closes the clause."""
    person, verb, past = form(clause.subject), clause.verb, clause.tense == "past"
    if clause.modal is not None:
        modal, plural = clause.modal, person == "wir"
        present = modal.plural if plural else modal.singular
        return (modal.past_plural if plural else modal.past_singular) if past else present, verb.infinitive
    if clause.tense == "future":
        return IRREGULAR["werden"][person], verb.infinitive
    if past and not verb.preterite:
        return IRREGULAR[verb.aux][person], verb.participle
    return conjugate(verb, person, past), verb.prefix


def governed(clause: Clause) -> tuple[str, str]:
    """The object as the verb governs it, as (bare object, prepositional object)."""
    if clause.object is None:
        return "", ""
    preposition, _, case = clause.verb.case.rpartition("+")
    if preposition and case == "acc":  # *an das Problem denken*, not *ans*
        return "", join(preposition, participant(clause.object, case))
    if preposition:
        return "", complement(Prepositional(preposition, case, "", clause.object))
    return participant(clause.object, case, clause.negated), ""


def negation(clause: Clause) -> str:
    """*nicht*, unless the object says *kein*."""
    kein = isinstance(clause.object, NounPhrase) and clause.object.indefinite and "+" not in clause.verb.case
    return "nicht" if clause.negated and not kein else ""


def middle(clause: Clause, particle: str = "") -> str:
    """The middle field after the subject: pronouns, particle, time, definite objects, nicht, the rest."""
    bare, prepositional = governed(clause)
    dative = participant(clause.dative, "dat") if clause.dative is not None else ""
    late = isinstance(clause.object, NounPhrase) and clause.object.indefinite
    times = clause.times[1:] if clause.fronted else clause.times
    return join(
        bare if isinstance(clause.object, Pronoun) else "",
        dative if isinstance(clause.dative, Pronoun) else "",
        particle,
        *(time.de for time in times),
        clause.frequency.de if clause.frequency is not None else "",
        "gerade" if clause.aspect == "now" else "",
        "gern" if clause.fond else "",
        dative if not isinstance(clause.dative, Pronoun) else "",
        bare if not late and not isinstance(clause.object, Pronoun) else "",
        negation(clause),
        *(complement(manner) for manner in clause.manners),
        complement(clause.place),
        bare if late else "",
        prepositional,
        complement(clause.predicate),
    )


def verb_first(clause: Clause, particle: str = "") -> str:
    """A clause that opens with its finite verb, for questions, commands and after a fronted part."""
    finite, closing = bracket(clause)
    return join(finite, participant(clause.subject, "nom"), middle(clause, particle), closing)


def verb_second(clause: Clause) -> str:
    """A main clause, with its subject or its first time adverbial in front."""
    if clause.fronted:
        return join(clause.times[0].de, verb_first(clause))
    finite, closing = bracket(clause)
    return join(participant(clause.subject, "nom"), finite, middle(clause), closing)


def verb_last(clause: Clause) -> str:
    """A subordinate clause without its conjunction."""
    finite, closing = bracket(clause)
    verb = closing + finite if closing and closing == clause.verb.prefix else join(closing, finite)
    return join(participant(clause.subject, "nom"), middle(clause), verb)


def question(sentence: Sentence) -> str:
    """A question, with the question word or the questioned phrase in front."""
    clause = sentence.clause
    if isinstance(clause.subject, Pronoun) and clause.subject.key == "who":
        return verb_second(clause)
    asked = participant(sentence.asked, "acc") if sentence.asked is not None else ""
    return join(sentence.wh.de if sentence.wh is not None else asked, verb_first(clause))


def main_clause(sentence: Sentence) -> str:
    """The main clause of a sentence, by kind."""
    if sentence.kind == "question":
        return question(sentence)
    if sentence.kind == "command":
        return verb_first(sentence.clause, "bitte")
    inverted = sentence.subordinate is not None and sentence.inverted
    return verb_first(sentence.clause) if inverted else verb_second(sentence.clause)


def render(sentence: Sentence) -> str:
    """The sentence in German."""
    if sentence.intro is not None and sentence.conjunction is not None:
        text = f"{sentence.intro.de}, {sentence.conjunction.de} {verb_last(sentence.clause)}"
    elif sentence.subordinate is not None and sentence.conjunction is not None:
        side = f"{sentence.conjunction.de} {verb_last(sentence.subordinate)}"
        main = main_clause(sentence)
        text = f"{side}, {main}" if sentence.inverted else f"{main}, {side}"
    else:
        text = main_clause(sentence)
    return text[0].upper() + text[1:] + sentence.end
