"""The alignment error rate: by hand, from files right and wrong, and of the words that attention belongs to."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from small_models import NewModel, enlarged, make_model

from seq2seq.data.batch import TokenizedPairs
from seq2seq.decoding.translator import Translator
from seq2seq.decoding.word_attention import Link
from seq2seq.errors import DataError
from seq2seq.evaluation.alignment import Gold, alignment_scores, forced_links, read_gold
from seq2seq.evaluation.teacher_forcing import teacher_forced_weights
from seq2seq.settings.schema import DecodeConfig
from seq2seq.text.tokenizer import BOS, EOS
from seq2seq.text.tokenizer_pair import TokenizerPair
from seq2seq.text.words import WordTokenizer

SRC, REF = ["a b c", "d e"], ["x y", "z w v"]


def gold_file(directory: Path, text: str) -> Path:
    (directory / "gold").write_text(text, encoding="utf-8")
    return directory / "gold"


def test_sure_and_possible_links(tmp_path: Path) -> None:
    gold = read_gold(gold_file(tmp_path, "0-0 2?1 1p1\n1-2 0-0 0?0\n"), SRC, REF)
    assert gold[0] == Gold({(0, 0)}, {(0, 0), (2, 1), (1, 1)})
    assert gold[1] == Gold({(1, 2), (0, 0)}, {(1, 2), (0, 0)})  # a sure link is a possible one
    assert read_gold(gold_file(tmp_path, "1-1 3?2 2p2\r\n2-3 1-1\n"), SRC, REF, first=1) == gold
    assert read_gold(gold_file(tmp_path, "0-0\n\n"), SRC, REF)[1] == Gold(set(), set())


@pytest.mark.parametrize(
    ("text", "first", "message"),
    [
        ("0-0\n", 0, "gold: 1 lines for 2 sentences; give it a line for each"),
        ("0-0\n\n\n", 0, "gold: 3 lines for 2 sentences"),
        ("0-0\n0:1\n", 0, "gold:2: 0:1 is no link; write 0-1 for a sure one, 0[?]1 for a possible one"),
        ("0-0\n0-1-2\n", 0, "gold:2: 0-1-2 is no link"),
        ("0--1\n\n", 0, "gold:1: 0--1 is no link"),
        ("0-²\n\n", 0, "gold:1: 0-² is no link"),
        (
            "3-0\n\n",
            0,
            "gold:1: 3-0: the source has 3 words, counted from 0; if the file counts from 1, give gold_",
        ),
        ("\n0-3\n", 0, "gold:2: 0-3: the reference has 3 words, counted from 0"),
        ("0-1\n\n", 1, "gold:1: 0-1: the source has 3 words, counted from 1; if .* 0, give gold_first_word=0"),
        ("0?0\n0p0\n", 0, "gold: no sure link"),
        ("", 0, "gold: the file is empty"),
    ],
)
def test_files_that_are_refused(tmp_path: Path, text: str, first: int, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_gold(gold_file(tmp_path, text), SRC, REF, first)


def test_a_sentence_without_words_has_no_links(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="gold:2: 0-0: the source has no words"):
        read_gold(gold_file(tmp_path, "0-0\n0-0\n"), ["a", " "], ["x", "y"])


def scored(found: Sequence[Sequence[Link]], gold: Sequence[Gold]) -> list[float]:
    return [*alignment_scores(enumerate(map(list, found)), gold)]  # type: ignore[arg-type]


def test_the_formula_by_hand() -> None:
    """Over all sentences: 5 links, 3 of them sure and 4 possible, of 4 sure ones."""
    gold = [Gold({(0, 0), (1, 1)}, {(0, 0), (1, 1), (2, 1)}), Gold({(0, 0), (1, 2)}, {(0, 0), (1, 2), (1, 1)})]
    found = [[(0, 0), (2, 1)], [(0, 0), (1, 2), (0, 1)]]
    assert scored(found, gold) == pytest.approx([1 - (3 + 4) / (5 + 4), 4 / 5, 3 / 4])
    assert scored([[*sentence.sure] for sentence in gold], gold) == [0, 1, 1]
    assert scored([[*sentence.possible] for sentence in gold], gold) == [0, 1, 1]
    error_rate, precision, recall = scored([[], []], gold)
    assert (error_rate, recall) == (1, 0)
    assert math.isnan(precision)


def test_weights_belong_to_the_words_that_they_predict(variant: str, new_model: NewModel) -> None:
    """Those of each step, one at a time: of the word that it predicts, not of the one that it reads."""
    model = new_model(variant=variant)
    pairs = TokenizedPairs.of([[5, 6, 7, 8], [9], [4, 5], []], [[6, 7, 8], [4, 10, 5, 9], [], [7]])
    found = dict(teacher_forced_weights([model], pairs, 8))
    assert sorted(found) == [0, 1, 2, 3]
    for i, weights in found.items():
        src, tgt = pairs.src.tolist()[i], pairs.tgt.tolist()[i]
        assert weights.shape == (len(tgt), len(src) + 1)
        with torch.no_grad():
            state = model.encode(torch.tensor([[*src, EOS]]), torch.ones(1, len(src) + 1, dtype=torch.bool))
            for row, read in zip(weights, [BOS, *tgt], strict=False):
                _, expected, state = model.step(torch.tensor([read]), state)
                torch.testing.assert_close(row, expected[0].float())


def test_links_of_the_reference_are_between_its_words() -> None:
    """The weights of every pair in their places, whatever the batches; cut words have none."""
    tokenizer = WordTokenizer("abcdefghijkl")
    torch.manual_seed(5)
    model = enlarged(make_model(vocab_size=len(tokenizer), hidden=8, embedding=8))
    src, ref = ["a b, c", "d", "", "e f g h"], ["b a!", "c d e", "f", "g"]
    for batch_tokens in (2, 1000):
        translator = Translator(
            model, TokenizerPair(tokenizer, tokenizer), DecodeConfig(batch_tokens=batch_tokens, max_src_tokens=3)
        )
        pairs, _ = translator.encode_pairs(src, ref)
        found = dict(forced_links(translator, pairs, src, ref))
        for i, weights in teacher_forced_weights([model], pairs, 1000):
            words = [[0, 1, 1, 2], [0], [], [0, 1, 2, 3]][i][:3]
            of_ref = [[0, 1, 1], [0, 1, 2], [0], [0]][i]
            expected = []
            for t in sorted(set(of_ref)):
                totals = [0.0] * (len(src[i].split()) + 1)
                for row in [weights[k] for k, number in enumerate(of_ref) if number == t]:
                    for place, weight in zip([*words, len(totals) - 1], row.tolist(), strict=True):
                        totals[place] += weight
                best = totals.index(max(totals))
                if best < len(totals) - 1:
                    expected.append((best, t))
            assert found[i] == sorted(expected)
    assert found[2] == []
