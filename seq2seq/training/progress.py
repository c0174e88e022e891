"""Progress of training: a bar at a terminal, a line now and then elsewhere."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Mapping
from datetime import timedelta

from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

logger = logging.getLogger(__name__)


class Progress:
    """Shows updates done of ``total``, loss, speed and time left."""

    def __init__(self, total: int, done: int = 0, seconds_between_lines: float = 20.0) -> None:
        self._total, self._done = total, done  # done in earlier starts
        self._between = seconds_between_lines
        self._last_line = self._started = time.monotonic()
        self._bar = tqdm(
            total=total, initial=done, unit="update", disable=not sys.stderr.isatty(), dynamic_ncols=True
        )

    def show(self, step: int, values: Mapping[str, float]) -> None:
        """After update ``step``."""
        self._bar.update(step - self._bar.n)
        self._bar.set_postfix_str(f"loss {values['loss']:.3f}, {values['tokens_per_second']:,.0f} tokens/s")
        now = time.monotonic()
        if self._bar.disable and now - self._last_line >= self._between:
            left = (now - self._started) / (step - self._done) * (self._total - step)
            logger.info(
                "update %d of %d · loss %.3f · %s tokens/s · %s left",
                step,
                self._total,
                values["loss"],
                f"{values['tokens_per_second']:,.0f}",
                timedelta(seconds=round(left)),
            )
            self._last_line = now

    def __enter__(self) -> Progress:
        self._redirected = logging_redirect_tqdm()  # so that messages do not break the bar
        self._redirected.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        self._redirected.__exit__(None, None, None)
        self._bar.close()
