"""The page in a real browser: its tokenizers give the same ids as ours, and it finds the same translations.

Translating needs onnxruntime-web, which is no Python package: SEQ2SEQ_ONNXRUNTIME_WEB names its directory.
"""

from __future__ import annotations

import base64
import functools
import http.server
import os
import random
import sys
import threading
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from browser import browsing, needs_chromium
from reversals import trained_run

from seq2seq.decoding.word_attention import word_attention, word_numbers
from seq2seq.errors import ConfigError
from seq2seq.export import bundle, web
from seq2seq.resources import shipped
from seq2seq.settings.schema import BpeConfig, DecodeConfigOverrides, ExportConfig, SubwordConfig, UnigramConfig
from seq2seq.text.subwords import SubwordTokenizer
from seq2seq.text.tokenizer import Spelled, Tokenizer
from seq2seq.text.words import WordTokenizer, split_words

pytestmark = needs_chromium
RUNTIME = os.environ.get("SEQ2SEQ_ONNXRUNTIME_WEB")
needs_runtime = pytest.mark.skipif(
    RUNTIME is None, reason="SEQ2SEQ_ONNXRUNTIME_WEB names no directory with onnxruntime-web"
)
PHRASEBOOK = shipped("data") / "phrasebook"
BOTH_WAYS = """async ([kind, file, lines, ids]) => {
    const { [kind]: Tokenizer } = await import(`/${kind.toLowerCase()}.js`);
    const { wordNumbers } = await import("/word-attention.js");
    const made = new Tokenizer(Uint8Array.from(atob(file), (byte) => byte.charCodeAt(0)));
    const split = (line) => ({ ...made.split(line), text: line });
    const join = (one) => made.join(one);
    return [
        lines.map(split).map((one) => [one.ids, wordNumbers(one)]),
        ids.map(join).map((one) => [one.text, wordNumbers(one)]),
    ];
}"""


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None: ...


@contextmanager
def served(directory: Path) -> Iterator[str]:
    """The address of a plain server of static files."""
    with http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Quiet, directory=directory)
    ) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def known(character: str) -> bool:
    """Whether both Python and the browser know the character: an older Unicode is enough."""
    return unicodedata.category(character) not in ("Cn", "Cs")


CHARACTERS = [chr(i) for i in range(1, sys.maxunicode + 1) if known(chr(i)) and chr(i) != "\n"]


EDGES = [
    "o\u0302\u0301 \u1100\u1161\u11a8",  # of entries that begin alike, the longest
    "a\x1cb\x1fc\x85d\u2028e\ufefff\u180eg",  # what Python takes for a space
]


def lines() -> list[str]:
    """Sentences, and random characters of all scripts."""
    rng = random.Random(4)
    text = (PHRASEBOOK / "test.de").read_text(encoding="utf-8").splitlines()[:200]
    drawn = ["".join(rng.choices(CHARACTERS, k=rng.randint(1, 30))) for _ in range(400)]
    mixed = [
        " ".join(rng.choices(["Hund", "▁", "  ", "ﬁ", "Ａ", "é", "e\u0301", "\u200b", "\t", "한국", "½", ""], k=9))
        for _ in range(200)
    ]
    return [*text, *drawn, *mixed, "", " ", "▁", "\ufeff", "a" * 2000, "\u3000x\u00a0", "I\u0307", "☃☃ ☃", *EDGES]


def tokenized(kind: str, tokenizer: Tokenizer, file: bytes) -> None:
    """Both ways, in the browser and here."""
    texts, rng = lines(), random.Random(5)
    ids = [[rng.randrange(len(tokenizer)) for _ in range(rng.randint(0, 20))] for _ in range(300)]
    given = [kind, base64.b64encode(file).decode(), texts, [[i for i in one if i not in (0, 2, 3)] for one in ids]]
    with served(bundle.FILES) as address, browsing() as page:
        page.route("**/favicon.ico", lambda route: route.fulfill(status=204))
        page.goto(f"{address}/README.md")
        split, joined = page.evaluate(BOTH_WAYS, given)
    rights = zip(tokenizer.encode(texts), map(tokenizer.split, texts), strict=True)
    expected = [[row, word_numbers(spelled)] for row, spelled in rights]
    wrong = [(text, one, two) for text, one, two in zip(texts, split, expected, strict=True) if one != two]
    assert wrong == []
    rights = map(tokenizer.join, map(tokenizer.pieces, given[-1]))
    assert joined == [[spelled.text, word_numbers(spelled)] for spelled in rights]


@pytest.mark.parametrize(
    "settings",
    [
        UnigramConfig(vocab_size=500),
        BpeConfig(vocab_size=500),
        UnigramConfig(vocab_size=400, byte_fallback=False, normalization="nfkc"),
        BpeConfig(vocab_size=400, byte_fallback=False, normalization="identity"),
    ],
    ids=lambda settings: f"{settings.name}-{settings.normalization}-{settings.byte_fallback}",
)
def test_subwords_are_the_same(settings: SubwordConfig) -> None:
    text = (PHRASEBOOK / "train.de").read_text(encoding="utf-8").splitlines()[:2000]
    tokenizer = SubwordTokenizer.train(text, settings)
    tokenized("Subwords", tokenizer, tokenizer.model)


