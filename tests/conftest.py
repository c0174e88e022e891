"""Settings of Hypothesis, and fixtures that tests of several directories use."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest
import torch
from hypothesis import HealthCheck, settings
from small_models import NewModel, enlarged, make_model

from seq2seq.model import ATTENTIONS, Seq2Seq
from seq2seq.training.tracker import Tracker

for name in ("SIGINT", "SIGTERM", "SIGUSR1", "SIGHUP"):  # a script's background jobs ignore some; tests send them
    if hasattr(signal, name) and signal.getsignal(getattr(signal, name)) == signal.SIG_IGN:
        handler = signal.default_int_handler if name == "SIGINT" else signal.SIG_DFL
        signal.signal(getattr(signal, name), handler)

settings.register_profile("short", deadline=None)
settings.register_profile("long", deadline=None, max_examples=4000, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("short")


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Rates measured in tests stay out of the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(params=list(ATTENTIONS))
def variant(request: pytest.FixtureRequest) -> str:
    """The attentions in turn."""
    return str(request.param)


@pytest.fixture(scope="module", autouse=True)
def undrawn(request: pytest.FixtureRequest) -> Iterator[None]:
    """Training leaves no curves.png, no report.html and no model card, except in modules marked ``drawn``.

    Drawing them takes longer than a short run. The scope is that of the fixtures in which modules train.
    """
    with pytest.MonkeyPatch.context() as patch:
        if not request.node.get_closest_marker("drawn"):
            for name in ("draw_curves", "report"):
                patch.setattr(Tracker, name, lambda *_, **__: None)
        yield


@pytest.fixture
def new_model() -> NewModel:
    """A function that makes a small float64 model in evaluation mode, the same every time."""

    def new(**options: object) -> Seq2Seq:
        torch.manual_seed(3)
        return enlarged(make_model(**options)).double().eval()  # type: ignore[arg-type]

    return new
