"""From sentences to splits: distinct pairs, held-out combinations, no form unseen in training."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from random import Random

from phrasebook import english, german
from phrasebook.clause import Sentence, participants, subjects
from phrasebook.grammar import Grammar
from phrasebook.lexicon import Lexicon

SEED = 20260101
POOL_SIZE, TRAIN_SIZE, EVAL_SIZE, NOVEL_SIZE = 26_000, 22_000, 500, 300
MAX_WORDS = 13
HELD_OUT_SHARE, MIN_COMBINATION, MIN_FORM = 0.1, 3, 5
Combination = tuple[str, str]


@dataclass(frozen=True)
class Pair:
    """A sentence in both languages, with the word combinations it contains."""

    de: str
    en: str
    combinations: frozenset[Combination]


@dataclass(frozen=True)
class Corpus:
    """The three splits, and the combinations that training lacks."""

    train: list[Pair]
    valid: list[Pair]
    test: list[Pair]
    held_out: frozenset[Combination]


def word_forms(text: str) -> list[str]:
    """The words of a sentence, lower-cased; hyphens and apostrophes belong to their word."""
    return re.findall(r"\w+(?:[-']\w+)*", text.lower())


def combinations(sentence: Sentence) -> frozenset[Combination]:
    """The (verb, noun it governs) and (adjective, noun) pairs of a sentence."""
    governed = participants(sentence)
    phrases = [phrase for _, phrase in governed] + subjects(sentence)
    verbs = {(verb.id, phrase.noun.de) for verb, phrase in governed if verb.id != "sein"}
    return frozenset(verbs | {(p.adjective.de, p.noun.de) for p in phrases if p.adjective is not None})


def draw_pairs(grammar: Grammar, size: int) -> list[Pair]:
    """Draw distinct pairs; if one sentence gets two translations, that is an error of the grammar."""
    seen_de: dict[str, str] = {}
    seen_en: dict[str, str] = {}
    pairs: list[Pair] = []
    while len(pairs) < size:
        sentence = grammar.sentence()
        de, en = german.render(sentence), english.render(sentence)
        if len(word_forms(de)) > MAX_WORDS or len(word_forms(en)) > MAX_WORDS:
            continue
        if seen_de.setdefault(de.lower(), en) != en or seen_en.setdefault(en.lower(), de) != de:
            raise ValueError(f"{de!r} and {en!r} are not translations of each other only")
        if len(seen_de) > len(pairs):
            pairs.append(Pair(de, en, combinations(sentence)))
    return pairs


def hold_out(pairs: Iterable[Pair], rng: Random) -> frozenset[Combination]:
    """A random tenth of the combinations that are not rare."""
    counts = Counter(combination for pair in pairs for combination in pair.combinations)
    frequent = sorted(combination for combination, count in counts.items() if count >= MIN_COMBINATION)
    return frozenset(rng.sample(frequent, round(HELD_OUT_SHARE * len(frequent))))


def build() -> Corpus:
    """Draw the corpus and split it."""
    rng = Random(SEED)
    pairs = draw_pairs(Grammar(Lexicon(), rng), POOL_SIZE)
    held_out = hold_out(pairs, rng)
    novel = [pair for pair in pairs if pair.combinations & held_out]
    plain = [pair for pair in pairs if not pair.combinations & held_out]
    train, spare = plain[:TRAIN_SIZE], plain[TRAIN_SIZE:]
    de = Counter(form for pair in train for form in word_forms(pair.de))
    en = Counter(form for pair in train for form in word_forms(pair.en))

    def familiar(pair: Pair) -> bool:
        counts = [de[form] for form in word_forms(pair.de)] + [en[form] for form in word_forms(pair.en)]
        return min(counts) >= MIN_FORM

    novel, spare = list(filter(familiar, novel)), list(filter(familiar, spare))
    rest = EVAL_SIZE - NOVEL_SIZE
    valid, test = (novel[i * NOVEL_SIZE :][:NOVEL_SIZE] + spare[i * rest :][:rest] for i in range(2))
    for split in (valid, test):
        rng.shuffle(split)
    return Corpus(train, valid, test, held_out)
