"""Progress of training: a bar at a terminal; otherwise, a line from time to time."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from seq2seq.training.state import TrainState

logger = logging.getLogger(__name__)


BAR = "{desc} {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}]"


class Progress:
    """Shows how many of ``total`` updates are done and the time left; below, loss, rate, best BLEU and speed."""

    def __init__(self, total: int, done: int = 0, seconds_between_lines: float = 20.0) -> None:
        self._total, self._done = total, done  # done in earlier starts
        self._between = seconds_between_lines
        self._last_line = self._started = time.monotonic()
        self._off = not sys.stderr.isatty()
        self._bar = self._new_bar(total, desc="training", initial=done)
        self._values = tqdm(bar_format="{desc}", disable=self._off, dynamic_ncols=True)

    def _new_bar(self, total: int, **given: Any) -> tqdm[Any]:
        return tqdm(total=total, bar_format=BAR, disable=self._off, dynamic_ncols=True, **given)

    def advance(self, step: int) -> None:
        """Update ``step`` is done. This does not wait for the device."""
        self._bar.total = self._total = max(step, self._total)  # sampled pieces may make further batches
        self._bar.update(step - self._bar.n)

    def show(self, values: Mapping[str, float], state: TrainState) -> None:
        """Show the latest ``values`` of training."""
        parts = [f"epoch {state.epoch + 1}", f"loss {values['loss']:.3f}", f"rate {values['lr']:.1e}"]
        if state.best:
            parts.append(f"best BLEU {state.best['bleu']:.1f}")
        parts.append(f"{values['tokens_per_second']:,.0f} tokens/s")
        self._values.set_description_str(" · ".join(parts))
        now = time.monotonic()
        if self._off and now - self._last_line >= self._between:
            an_update = (now - self._started) / (state.step - self._done)
            left = timedelta(seconds=round(an_update * max(0, self._total - state.step)))
            logger.info("update %d of %d · %s · %s left", state.step, self._total, " · ".join(parts), left)
            self._last_line = now

    @contextmanager
    def of_validation(self, sentences: int) -> Iterator[Callable[[int], object]]:
        """A bar of its own; yields a function to call with how many more of the ``sentences`` are translated."""
        with self._new_bar(sentences, desc="validation", leave=False) as bar:
            yield bar.update

    def finish(self, step: int) -> None:
        """Training ended with update ``step``, which may come before the planned last one."""
        self._total = step
        self.advance(step)
        self._bar.refresh()

    def __enter__(self) -> Progress:
        self._redirected = logging_redirect_tqdm()  # so that messages do not break the bar
        self._redirected.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        self._redirected.__exit__(None, None, None)
        self._bar.close()
        self._values.close()
