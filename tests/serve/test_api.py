"""The API: what it answers, what it refuses and how, and the headers of everything."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from serving import Echo, alone, client_of, echoing, letters

from seq2seq.serve.answers import Answer, Runs
from seq2seq.serve.app import ASSETS
from seq2seq.serve.limits import HEADERS, largest_body
from seq2seq.settings.schema import LimitsConfig

LETTERS = letters(beam_size=4)


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with client_of(LETTERS, letters("second", beam_size=2, num_best=2), characters=100, sentences=5) as client:
        yield client


def error(answer: httpx.Response) -> str:
    """The words of an error, which is one line of JSON."""
    assert answer.headers["content-type"] == "application/json"
    said = answer.json()
    assert list(said) == ["error"]
    assert "\n" not in said["error"]
    return str(said["error"])


def translate(client: httpx.Client, **asked: Any) -> httpx.Response:
    return client.post("/api/translate", json=asked)


def test_translations_are_those_of_the_model(client: httpx.Client) -> None:
    answer = translate(client, text=["a b c", "", "d e"], num_best=3, attention=True)
    assert answer.status_code == 200
    found = Answer.model_validate(answer.json(), strict=True)
    assert found.run == "letters"
    assert [one.source for one in found.translations] == ["a b c", "", "d e"]
    for one in found.translations:
        assert [candidate.text for candidate in one.candidates] == alone(LETTERS, one.source, 3)
    assert [candidate.text for candidate in found.translations[1].candidates] == [""]
    best = found.translations[0].candidates[0]
    assert best.attention
    assert best.attention.src == ["a", "b", "c", "</s>"]
    assert " ".join(best.attention.tgt) == best.text
    assert [sum(row) for row in best.attention.weights] == pytest.approx([1.0] * len(best.attention.tgt), abs=1e-3)
    assert best.log_prob < 0


def test_a_text_is_a_sentence_a_line(client: httpx.Client) -> None:
    for text, sources in [("a b", ["a b"]), ("a\r\n\nb\n", ["a", "", "b"]), ("", [""])]:
        found = translate(client, text=text).json()["translations"]
        assert [one["source"] for one in found] == sources
    assert found[0]["candidates"][0] == {"text": "", "score": 0.0, "log_prob": 0.0, "attention": None}
    assert translate(client, text=[]).json()["translations"] == []


def test_runs_are_asked_for_by_name(client: httpx.Client) -> None:
    found = Runs.model_validate(client.get("/api/runs").json(), strict=True)
    assert [(run.name, run.most_best) for run in found.runs] == [("letters", 4), ("second", 2)]
    assert (found.limits.characters, found.limits.sentences) == (100, 5)
    answer = translate(client, text="a b", run="second").json()
    assert answer["run"] == "second"
    assert len(answer["translations"][0]["candidates"]) == 2  # as the run is set
    refused = translate(client, text="a b", run="secnd")
    assert (refused.status_code, error(refused)) == (
        422,
        "run: no such run; there is letters and second; did you mean second?",
    )


EXPECTED_TEXT = "text: expected a text, a sentence a line, or a list of sentences"


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"text": 3}, EXPECTED_TEXT),
        ({"text": None}, EXPECTED_TEXT),
        ({"text": ["a", 3]}, EXPECTED_TEXT),
        ({"text": {"a": "b"}}, EXPECTED_TEXT),
        ({"text": "\ud800"}, EXPECTED_TEXT),
        ({"text": ["a", "\udfff"]}, EXPECTED_TEXT),
        ({}, "text: a value is needed"),
        ([], "the body: expected a JSON object"),
        (3, "the body: expected a JSON object"),
        ({"text": "a", "texd": "b"}, "texd: no such key; did you mean text?"),
        ({"text": "a", "\ud800": "b"}, "the body: expected a JSON object"),
        ({"text": "a", "num_best": 0}, "num_best: expected candidates for each sentence: a whole number from 1"),
        ({"text": "a", "num_best": "3"}, "num_best: expected candidates for each sentence"),
        ({"text": "a", "num_best": 1.5}, "num_best: expected candidates for each sentence"),
        ({"text": "a", "num_best": True}, "num_best: expected candidates for each sentence"),
        ({"text": "a", "num_best": 10**30}, "num_best: "),
        ({"text": "a", "num_best": 5}, "num_best: at most 4, the beam of letters"),
        ({"text": "a", "attention": 1}, "attention: expected true or false"),
        ({"text": "a", "run": 1}, "run: expected name of the run"),
    ],
)
def test_wrong_values_are_named_in_a_line(client: httpx.Client, asked: Any, expected: str) -> None:
    answer = client.post("/api/translate", content=json.dumps(asked), headers={"Content-Type": "application/json"})
    assert answer.status_code == 422
    assert error(answer).startswith(expected)


@pytest.mark.parametrize(
    ("body", "status", "expected"),
    [
        (b"", 422, "the body: expected a JSON object"),
        (b"{", 422, "the body: not JSON (Expecting property name enclosed in double quotes at character 1)"),
        (b'{"text": "\xff"}', 400, "the body: expected JSON in UTF-8"),
        (b"\x00\x01\x02", 422, "the body: not JSON (Expecting value at character 0)"),
        (b'{"text": NaN}', 422, EXPECTED_TEXT),
        (b'{"text": ' + b"[" * 1500 + b"]" * 1500 + b"}", (400, 422), ""),
        (b'{"text": "a", "num_best": ' + b"9" * 1000 + b"}", (400, 422), ""),
        (b'{"text": "a", "num_best": 1e999}', 422, "num_best: expected"),
    ],
)
def test_what_is_no_json_is_refused(
    client: httpx.Client, body: bytes, status: int | tuple[int, ...], expected: str
) -> None:
    answer = client.post("/api/translate", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code in (status if isinstance(status, tuple) else (status,))
    assert error(answer).startswith(expected)


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
def test_only_json_is_read_since_browsers_send_other_types_to_other_sites(client: httpx.Client, kind: str) -> None:
    answer = client.post("/api/translate", content=b'{"text": "a"}', headers={"Content-Type": kind})
    assert (answer.status_code, error(answer)) == (415, "Content-Type: expected application/json")


def test_what_is_too_large_is_refused(client: httpx.Client) -> None:
    assert translate(client, text="a" * 100).status_code == 200
    answer = translate(client, text="a" * 101)
    assert (answer.status_code, error(answer)) == (413, "text: 101 characters; a request has at most 100")
    answer = translate(client, text=[""] * 6)
    assert (answer.status_code, error(answer)) == (413, "text: 6 sentences; a request has at most 5")
    most = largest_body(LimitsConfig(characters=100, sentences=5))
    body = json.dumps({"text": "a"}).encode()
    kind = {"Content-Type": "application/json"}
    assert client.post("/api/translate", content=body.ljust(most), headers=kind).status_code == 200
    for content in (body.ljust(most + 1), iter([body, b" " * most])):  # with its length, and streamed
        answer = client.post("/api/translate", content=content, headers=kind)
        assert (answer.status_code, error(answer)) == (413, f"the body is too large: at most {most:,} bytes")


def test_the_largest_text_fits_into_the_largest_body() -> None:
    limits = LimitsConfig(characters=40, sentences=10)
    longest = json.dumps({"text": ["\U0001f600" * 4] * 10, "num_best": 1, "run": "r" * 100, "attention": True})
    assert len(longest) < largest_body(limits)


def waiting(echo: Echo, client: httpx.Client, pool: ThreadPoolExecutor, number: int) -> list[Any]:
    """So many requests, of which the first is being translated."""
    echo.gate.clear()
    first = pool.submit(translate, client, text="first")
    assert echo.begun.wait(10)
    others = [pool.submit(translate, client, text=f"a{i}") for i in range(number - 1)]
    while client.get("/health").json()["waiting"] < number - 1:
        pass
    return [first, *others]


def test_when_too_many_wait_the_next_is_told_to_come_again() -> None:
    served, echo = echoing()
    with client_of(served, queue=2) as client, ThreadPoolExecutor(4) as pool:
        asked = waiting(echo, client, pool, 3)
        refused = translate(client, text="b")
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "2")
        assert error(refused) == "the server is busy; try again in a few seconds"
        ready = client.get("/ready")
        assert (ready.status_code, ready.json()) == (503, {"status": "busy", "waiting": 2})
        assert client.get("/health").status_code == 200
        echo.gate.set()
        assert [one.result().status_code for one in asked] == [200] * 3
        assert client.get("/ready").json() == {"status": "ok", "waiting": 0}
        assert translate(client, text="b").status_code == 200


def test_a_client_has_its_share() -> None:
    served, echo = echoing()
    with client_of(served, per_client=2) as client, ThreadPoolExecutor(4) as pool:
        asked = waiting(echo, client, pool, 2)
        refused = translate(client, text="b")
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "2")
        assert error(refused) == "2 requests of this client are waiting; try again in a few seconds"
        echo.gate.set()
        assert [one.result().status_code for one in asked] == [200] * 2


def test_nobody_waits_longer_than_the_deadline() -> None:
    served, echo = echoing()
    echo.gate.clear()
    with client_of(served, deadline=0.05) as client:
        threading.Timer(1, echo.gate.set).start()
        refused = translate(client, text="a")
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "2")
        assert error(refused) == "not translated within 0.05 s: the server is busy; try again later"


def test_a_defect_is_one_line(client: httpx.Client) -> None:
    with client_of(echoing()[0]) as own:
        answer = translate(own, text="fail")
    assert (answer.status_code, error(answer)) == (500, "internal error; the server has printed what it was")


PAGES = ["/", "/docs", "/openapi.json", "/health", "/ready", "/api/runs", *(f"/assets/{name}" for name in ASSETS)]
PATHS: list[tuple[str, Callable[[httpx.Client], httpx.Response], int]] = [
    *((path, lambda client, path=path: client.get(path), 200) for path in PAGES),
    ("translate", lambda client: translate(client, text="a"), 200),
    ("404", lambda client: client.get("/assets/template.py"), 404),
    ("traversal", lambda client: client.get("/assets/..%2Ftemplate.py"), 404),
    ("405", lambda client: client.get("/api/translate"), 405),
    ("422", lambda client: translate(client, text=3), 422),
    ("415", lambda client: client.post("/api/translate", content=b"a"), 415),
    ("host", lambda client: client.get("/", headers={"Host": "evil.example"}), 403),
]  # fmt: skip


@pytest.mark.parametrize(("ask", "status"), [path[1:] for path in PATHS], ids=[path[0] for path in PATHS])
def test_every_answer_has_the_headers(
    client: httpx.Client, ask: Callable[[httpx.Client], httpx.Response], status: int
) -> None:
    answer = ask(client)
    assert answer.status_code == status
    assert {name: answer.headers[name] for name in HEADERS} == HEADERS
    assert "script-src 'self'" in answer.headers["content-security-policy"]
    assert "access-control-allow-origin" not in answer.headers
    if status != 200:
        error(answer)


@pytest.mark.parametrize(
    ("host", "status"),
    [
        *(("localhost", 200), ("LOCALHOST:8000", 200), ("[::1]:80", 200)),
        *(("localhost.evil.example", 403), ("evil.example:80", 403), ("", 403)),
    ],
)
def test_other_names_of_this_address_are_refused(client: httpx.Client, host: str, status: int) -> None:
    assert client.get("/health", headers={"Host": host}).status_code == status


def test_pages_need_nothing_from_outside(client: httpx.Client) -> None:
    for path in ("/", "/docs", *(f"/assets/{name}" for name in ASSETS)):
        assert not re.findall(r"https?://|//[a-z]+\.", client.get(path).text), path
    for path in ("/", "/docs"):
        linked = re.findall(r'(?:src|href)="([^"#]+)"', client.get(path).text)
        local = [link for link in linked if link != "data:,"]
        assert [client.get(f"/{link}").status_code for link in local] == [200] * len(local)


def test_the_description_names_what_there_is(client: httpx.Client) -> None:
    described = client.get("/openapi.json").json()
    assert set(described["paths"]) == {"/api/runs", "/api/translate", "/health", "/ready"}
    assert set(described["paths"]["/api/translate"]["post"]["responses"]) >= {"200", "413", "422", "429", "503"}
    page = client.get("/docs").text
    for name, schema in described["components"]["schemas"].items():
        assert f'id="{name}"' in page
        for key, value in schema["properties"].items():
            assert value["description"], key
