from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from phrasebook import english, german
from phrasebook.clause import Clause, NounPhrase, Phrase, Prepositional, Sentence
from phrasebook.command import files
from phrasebook.corpus import MIN_FORM, Corpus, build, draw_pairs, word_forms
from phrasebook.grammar import ALTHOUGH, BECAUSE, IF, Grammar
from phrasebook.lexicon import Adjective, Lexicon
from phrasebook.numbers import clock, number

DATA = Path(__file__).parents[2] / "data" / "phrasebook"
SPLITS = ("train", "valid", "test")
LEXICON = Lexicon()
ADJECTIVES: dict[str, Adjective] = {a.de: a for a in reversed(LEXICON.adjectives)}
VERBS, PRONOUNS, MODALS = LEXICON.verbs, LEXICON.pronouns, LEXICON.modals
THAT, WHETHER = Phrase("dass", "that"), Phrase("ob", "whether")


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return build()


def np(noun: str, det: str = "the", adjective: str = "", plural: bool = False, owner: str = "") -> NounPhrase:
    return NounPhrase(
        LEXICON.nouns[noun],
        det,
        plural,
        ADJECTIVES[adjective] if adjective else None,
        PRONOUNS[owner] if owner else None,
    )


def time(de: str) -> tuple[Phrase, ...]:
    return tuple(Phrase(row.de, row.en) for row in LEXICON.times if row.de == de)


def both(sentence: Sentence) -> tuple[str, str]:
    return german.render(sentence), english.render(sentence)


ME, HE, SHE, WE, THEY, YOU, IT = (PRONOUNS[k] for k in ("I", "he", "she", "we", "they", "you", "it"))

# The committed files


@pytest.mark.parametrize("language", ["de", "en"])
@pytest.mark.parametrize("split", SPLITS)
def test_the_committed_files_are_what_the_generator_writes(corpus: Corpus, split: str, language: str) -> None:
    written = (DATA / f"{split}.{language}").read_bytes()
    assert files(corpus)[f"{split}.{language}"].encode() == written
    assert len(written) < 1_000_000


def test_the_global_generator_is_left_alone() -> None:
    import random

    state = random.getstate()
    draw_pairs(Grammar(LEXICON, Random(1)), 50)
    assert random.getstate() == state


def test_sizes(corpus: Corpus) -> None:
    assert (len(corpus.train), len(corpus.valid), len(corpus.test)) == (22_000, 500, 500)


def test_no_side_of_a_pair_occurs_twice(corpus: Corpus) -> None:
    pairs = [*corpus.train, *corpus.valid, *corpus.test]
    assert len({pair.de.lower() for pair in pairs}) == len(pairs)
    assert len({pair.en.lower() for pair in pairs}) == len(pairs)


def test_another_seed_finds_no_ambiguity_either() -> None:
    pairs = draw_pairs(Grammar(LEXICON, Random(7)), 5_000)  # raises if a sentence has two translations
    assert len({pair.de for pair in pairs}) == len({pair.en for pair in pairs}) == 5_000


def test_training_lacks_the_held_out_combinations(corpus: Corpus) -> None:
    seen = frozenset[tuple[str, str]]().union(*(pair.combinations for pair in corpus.train))
    assert corpus.held_out
    assert not seen & corpus.held_out


def test_training_lacks_the_held_out_adjectives_in_the_text_too(corpus: Corpus) -> None:
    text = "\n".join(pair.de for pair in corpus.train)
    held_out = [
        (ADJECTIVES[a], LEXICON.nouns[n]) for a, n in corpus.held_out if a in ADJECTIVES and n in LEXICON.nouns
    ]
    assert held_out
    for adjective, noun in held_out:
        for ending in ("e", "en", "er", "es", "em"):
            for form in {noun.de, noun.plural or noun.de}:
                assert f" {adjective.stem}{ending} {form} " not in text


@pytest.mark.parametrize("split", ["valid", "test"])
def test_most_of_the_evaluation_sentences_are_new_combinations(corpus: Corpus, split: str) -> None:
    pairs = getattr(corpus, split)
    assert sum(bool(pair.combinations & corpus.held_out) for pair in pairs) >= len(pairs) / 2