def test_words_are_the_same(tmp_path: Path) -> None:
    tokenizer = WordTokenizer(sorted({token for line in lines()[:500] for token in split_words(line)}))
    tokenizer.save(tmp_path / "list.words")
    tokenized("Words", tokenizer, (tmp_path / "list.words").read_bytes())


MERGE = "async (given) => (await import('/word-attention.js')).wordAttention(...given)"
SPELLED = [
    (Spelled("Der Hund.", [""] * 4, [0, 3, 5, 8]), Spelled("The dog ☃", [""] * 6, [0, 3, 5, 7, 8, 8])),
    (Spelled(" a\u2003b  ", [""] * 3, [0, 2, 4]), Spelled("x ", [""] * 2, [0, 1])),
    (Spelled("a b c d", [""] * 2, [0, 2]), Spelled("x y", [""] * 2, [0, 2])),  # cut
    (Spelled("x", [""], [0]), Spelled("", [], [])),
]


def test_attention_is_merged_into_the_same_words() -> None:
    with served(bundle.FILES) as address, browsing() as page:
        page.route("**/favicon.ico", lambda route: route.fulfill(status=204))
        page.goto(f"{address}/README.md")
        for src, tgt in SPELLED:
            shape = len(tgt.starts), len(src.starts) + 1
            weights = torch.rand(shape, generator=torch.Generator().manual_seed(1)).softmax(dim=1)
            expected = word_attention(weights, src, tgt)
            merged = page.evaluate(MERGE, [weights.tolist(), src._asdict(), tgt._asdict()])
            assert (merged["src"], merged["tgt"]) == (expected.src, expected.tgt)
            given = torch.tensor(merged["weights"]).reshape(expected.weights.shape)
            torch.testing.assert_close(given, expected.weights)


SOURCES = ["a b c", "d e f g h", "<b>l</b> k", "c c c a", "b, a: d"]


@pytest.fixture(scope="module", params=["word", "bpe"])
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """An export with a page, and the translator that it must equal."""
    directory = tmp_path_factory.mktemp(request.param)
    tokenizer = f"tokenizer={request.param}"
    sizes = [] if request.param == "word" else ["tokenizer.vocab_size=300"]
    run = trained_run(directory, 400, "trainer.max_steps=40", "trainer.validate_every=20", tokenizer, *sizes)
    decode = DecodeConfigOverrides(no_repeat_ngram_size=1 if request.param == "bpe" else 0)
    settings = ExportConfig(run=str(run), to=str(directory / "site"), web=RUNTIME, decode=decode)
    loaded = bundle.load(settings)
    bundle.write(loaded, settings)
    return directory / "site", loaded.translator


@needs_runtime
def test_the_page_translates_as_the_run_does(site: Any) -> None:
    directory, translator = site
    expected = [str(translation) for translation in translator.with_num_best(5).translate(SOURCES)]
    with served(directory) as address, browsing() as page:
        page.goto(address)
        page.get_by_label("a sentence a line").fill("\n".join(SOURCES))
        page.keyboard.press("Control+Enter")
        page.get_by_text("5 sentences translated in").wait_for()
        assert page.locator(".translation").all_text_contents() == expected


@needs_runtime
def test_the_page_shows_alternatives_and_attention(site: Any) -> None:
    directory, translator = site
    best = translator.with_num_best(3).translate(SOURCES[1:2])[0]
    with served(directory) as address, browsing() as page:
        page.goto(address)
        page.get_by_label("a sentence a line").fill(SOURCES[1])
        page.get_by_label("Alternatives").fill("3")
        page.get_by_role("button", name="Translate").click()
        page.get_by_text("1 sentence translated in").wait_for()
        assert page.locator("fieldset label > span:first-of-type").all_text_contents() == [
            one.text for one in best.candidates
        ]
        scores = page.locator("fieldset .number").all_text_contents()
        assert [score.replace("−", "-") for score in scores] == [f"{one.score:.2f}" for one in best.candidates]
        words = translator.word_attention(best)
        page.locator(".attention tbody tr").first.hover()
        lit = page.locator(".attention thead th.lit").all_text_contents()
        assert lit == [word for word, weight in zip(words.src, words.weights[0], strict=True) if weight >= 0.05]


@pytest.mark.parametrize("name", [None, "onnxruntime-node", "onnxruntime-web"])
def test_another_package_is_refused(name: str | None, tmp_path: Path) -> None:
    if name:
        (tmp_path / "package.json").write_text(f'{{"name": "{name}", "version": "1"}}')
    with pytest.raises(ConfigError, match=r"^web=.*: not the npm package onnxruntime-web; get it with npm pack"):
        web.runtime_version(tmp_path)
