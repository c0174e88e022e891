"""A corpus of several windows, from the files to the updates: how much memory it takes, and a kill on the way."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from reversals import LETTERS, overrides, write_reversals

pytestmark = pytest.mark.system
MB = 1000  # kB
PAIRS = 400_000
TRAIN = """\
import sys
from pathlib import Path
from reversals import new_trainer
trainer = new_trainer(*sys.argv[1:])
trainer.train()
print(len(trainer.loader.order(0)), "windows")
print(Path("/proc/self/status").read_text())
"""
GIVEN = [
    "trainer.max_steps=3",
    "tokenizer.sample_lines=2000",
    "trainer.batch_tokens=2000",
    "schedule.warmup_steps=1",
]


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = write_reversals(tmp_path_factory.mktemp("large"), {"train": 10, "valid": 6, "test": 6})
    rng = random.Random(1)
    lines = [" ".join(rng.choices(LETTERS, k=rng.randint(3, 12))) for _ in range(PAIRS)]
    (directory / "train.src").write_text("\n".join(lines) + "\n")
    (directory / "train.tgt").write_text("\n".join(line[::-1] for line in lines) + "\n")
    return directory


def trained(data: Path, *more: str) -> tuple[int, int]:
    """The number of windows, and the most memory that the process took, in kB."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", TRAIN, *overrides(data, *GIVEN, *more)]
    said = subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout
    windows, peak = re.search(r"(\d+) windows", said), re.search(r"VmHWM:\s*(\d+)", said)
    assert windows
    assert peak
    return int(windows[1]), int(peak[1])


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_memory_does_not_grow_with_the_corpus(large: Path, tmp_path: Path) -> None:
    small = write_reversals(tmp_path, {"train": 5_000, "valid": 6, "test": 6})
    for data in (small, large):
        assert trained(data, "name=cold")[1] < 1_500 * MB
    windows, of_small = trained(small, "name=warm")
    assert windows == 1
    windows, of_large = trained(large, "name=warm")
    assert windows == 2
    assert of_large < of_small + 150 * MB  # as lists, the tokens alone would take 400 MB


def test_a_start_killed_while_it_tokenizes_is_no_obstacle(large: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    given = [item for item in overrides(large, *GIVEN) if not item.startswith("data.cache_dir=")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", TRAIN, *given, f"data.cache_dir={cache}", "name=killed"]
    killed = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
    deadline = time.monotonic() + 120
    while not any(path.stat().st_size > 10**5 for path in cache.glob(".tokenizer-*.tmp/src.npy")):
        assert killed.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert list(cache.glob("tokenizer-*")) == []
    subprocess.run(command, check=True, capture_output=True, env=environment)
    assert len(list(cache.glob("tokenizer-*"))) == 1
    assert list(cache.glob(".*.tmp")) == []