def test_every_evaluated_word_form_is_frequent_in_training(corpus: Corpus) -> None:
    for side in ("de", "en"):
        counts = Counter(form for pair in corpus.train for form in word_forms(getattr(pair, side)))
        for pair in (*corpus.valid, *corpus.test):
            assert all(counts[form] >= MIN_FORM for form in word_forms(getattr(pair, side)))


def test_sentences_are_well_formed_lines(corpus: Corpus) -> None:
    for pair in (*corpus.train, *corpus.valid, *corpus.test):
        for text in (pair.de, pair.en):
            assert text == " ".join(text.split())
            assert text[0].isupper()
            assert text[-1] in ".?"
            assert 3 <= len(word_forms(text)) <= 13


# The phenomena: expected translations, written by hand


@pytest.mark.parametrize(
    ("phrase", "case", "expected"),
    [
        (np("Hund", "the", "alt"), "nom", "der alte Hund"),
        (np("Hund", "the", "alt"), "acc", "den alten Hund"),
        (np("Hund", "the", "alt"), "dat", "dem alten Hund"),
        (np("Tasche", "the", "rot"), "nom", "die rote Tasche"),
        (np("Tasche", "the", "rot"), "dat", "der roten Tasche"),
        (np("Buch", "a", "neu"), "nom", "ein neues Buch"),
        (np("Buch", "a", "neu"), "dat", "einem neuen Buch"),
        (np("Mantel", "a", "warm"), "nom", "ein warmer Mantel"),
        (np("Mantel", "a", "warm"), "acc", "einen warmen Mantel"),
        (np("Milch", "none", "kalt"), "acc", "kalte Milch"),
        (np("Kaffee", "none", "heiß"), "acc", "heißen Kaffee"),
        (np("Brot", "none", "frisch"), "acc", "frisches Brot"),
        (np("Apfel", "none", "süß", plural=True), "acc", "süße Äpfel"),
        (np("Kind", "the", plural=True), "dat", "den Kindern"),
        (np("Auto", "the", plural=True), "dat", "den Autos"),
        (np("Freund", "own", "alt", owner="we"), "acc", "unseren alten Freund"),
        (np("Schwester", "own", "älter", owner="he"), "dat", "seiner älteren Schwester"),
        (np("Bruder", "own", "jünger", plural=True, owner="I"), "nom", "meine jüngeren Brüder"),
        (np("Haus", "own", "teuer", owner="they"), "acc", "ihr teures Haus"),
        (np("Film", "this", "lang"), "acc", "diesen langen Film"),
        (np("Zimmer", "the", "dunkel"), "dat", "dem dunklen Zimmer"),
        (np("Student", "the"), "acc", "den Studenten"),
        (np("Nachbar", "own", owner="I"), "dat", "meinem Nachbarn"),
        (np("Student", "the"), "nom", "der Student"),
    ],
)
def test_agreement(phrase: NounPhrase, case: str, expected: str) -> None:
    assert german.participant(phrase, case) == expected


@pytest.mark.parametrize(
    ("preposition", "case", "noun", "expected"),
    [
        ("in", "dat", "Garten", "im Garten"),
        ("in", "acc", "Kino", "ins Kino"),
        ("in", "acc", "Park", "in den Park"),
        ("in", "dat", "Küche", "in der Küche"),
        ("an", "dat", "Bahnhof", "am Bahnhof"),
        ("an", "acc", "Fenster", "ans Fenster"),
        ("an", "acc", "Strand", "an den Strand"),
        ("zu", "dat", "Flughafen", "zum Flughafen"),
        ("zu", "dat", "Post", "zur Post"),
        ("von", "dat", "Bahnhof", "vom Bahnhof"),
        ("bei", "dat", "Bäcker", "beim Bäcker"),
        ("auf", "acc", "Tisch", "auf den Tisch"),
        ("auf", "dat", "Tisch", "auf dem Tisch"),
    ],
)
def test_prepositions(preposition: str, case: str, noun: str, expected: str) -> None:
    assert german.complement(Prepositional(preposition, case, "", np(noun))) == expected


