"""The page in a real browser: type, translate, point; by keyboard alone; two runs; errors; phone and dark."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from browser import browsing, needs_chromium
from playwright.sync_api import Page, expect
from serving import Echo, echoing, listening

pytestmark = needs_chromium


@pytest.fixture
def echo() -> Iterator[tuple[Echo, str]]:
    """A model, and the page that asks it."""
    served, echo = echoing()
    with listening(served, characters=200) as port:
        yield echo, f"http://127.0.0.1:{port}/"


def translated(page: Page) -> list[str]:
    page.locator(".translation").first.wait_for()
    return page.locator(".translation").all_inner_texts()


def test_type_translate_and_point(echo: tuple[Echo, str]) -> None:
    with browsing() as page:
        page.goto(echo[1])
        page.get_by_label("German, a sentence a line").fill("der hund <b>bellt</b>")
        page.get_by_role("button", name="Translate").click()
        assert translated(page) == ["DER HUND <B>BELLT</B>"]
        assert page.locator("b, article script").count() == 0
        page.get_by_role("button", name="HUND").hover()
        assert page.locator(".attention output").inner_text() == "HUND: hund 100%"
        assert page.locator("thead th.lit").all_inner_texts() == ["hund"]
        expect(page.get_by_role("status").first).to_contain_text("1 sentence translated in")
        assert page.get_by_label("German, a sentence a line").get_attribute("lang") == "de"
        assert page.locator(".translation").get_attribute("lang") == "en"


def test_by_keyboard_alone(echo: tuple[Echo, str]) -> None:
    with browsing() as page:
        page.goto(echo[1])
        page.locator("button.primary:enabled").wait_for()
        page.keyboard.type("der hund")  # the text has the focus
        page.keyboard.press("Control+Enter")
        assert translated(page) == ["DER HUND"]
        for _ in range(3):  # the button, the number of alternatives, the alternative that is chosen
            page.keyboard.press("Tab")
        page.keyboard.press("ArrowDown")
        assert translated(page) == ["DER HUND HUND"]
        assert page.locator(".attention tbody tr").count() == 3
        page.keyboard.press("Tab")
        page.keyboard.press("Tab")
        assert page.locator(".attention output").inner_text() == "HUND: hund 100%"


def test_several_lines_and_a_number_of_alternatives(echo: tuple[Echo, str]) -> None:
    with browsing() as page:
        page.goto(echo[1])
        page.locator("#source").fill("eins\n\n zwei zwei \n")
        page.get_by_label("Alternatives").fill("2")
        page.get_by_role("button", name="Translate").click()
        expect(page.locator("article")).to_have_count(2)
        assert translated(page) == ["EINS", "ZWEI ZWEI"]
        assert page.locator("article").nth(1).get_by_role("radio").count() == 2
        page.locator("article").nth(1).locator("summary").click()
        assert page.locator("article").nth(1).locator(".attention tbody tr").count() == 2
        page.get_by_label("Alternatives").fill("9")  # more than the beam: the browser says so, nothing is sent
        page.get_by_role("button", name="Translate").click()
    assert echo[0].batches == [["eins"], ["zwei zwei"]]


def test_two_runs_side_by_side() -> None:
    (one, _), (two, _) = echoing("luong"), echoing("bahdanau", beam_size=1)
    with listening(one, two) as port, browsing() as page:
        page.goto(f"http://127.0.0.1:{port}/")
        page.locator("#source").fill("der hund")
        page.get_by_role("button", name="Translate").click()
        expect(page.locator("article")).to_have_count(2)
        assert page.locator("h2").all_inner_texts() == ["luong", "bahdanau"]
        left, right = (page.locator("section").nth(i).bounding_box() for i in range(2))
        assert left
        assert right
        assert left["x"] + left["width"] <= right["x"]
        assert left["y"] == right["y"]
        counts = [page.locator("article").nth(i).get_by_role("radio").count() for i in range(2)]
        assert counts == [3, 0]


def test_what_goes_wrong_is_said_in_words(echo: tuple[Echo, str]) -> None:
    with browsing(refused=True) as page:
        page.goto(echo[1])
        page.locator("#source").fill("a" * 201)
        page.get_by_role("button", name="Translate").click()
        expect(page.locator("#status.bad")).to_have_text("text: 201 characters; a request has at most 200")
        page.locator("#source").fill("\n ")
        page.get_by_role("button", name="Translate").click()
        expect(page.locator("#status")).to_have_text("there is nothing to translate")
        page.locator("#source").fill("fail")
        page.get_by_role("button", name="Translate").click()
        expect(page.locator("#status.bad")).to_contain_text("internal error")
        page.locator("#source").fill("hund")  # and then it goes on
        page.get_by_role("button", name="Translate").click()
        assert translated(page) == ["HUND"]


def test_the_later_of_two_texts_is_shown(echo: tuple[Echo, str]) -> None:
    model, address = echo
    model.gate.clear()
    with browsing() as page:
        page.goto(address)
        for text in ("first", "second"):
            page.locator("#source").fill(text)
            page.get_by_role("button", name="Translate").click()
            expect(page.locator("#status")).to_have_text("translating…")
        model.gate.set()
        assert translated(page) == ["SECOND"]
        expect(page.locator("#status")).to_contain_text("1 sentence translated")
        assert page.locator("article").count() == 1


@pytest.mark.parametrize("dark", [False, True])
def test_on_a_phone_nothing_is_wider_than_the_screen(echo: tuple[Echo, str], dark: bool) -> None:
    with browsing(390, dark) as page:
        for path in ("", "docs"):
            page.goto(echo[1] + path)
            if not path:
                page.locator("#source").fill("ein sehr langer satz mit vielen wörtern " * 2 + "x" * 80)
                page.get_by_role("button", name="Translate").click()
                translated(page)
            assert page.evaluate("document.documentElement.scrollWidth") <= 390
        light = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (light == "rgb(255, 255, 255)") == (not dark)
