"""English agreement, do-support and word order."""

from __future__ import annotations

from phrasebook.clause import (
    Clause,
    Complement,
    NounPhrase,
    Participant,
    Prepositional,
    Sentence,
)
from phrasebook.german import join
from phrasebook.lexicon import Name, Pronoun

BE = {"I": ("am", "was"), "he": ("is", "was"), "they": ("are", "were")}
BEFORE_PLACE = ("quickly",)
DETERMINERS = {"the": "the", "which": "which", "a": "a", "none": ""}


def determiner(phrase: NounPhrase, negated: bool) -> str:
    """The article, possessive, demonstrative or numeral in front of a noun phrase."""
    if phrase.count is not None:
        return phrase.count.en
    if phrase.det == "own" and phrase.owner is not None:
        return phrase.owner.en_possessive
    if phrase.det == "this":
        return "these" if phrase.plural else "this"
    return "any" if phrase.det == "none" and negated else DETERMINERS[phrase.det]


def participant(part: Participant, subject: bool = False, negated: bool = False) -> str:
    """A noun phrase, pronoun or name."""
    if isinstance(part, Pronoun):
        return part.en_subject if subject else part.en_object
    if isinstance(part, Name):
        return part.en
    adjective = part.adjective.en if part.adjective is not None else ""
    words = join(adjective, part.noun.en_plural if part.plural else part.noun.en)
    article = determiner(part, negated)
    return join("an" if article == "a" and starts_with_vowel(words) else article, words)


def starts_with_vowel(words: str) -> bool:
    """Whether the indefinite article is *an*."""
    return (words[0] in "aeiou" and not words.startswith(("uni", "eu"))) or words.startswith("hour")


def complement(part: Complement | None) -> str:
    """A fixed phrase or a prepositional phrase."""
    if isinstance(part, Prepositional):
        return join(part.en, participant(part.object))
    return part.en if part is not None else ""


def form(subject: Participant) -> str:
    """The verb form a subject takes: that of I, he or they."""
    if isinstance(subject, Pronoun):
        return subject.en_form
    return "they" if isinstance(subject, NounPhrase) and subject.plural else "he"


def modal_group(clause: Clause, infinitive: str) -> tuple[str, str, str]:
    """The verb group of a clause with a modal; see ``verb_group``."""
    modal, past, person = clause.modal, clause.tense == "past", form(clause.subject)
    assert modal is not None
    rest = join(modal.en_rest, infinitive)
    if modal.en_auxiliary == "be":
        operator = BE[person][past]
        return operator, rest, join(operator, rest)
    if modal.en_auxiliary != "do":
        operator = modal.en_past_auxiliary if past else modal.en_auxiliary
        return operator, rest, join(operator, rest)
    present = modal.en_singular if person == "he" else modal.en_rest
    return do(person, past), rest, join(modal.en_past if past else present, infinitive)


def do(person: str, past: bool) -> str:
    """The operator of do-support."""
    if past:
        return "did"
    return "does" if person == "he" else "do"


def verb_group(clause: Clause) -> tuple[str, str, str]:
    """The operator, what follows it, and the plain group of a clause that needs no operator."""
    person, past, verb = form(clause.subject), clause.tense == "past", clause.verb
    if clause.modal is not None:
        return modal_group(clause, verb.en)
    if clause.tense == "future":
        return "will", verb.en, f"will {verb.en}"
    if verb.en == "be":
        return BE[person][past], "", BE[person][past]
    if clause.aspect != "simple":
        operator = BE[person][past]
        return operator, verb.en_ing, join(operator, verb.en_ing)
    if clause.fond:
        return do(person, past), f"like {verb.en_ing}", f"like{'s' * (person == 'he')} {verb.en_ing}"
    present = verb.en_s if person == "he" else verb.en
    return do(person, past), verb.en, verb.en_past if past else present


def objects(clause: Clause) -> str:
    """The objects: a dative goes first, or last with *to*."""
    direct = participant(clause.object, negated=clause.negated) if clause.object is not None else ""
    if clause.dative is None:
        return direct
    indirect = participant(clause.dative)
    return join(direct, "to", indirect) if clause.verb.en_dative else join(indirect, direct)


def tail(clause: Clause) -> str:
    """What follows the verb: objects, predicate, place, manner, time."""
    manners = [complement(manner) for manner in clause.manners]
    times = reversed(clause.times[1:] if clause.fronted else clause.times)
    return join(
        objects(clause),
        complement(clause.predicate),
        *(manner for manner in manners if manner in BEFORE_PLACE),
        complement(clause.place),
        *(manner for manner in manners if manner not in BEFORE_PLACE),
        *(time.en for time in times),
        "right now" if clause.aspect == "now" else "",
    )


def frequency(clause: Clause) -> str:
    """The frequency adverb."""
    return clause.frequency.en if clause.frequency is not None else ""


def declare(clause: Clause) -> str:
    """A clause in statement order."""
    operator, rest, plain = verb_group(clause)
    front = clause.times[0].en if clause.fronted else ""
    subject = participant(clause.subject, subject=True)
    if clause.negated:
        verb = f"{operator} not {rest}".strip().replace("can not", "cannot")
    elif operator in ("do", "does", "did"):
        verb = join(frequency(clause), plain)
    else:
        verb = join(operator, frequency(clause), rest)
    return join(front, subject, verb, tail(clause))


def ask(sentence: Sentence) -> str:
    """A question."""
    clause = sentence.clause
    if isinstance(clause.subject, Pronoun) and clause.subject.key == "who":
        return declare(clause)
    operator, rest, _ = verb_group(clause)
    asked = participant(sentence.asked) if sentence.asked is not None else ""
    front = sentence.wh.en if sentence.wh is not None else asked
    subject = participant(clause.subject, subject=True)
    return join(front, operator, subject, "not" * clause.negated, frequency(clause), rest, tail(clause))


def command(clause: Clause) -> str:
    """A polite imperative."""
    return join("please", "do not" * clause.negated, clause.verb.en, tail(clause))


def main_clause(sentence: Sentence) -> str:
    """The main clause of a sentence, by kind."""
    if sentence.kind == "question":
        return ask(sentence)
    return command(sentence.clause) if sentence.kind == "command" else declare(sentence.clause)


def render(sentence: Sentence) -> str:
    """The sentence in English."""
    text = main_clause(sentence)
    if sentence.intro is not None and sentence.conjunction is not None:
        text = join(sentence.intro.en, sentence.conjunction.en, declare(sentence.clause))
    elif sentence.subordinate is not None and sentence.conjunction is not None:
        side = join(sentence.conjunction.en, declare(sentence.subordinate))
        text = f"{side}, {text}" if sentence.inverted else f"{text} {side}"
    return text[0].upper() + text[1:] + sentence.end