def test_only_articles_contract() -> None:
    place = Prepositional("in", "dat", "in", np("Garten", "own", owner="I"))
    assert german.complement(place) == "in meinem Garten"


def test_indefinite_article() -> None:
    assert english.participant(np("Apfel", "a")) == "an apple"
    assert english.participant(np("Apfel", "a", "süß")) == "a sweet apple"
    assert english.participant(np("Roman", "a", "interessant")) == "an interesting novel"
    assert english.participant(np("Universität", "a")) == "a university"
    assert english.participant(np("Stunde", "a")) == "an hour"


@pytest.mark.parametrize(
    ("value", "de", "en"),
    [
        (0, "null", "zero"),
        (1, "eins", "one"),
        (16, "sechzehn", "sixteen"),
        (17, "siebzehn", "seventeen"),
        (21, "einundzwanzig", "twenty-one"),
        (30, "dreißig", "thirty"),
        (67, "siebenundsechzig", "sixty-seven"),
        (99, "neunundneunzig", "ninety-nine"),
    ],
)
def test_numbers(value: int, de: str, en: str) -> None:
    assert number(value) == Phrase(de, en)


@pytest.mark.parametrize(
    ("hour", "minute", "de", "en"),
    [
        (8, 0, "acht Uhr", "eight o'clock"),
        (1, 0, "ein Uhr", "one o'clock"),
        (7, 30, "halb acht", "half past seven"),
        (12, 30, "halb eins", "half past twelve"),
        (3, 15, "Viertel nach drei", "a quarter past three"),
        (2, 45, "Viertel vor drei", "a quarter to three"),
        (9, 40, "zwanzig vor zehn", "twenty to ten"),
        (9, 10, "zehn nach neun", "ten past nine"),
    ],
)
def test_clock_times(hour: int, minute: int, de: str, en: str) -> None:
    assert clock(hour, minute) == Phrase(de, en)


ARRIVE = Clause(np("Zug"), VERBS["ankommen"], times=(Phrase("um acht Uhr", "at eight o'clock"),))
BUY = Clause(ME, VERBS["kaufen"], np("Buch", "a"), tense="past", times=time("gestern"))
GO = Clause(WE, VERBS["gehen"], place=Prepositional("in", "acc", "to", np("Park")))
HELP = Clause(SHE, VERBS["helfen"], np("Vater", "own", owner="she"), tense="past", times=time("gestern"))
ILL = Clause(HE, VERBS["sein"], predicate=Phrase("krank", "ill"))
RAIN = Clause(IT, VERBS["regnen"])
STAY = Clause(HE, VERBS["bleiben"], place=Phrase("zu Hause", "at home"), tense="past")
GIVE = Clause(HE, VERBS["geben"], np("Ring", "a"), dative=np("Frau"), tense="past", times=time("gestern"))
GET_UP = Clause(WE, VERBS["aufstehen"], modal=MODALS["müssen"], times=time("morgen"))


