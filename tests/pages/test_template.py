"""Pages: texts are escaped, data can't end its script, and charts have the page's colours."""

from __future__ import annotations

import json

import jinja2
import pytest

from seq2seq.pages import charts, template

HOSTILE = "</script><script>alert(1)</script><!-- & \u2028 <b>"


def test_data_reads_back_and_has_no_markup() -> None:
    written = template.data({"text": HOSTILE, "number": 0.5})
    assert "<" not in written
    assert json.loads(written) == {"text": HOSTILE, "number": 0.5}


def test_data_refuses_what_json_has_not() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        template.data(float("nan"))


def test_texts_are_escaped_and_missing_values_are_errors() -> None:
    made = template._environment().from_string("{{ text }}").render(text="<b>")
    assert made == "&lt;b&gt;"
    with pytest.raises(jinja2.UndefinedError):
        template._environment().from_string("{{ text }}").render()


def test_a_chart_has_the_colours_of_the_page_and_a_label() -> None:
    with charts.style():
        figure = charts.figure()
        figure.add_subplot().plot([1, 2], [3, 4])
        drawn = charts.svg(figure, 'loss & "more"')
        assert charts.svg(figure, 'loss & "more"') == drawn
    assert drawn.startswith('<svg role="img" aria-label="loss &amp; &#34;more&#34;"')
    assert "var(--series-1)" in drawn
    assert "currentColor" in drawn
    assert not any(colour in drawn for colour in charts.COLOURS)
