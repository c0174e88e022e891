"""The heatmap in a real browser: by pointer and by keyboard, with words that look like markup."""

from __future__ import annotations

from pathlib import Path

import pytest
from browser import browsing, needs_chromium

from seq2seq.pages import template

PAGE = """{% extends "base.html" %}{% block title %}test{% endblock %}
{% block script %}{{ script("attention.js", "draw.js") }}{% endblock %}
{% block main %}<h1>test</h1><div id="place"></div>
<script type="application/json" id="data">{{ attention|data }}</script>{% endblock %}"""
DRAW = 'drawAttention(document.getElementById("place"), JSON.parse(document.getElementById("data").textContent));'
ATTENTION = {
    "src": ["Der", "Hund", "</s>"],
    "tgt": ["The", "<b>dog"],
    "weights": [[0.9, 0.1, 0], [0.02, 0.9, 0.08]],
}


@needs_chromium
def test_pointing_and_tabbing_light_the_source_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asset = template.asset
    monkeypatch.setattr(template, "asset", lambda name: DRAW if name == "draw.js" else asset(name))
    path = tmp_path / "page.html"
    path.write_text(template._environment().from_string(PAGE).render(attention=ATTENTION), encoding="utf-8")
    with browsing() as page:
        page.goto(path.as_uri())
        assert page.locator(".attention tbody tr").count() == 2
        page.get_by_role("button", name="<b>dog").hover()
        assert page.locator(".attention output").inner_text() == "<b>dog: Hund 90%, </s> 8%"
        assert page.locator("thead th.lit").all_inner_texts() == ["Hund", "</s>"]
        page.mouse.move(900, 700)
        assert page.locator(".lit").count() == 0
        page.keyboard.press("Tab")
        assert page.locator(".attention output").inner_text() == "The: Der 90%, Hund 10%"
        page.keyboard.press("Tab")
        assert page.locator("thead th.lit").all_inner_texts() == ["Hund", "</s>"]
        assert page.locator("b").count() == 0