@pytest.mark.parametrize(
    ("sentence", "de", "en"),
    [
        pytest.param(
            Sentence(ARRIVE),
            "Der Zug kommt um acht Uhr an.",
            "The train arrives at eight o'clock.",
            id="separable",
        ),
        pytest.param(
            Sentence(replace(ARRIVE, tense="future")),
            "Der Zug wird um acht Uhr ankommen.",
            "The train will arrive at eight o'clock.",
            id="future",
        ),
        pytest.param(
            Sentence(GET_UP), "Wir müssen morgen aufstehen.", "We have to get up tomorrow.", id="modal infinitive"
        ),
        pytest.param(
            Sentence(replace(GET_UP, subject=HE, negated=True, fronted=True)),
            "Morgen muss er nicht aufstehen.",
            "Tomorrow he does not have to get up.",
            id="modal negated",
        ),
        pytest.param(
            Sentence(replace(BUY, fronted=True)),
            "Gestern habe ich ein Buch gekauft.",
            "Yesterday I bought a book.",
            id="verb second and perfect with haben",
        ),
        pytest.param(
            Sentence(replace(GO, tense="past", times=time("letzten Samstag"))),
            "Wir sind letzten Samstag in den Park gegangen.",
            "We went to the park last Saturday.",
            id="perfect with sein and a direction",
        ),
        pytest.param(
            Sentence(replace(HELP, fronted=True)),
            "Gestern hat sie ihrem Vater geholfen.",
            "Yesterday she helped her father.",
            id="dative object",
        ),
        pytest.param(
            Sentence(GIVE),
            "Er hat gestern der Frau einen Ring gegeben.",
            "He gave the woman a ring yesterday.",
            id="two objects",
        ),
        pytest.param(
            Sentence(replace(GIVE, dative=PRONOUNS["I"])),
            "Er hat mir gestern einen Ring gegeben.",
            "He gave me a ring yesterday.",
            id="pronoun first",
        ),
        pytest.param(
            Sentence(replace(BUY, negated=True, fronted=True)),
            "Gestern habe ich kein Buch gekauft.",
            "Yesterday I did not buy a book.",
            id="kein",
        ),
        pytest.param(
            Sentence(replace(BUY, negated=True, fronted=True, object=np("Buch", "the", "neu"))),
            "Gestern habe ich das neue Buch nicht gekauft.",
            "Yesterday I did not buy the new book.",
            id="nicht after a definite object",
        ),
        pytest.param(
            Sentence(replace(BUY, negated=True, fronted=True, object=np("Apfel", "none", "rot", plural=True))),
            "Gestern habe ich keine roten Äpfel gekauft.",
            "Yesterday I did not buy any red apples.",
            id="keine with an adjective",
        ),
        pytest.param(
            Sentence(replace(GO, negated=True, modal=MODALS["können"])),
            "Wir können nicht in den Park gehen.",
            "We cannot go to the park.",
            id="nicht before a direction",
        ),
        pytest.param(
            Sentence(
                replace(STAY, subject=np("Mann")), conjunction=BECAUSE, subordinate=replace(ILL, tense="past")
            ),
            "Der Mann ist zu Hause geblieben, weil er krank war.",
            "The man stayed at home because he was ill.",
            id="weil",
        ),
        pytest.param(
            Sentence(GO, conjunction=ALTHOUGH, subordinate=RAIN, inverted=True),
            "Obwohl es regnet, gehen wir in den Park.",
            "Although it rains, we go to the park.",
            id="obwohl first",
        ),
        pytest.param(
            Sentence(
                replace(GET_UP, modal=None, tense="future", times=()),
                conjunction=IF,
                subordinate=replace(RAIN, times=time("morgen")),
                inverted=True,
            ),
            "Wenn es morgen regnet, werden wir aufstehen.",
            "If it rains tomorrow, we will get up.",
            id="wenn",
        ),
        pytest.param(
            Sentence(ARRIVE, conjunction=THAT, intro=Phrase("ich glaube", "I believe")),
            "Ich glaube, dass der Zug um acht Uhr ankommt.",
            "I believe that the train arrives at eight o'clock.",
            id="dass and a separable verb",
        ),
        pytest.param(
            Sentence(BUY, conjunction=WHETHER, intro=Phrase("wissen Sie", "do you know"), end="?"),
            "Wissen Sie, ob ich gestern ein Buch gekauft habe?",
            "Do you know whether I bought a book yesterday?",
            id="ob",
        ),
        pytest.param(
            Sentence(replace(BUY, subject=YOU), "question", end="?"),
            "Haben Sie gestern ein Buch gekauft?",
            "Did you buy a book yesterday?",
            id="yes/no question and polite Sie",
        ),
        pytest.param(
            Sentence(replace(ARRIVE, times=()), "question", wh=Phrase("wann", "when"), end="?"),
            "Wann kommt der Zug an?",
            "When does the train arrive?",
            id="question word",
        ),
        pytest.param(
            Sentence(replace(BUY, subject=PRONOUNS["who"]), "question", end="?"),
            "Wer hat gestern ein Buch gekauft?",
            "Who bought a book yesterday?",
            id="question about the subject",
        ),
        pytest.param(
            Sentence(replace(BUY, subject=YOU, object=None), "question", asked=np("Mantel", "which"), end="?"),
            "Welchen Mantel haben Sie gestern gekauft?",
            "Which coat did you buy yesterday?",
            id="which",
        ),
        pytest.param(
            Sentence(Clause(YOU, VERBS["anrufen"], np("Mutter", "own", owner="you")), "command"),
            "Rufen Sie bitte Ihre Mutter an.",
            "Please call your mother.",
            id="command",
        ),
        pytest.param(
            Sentence(Clause(YOU, VERBS["vergessen"], np("Pass", "own", owner="you"), negated=True), "command"),
            "Vergessen Sie bitte Ihren Pass nicht.",
            "Please do not forget your passport.",
            id="negative command",
        ),
        pytest.param(
            Sentence(
                Clause(
                    np("Buch"),
                    VERBS["liegen"],
                    aspect="posture",
                    place=Prepositional("auf", "dat", "on", np("Tisch")),
                )
            ),
            "Das Buch liegt auf dem Tisch.",
            "The book is lying on the table.",
            id="position with the dative",
        ),
        pytest.param(
            Sentence(
                Clause(SHE, VERBS["legen"], np("Buch"), place=Prepositional("auf", "acc", "on", np("Tisch")))
            ),
            "Sie legt das Buch auf den Tisch.",
            "She puts the book on the table.",
            id="direction with the accusative",
        ),
        pytest.param(
            Sentence(Clause(ME, VERBS["lesen"], np("Zeitung", "a"), aspect="now")),
            "Ich lese gerade eine Zeitung.",
            "I am reading a newspaper right now.",
            id="progressive",
        ),
        pytest.param(
            Sentence(Clause(HE, VERBS["schwimmen"], fond=True)),
            "Er schwimmt gern.",
            "He likes swimming.",
            id="gern",
        ),
        pytest.param(
            Sentence(Clause(THEY, VERBS["trinken"], np("Tee", "none"), frequency=Phrase("oft", "often"))),
            "Sie trinken oft Tee.",
            "They often drink tea.",
            id="frequency",
        ),
        pytest.param(
            Sentence(
                Clause(
                    WE,
                    VERBS["fahren"],
                    place=Phrase("nach Italien", "to Italy"),
                    manners=(Phrase("mit dem Zug", "by train"),),
                    times=time("jeden Sommer"),
                )
            ),
            "Wir fahren jeden Sommer mit dem Zug nach Italien.",
            "We go to Italy by train every summer.",
            id="time, manner, place",
        ),
        pytest.param(
            Sentence(Clause(HE, VERBS["denken_an"], np("Problem"), frequency=Phrase("oft", "often"))),
            "Er denkt oft an das Problem.",
            "He often thinks of the problem.",
            id="prepositional object uncontracted",
        ),
        pytest.param(
            Sentence(Clause(HE, VERBS["warten_auf"], np("Bus"), aspect="now")),
            "Er wartet gerade auf den Bus.",
            "He is waiting for the bus right now.",
            id="prepositional object",
        ),
        pytest.param(
            Sentence(
                Clause(
                    np("Zug"),
                    VERBS["sein"],
                    predicate=Prepositional("schneller als", "nom", "faster than", np("Bus")),
                )
            ),
            "Der Zug ist schneller als der Bus.",
            "The train is faster than the bus.",
            id="comparison",
        ),
        pytest.param(
            Sentence(
                Clause(
                    np("Sohn", "own", owner="I"),
                    VERBS["sein"],
                    predicate=Phrase("vier Jahre alt", "four years old"),
                )
            ),
            "Mein Sohn ist vier Jahre alt.",
            "My son is four years old.",
            id="age",
        ),
    ],
)
def test_known_translations(sentence: Sentence, de: str, en: str) -> None:
    assert both(sentence) == (de, en)
