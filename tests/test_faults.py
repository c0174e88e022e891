"""Faults on the real scripts: signals, kill -9 at any moment, a second process, disks that are full or read-only.

The short form runs with the other tests; ``make test-faults`` runs the long one and prints what
docs/reliability.md tabulates.
"""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from logging.handlers import MemoryHandler
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import pytest
import torch
from reversals import overrides, rows, write_reversals
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from seq2seq.data.store import tokenized
from seq2seq.data.training_text import training_text
from seq2seq.storage.lock import locked
from seq2seq.text.tokenizer_pair import TokenizerPair
from seq2seq.text.words import WordTokenizer

pytestmark = pytest.mark.system
ONE_THREAD = {**os.environ, "OMP_NUM_THREADS": "1"}
SCRIPTS = Path(__file__).parents[1] / "scripts"
RUN = [
    "attention=bahdanau",
    "tokenizer=unigram",
    "tokenizer.vocab_size=300",
    "tokenizer.sample=true",
    "model.dropout.readout=0.2",
    "trainer.average=ema",
    *["schedule=plateau", "schedule.patience=0", "trainer.metric=loss"],
    "trainer.max_epochs=4",
    "trainer.batch_tokens=200",
    "trainer.save_every=2",
    "trainer.log_every=1",
    "trainer.num_samples=1",
]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_reversals(tmp_path_factory.mktemp("faults"), {"train": 400, "valid": 20, "test": 5})


Train = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture(scope="module")
def train(data: Path) -> Train:
    def started(name: str, *more: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, str(SCRIPTS / "train.py"), *overrides(data, *RUN, f"name={name}", *more)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=ONE_THREAD,
        )

    return started


@pytest.fixture(scope="module")
def uninterrupted(train: Train, data: Path) -> Path:
    assert ended(train("uninterrupted")) == 0
    return data / "runs" / "uninterrupted"


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[str], seconds: float = 60) -> None:
    """Until it holds or the process has ended."""
    end = time.monotonic() + seconds
    while not condition() and process.poll() is None:
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.005)


def ended(process: subprocess.Popen[str]) -> int:
    """Its exit status."""
    process.communicate(timeout=600)
    return process.returncode


def assert_same(run: Path, other: Path) -> None:
    """Weights, the curves' points and nothing twice."""
    for name in ("best", "last"):
        ours, theirs = (load_file(str(directory / name / "model.safetensors")) for directory in (run, other))
        assert all(torch.equal(ours[key], theirs[key]) for key in theirs)
    assert rows(run) == rows(other)
    assert points(run) == points(other)
    assert (run / "curves.png").exists()
    assert not [*run.glob(".*.tmp"), *run.glob(".*.old")]


def points(run: Path) -> dict[str, list[Any]]:
    """All that TensorBoard shows, but for speeds and the settings, in which the run's name is."""
    everything = {"scalars": 0, "images": 0, "tensors": 0}
    events = EventAccumulator(str(run), everything, purge_orphaned_data=False).Reload()
    tags = events.Tags()
    scalars = {tag: [(e.step, e.value) for e in events.Scalars(tag)] for tag in tags["scalars"]}
    images = {tag: [(e.step, e.encoded_image_string) for e in events.Images(tag)] for tag in tags["images"]}
    texts = {tag: [(e.step, e.tensor_proto.string_val[0]) for e in events.Tensors(tag)] for tag in tags["tensors"]}
    kept = {**scalars, **images, **texts}
    return {tag: kept[tag] for tag in kept if "tokens_per_second" not in tag and "settings" not in tag}


def test_a_signal_saves_and_the_same_command_resumes(train: Train, data: Path, uninterrupted: Path) -> None:
    name = "SIGTERM"
    run = data / "runs" / name
    process = train(name)
    wait_for((run / "last" / "checkpoint.json").exists, process)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (75, "")
    assert f"stopped: {name} after update" in out
    assert "the same command resumes" in out
    process = train(name)
    out, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (0, "")
    assert "resuming from" in out
    assert_same(run, uninterrupted)
    assert "nothing to do" in train(name).communicate(timeout=60)[0]


def write_words(directory: Path) -> Path:
    """A corpus whose tokenizer takes SentencePiece some seconds."""
    rng = random.Random(0)
    words = ["".join(rng.choices("abcdefghijklmnop", k=rng.randint(2, 9))) for _ in range(20_000)]
    for split, size in (("train", 4000), ("valid", 6), ("test", 2)):
        for side in ("src", "tgt"):
            lines = [" ".join(rng.choices(words, k=8)) for _ in range(size)]
            (directory / f"{split}.{side}").write_text("\n".join(lines) + "\n")
    os.mkfifo(directory / "pipe")
    return directory


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_words(tmp_path_factory.mktemp("words"))


def start(words: Path, name: str, *more: str) -> subprocess.Popen[str]:
    """A run that validates after each update."""
    given = [
        *["tokenizer=unigram", "tokenizer.vocab_size=2000", "trainer.max_steps=12", "trainer.num_samples=0"],
        *["trainer.validate_unit=steps", "trainer.validate_every=1", f"name={name}"],
    ]
    command = [sys.executable, str(SCRIPTS / "train.py"), *overrides(words, *given, *more)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ONE_THREAD)


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


def catches_interrupts(process: int) -> bool:
    (caught,) = (line for line in text_of(Path(f"/proc/{process}/status")).splitlines() if "SigCgt" in line)
    return bool(int(caught.split()[1], 16) & 1 << (signal.SIGINT - 1))


PHASES: dict[str, Callable[[int, Path], bool]] = {
    "importing": lambda process, run: "libtorch" in text_of(Path(f"/proc/{process}/maps")),
    "reading": lambda process, run: (run / "train.log").exists(),
    "training the tokenizer": lambda process, run: (
        (run / "train.log").exists() and not catches_interrupts(process)
    ),
    "building": lambda process, run: "vocabulary" in text_of(run / "train.log"),
    "validating": lambda process, run: "validation after update" in text_of(run / "train.log"),
}
AT_ONCE = {"SIGINT": {(130, "interrupted\n")}, "SIGTERM": {(-15, "")}, "SIGHUP": {(-1, "")}}
SAVED = {(75, "")}


def may_end(phase: str, name: str) -> set[tuple[int, str]]:
    """Exit statuses, and what is written to standard error."""
    if phase == "training the tokenizer" and name == "SIGINT":
        return {(-2, "")}
    return {"building": AT_ONCE[name] | SAVED, "validating": SAVED}.get(phase, AT_ONCE[name])


@pytest.fixture(scope="module")
def unsignalled(words: Path) -> Path:
    assert ended(start(words, "unsignalled")) == 0
    return words / "runs" / "unsignalled"


@pytest.mark.faults
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc")
@pytest.mark.parametrize("phase", list(PHASES))
def test_signals_in_each_phase_of_a_start(words: Path, unsignalled: Path, phase: str) -> None:
    name = phase.replace(" ", "_")
    run = words / "runs" / name
    more = [f"data.cache_dir={words}/{name}"] if phase == "training the tokenizer" else []
    for signal_name in AT_ONCE:
        (run / "train.log").unlink(missing_ok=True)
        pipe = [f"data.train.src={words}/pipe"] if phase == "reading" else []
        process = start(words, name, *more, *pipe)
        wait_for(lambda: PHASES[phase](process.pid, run), process)  # noqa: B023
        time.sleep(0.1)
        process.send_signal(signal.Signals[signal_name])
        _, err = process.communicate(timeout=60)
        assert (process.returncode, err) in may_end(phase, signal_name), signal_name
    assert ended(start(words, name, *more)) == 0
    assert_same(run, unsignalled)


@pytest.mark.faults
@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_a_terminal_that_hangs_up(data: Path, uninterrupted: Path) -> None:
    import pty

    run = data / "runs" / "hung_up"
    command = [sys.executable, str(SCRIPTS / "train.py"), *overrides(data, *RUN), f"name={run.name}"]
    ours, theirs = pty.openpty()
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=ONE_THREAD)
    os.close(theirs)
    wait_for((run / "last").exists, process)  # type: ignore[arg-type]
    os.close(ours)
    time.sleep(0.2)
    process.send_signal(signal.SIGHUP)
    assert process.wait(60) == 75
    assert subprocess.run(command, capture_output=True, env=ONE_THREAD, check=False).returncode == 0
    assert_same(run, uninterrupted)


OUTPUT_CLOSED = "error: standard output is closed; give >/dev/null if nobody is to read it"
OUTPUT_FULL = "error: the output: No space left on device"
STREAMS = {">&-": OUTPUT_CLOSED, ">/dev/full": OUTPUT_FULL, "2>&-": "", "<&- 2>&-": ""}


@pytest.mark.faults
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /dev/full")
@pytest.mark.parametrize("streams", list(STREAMS))
@pytest.mark.parametrize("command", ["train", "evaluate", "translate", "check-data", "runs"])
def test_streams_that_are_closed_or_full(data: Path, uninterrupted: Path, command: str, streams: str) -> None:
    corpus = [key for key in overrides(data) if key.startswith("data.") or key == "data=files"]
    given = {
        "train": [
            *overrides(data, "name=streams", "overwrite=true", "trainer.max_steps=2", "trainer.num_samples=0")
        ],
        "evaluate": [f"run={uninterrupted}", "bootstrap=0", "decode.beam_size=1"],
        "translate": [f"run={uninterrupted}", "decode.beam_size=1", f"input={data}/test.src"],
        "check-data": corpus,
        "runs": [str(data / "runs")],
    }
    shell = ["sh", "-c", f'exec "$@" {streams}', "sh", sys.executable, "-m", "seq2seq", command, *given[command]]
    with subprocess.Popen(
        shell,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**ONE_THREAD, "PYTHONIOENCODING": "ascii"},
    ) as process:
        out, err = process.communicate(timeout=120)
    assert process.returncode == (1 if STREAMS[streams] else 0)
    assert err.splitlines()[-1:] == ([STREAMS[streams]] if STREAMS[streams] else [])
    assert "Traceback" not in err
    assert bool(out) == ("2" in streams)


@pytest.mark.faults
@pytest.mark.parametrize("link", [Path.symlink_to, Path.hardlink_to])
def test_translate_into_its_own_input(
    uninterrupted: Path, tmp_path: Path, link: Callable[[Path, Path], None]
) -> None:
    file, linked = tmp_path / "text", tmp_path / "linked"
    expected = translate(uninterrupted, b"a b c\n\nd e\n").stdout
    for given, into in ((file, linked), (linked, file), (file, file)):
        linked.unlink(missing_ok=True)
        file.write_bytes(b"a b c\n\nd e\n")
        link(linked, file)
        assert translate(uninterrupted, b"", f"input={given}", f"output={into}").returncode == 0
        assert into.read_bytes() == expected
        assert linked.is_symlink() == (link is Path.symlink_to)
    assert sorted(tmp_path.iterdir()) == [linked, file]


def last_step(run: Path) -> int:
    """Of the checkpoint to resume from; 0 if there is none yet."""
    for name in ("last", "previous"):
        try:
            return int(json.loads((run / name / "checkpoint.json").read_text(encoding="utf-8"))["step"])
        except (FileNotFoundError, ValueError):  # just being replaced
            continue
    return 0


def reported_step(run: Path) -> int:
    """The last update that the run has written of."""
    lines = (run / "metrics.jsonl").read_text(encoding="utf-8").split("\n")[:-1]
    return max((json.loads(line)["step"] for line in lines), default=0)


def kill_at_random(train: Train, run: Path, times: int, *more: str) -> list[int]:
    """Kill starts of one run soon after each has saved once; gives how many reported updates each death cost."""
    rng, lost = random.Random(times), []
    for _ in range(times):
        before = last_step(run)
        process = train(run.name, *more)
        wait_for(lambda: last_step(run) > before, process)  # noqa: B023
        assert process.poll() is None, "the run was too short for so many kills"
        time.sleep(rng.uniform(0, 0.2))
        process.kill()
        process.communicate()
        lost.append(max(0, reported_step(run) - last_step(run)))
    return lost


def test_killed_at_any_moment(train: Train, data: Path, uninterrupted: Path) -> None:
    run = data / "runs" / "killed"
    kill_at_random(train, run, 3)
    process = train(run.name)
    assert process.communicate(timeout=120)[1] == ""
    assert_same(run, uninterrupted)


DYING = [
    *["model.embedding_size=8", "model.encoder_size=8", "model.decoder_size=16", "model.readout_size=8"],
    *["tokenizer=unigram", "tokenizer.vocab_size=300", "tokenizer.sample=true", "model.dropout.readout=0.2"],
    *["trainer.batch_tokens=110", "trainer.max_steps=7", "trainer.save_every=3", "trainer.log_every=1"],
    *["trainer.validate_unit=steps", "trainer.validate_every=2", "trainer.num_samples=0"],
]
AVERAGES = {"ema": ["trainer.average=ema"], "last": ["trainer.average=last", "trainer.keep_last=2"]}


@pytest.fixture
def few(tmp_path: Path) -> Path:
    return write_reversals(tmp_path, {"train": 60, "valid": 6, "test": 6})


def die(data: Path, average: str, deaths: dict[str, list[int]]) -> dict[str, list[int]]:
    """How many changes to its files each start of each run made (tests/dying.py)."""
    command = [sys.executable, Path(__file__).with_name("dying.py"), *overrides(data, *DYING, *AVERAGES[average])]
    ended = subprocess.run(
        command,
        input=json.dumps(deaths),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=3600,
        env=ONE_THREAD,
    )
    return dict(map(json.loads, ended.stdout.splitlines()))


def count_changes(data: Path, average: str) -> int:
    """How many changes the run ``average``, which nothing happens to, makes to its files."""
    die(data, average, {"first": []})  # trains the tokenizer, which the others find
    (changes,) = die(data, average, {average: []})[average]
    return changes


def test_killed_before_a_change_of_its_files(few: Path) -> None:
    changes = count_changes(few, "last")
    deaths = {f"death_{n}": [n] for n in range(7, changes, changes // 10)}
    made = die(few, "last", deaths)
    for name, (n,) in deaths.items():
        assert made[name][0] == n  # it died
        assert_same(few / "runs" / name, few / "runs" / "last")


@pytest.mark.faults
@pytest.mark.parametrize("average", list(AVERAGES))
def test_killed_before_each_change_of_its_files(few: Path, average: str) -> None:
    changes = count_changes(few, average)
    rng = random.Random(average)
    deaths = {f"death_{n}": [n, rng.randint(1, changes)] for n in range(1, changes + 1)}
    made = die(few, average, deaths)
    for name, (n, _) in deaths.items():
        assert made[name][0] == n
        assert_same(few / "runs" / name, few / "runs" / average)
        shutil.rmtree(few / "runs" / name)
    twice = sum(made[name][1] == again for name, (_, again) in deaths.items())
    assert twice > changes / 3
    print(
        f"\n{average}: killed before each of {changes} changes of its files, {twice} of them twice: all the same"
    )


@pytest.mark.faults
def test_killed_fifty_times(train: Train, data: Path) -> None:
    longer = "trainer.max_epochs=60"
    whole, run = data / "runs" / "fifty_whole", data / "runs" / "fifty"
    assert ended(train(whole.name, longer)) == 0
    lost = kill_at_random(train, run, 50, longer)
    assert ended(train(run.name, longer)) == 0
    assert_same(run, whole)
    print(f"\n50 kills survived; reported updates that were done again: {sum(lost)}, at most {max(lost)} a kill")


def test_a_second_process_is_refused(train: Train, data: Path) -> None:
    first = train("locked", "trainer.max_epochs=1000")
    wait_for((data / "runs" / "locked" / "last").exists, first)
    second = train("locked", "trainer.max_epochs=1000")
    _, err = second.communicate(timeout=60)
    assert second.returncode == 1
    assert err.startswith(f"error: {data / 'runs' / 'locked'}: process {first.pid} is training there")
    first.kill()
    first.communicate()
    with locked(data / "runs" / "locked" / ".lock"):  # it died with its owner
        pass


IN_A_NAMESPACE = ["unshare", "--map-root-user", "--mount", "sh", "-ec"]
STARVE = {  # "$@" is the command, which finds its run in ./runs
    "file size": ["sh", "-ec", 'ulimit -f 800; exec "$@"'],  # blocks of 512 bytes
    "file handles": ["sh", "-ec", 'ulimit -n 8; exec "$@"'],
    "read-only": [*IN_A_NAMESPACE, 'mount --bind runs runs; mount -o remount,bind,ro runs; exec "$@"'],
    "full disk": [
        *IN_A_NAMESPACE,
        "mkdir disk; mount -t tmpfs -o size=$SIZE disk disk; mv runs/* disk; mount --bind disk runs;"
        'status=0; "$@" || status=$?; umount runs; mv disk/* runs; exit $status',
    ],
}


def namespaces() -> bool:
    if shutil.which(IN_A_NAMESPACE[0]) is None:
        return False
    ended = subprocess.run([*IN_A_NAMESPACE, "mount -t tmpfs none /mnt"], capture_output=True, check=False)
    return ended.returncode == 0


@pytest.fixture(scope="module")
def begun(train: Train, data: Path) -> Path:
    assert ended(train("starved", "trainer.max_steps=10")) == 0
    return data / "runs" / "starved"


@pytest.mark.parametrize("how", list(STARVE))
def test_a_machine_that_refuses(data: Path, begun: Path, uninterrupted: Path, tmp_path: Path, how: str) -> None:
    if STARVE[how][0] == "unshare" and not namespaces():
        pytest.skip("needs a mount namespace")
    shutil.copytree(begun, tmp_path / "runs" / "starved")
    blocks = sum(path.stat().st_size // 4096 + 2 for path in begun.rglob("*"))
    command = [sys.executable, str(SCRIPTS / "train.py"), *overrides(data, *RUN), "name=starved", "runs_dir=runs"]
    starved = subprocess.run(
        [*STARVE[how], "sh", *command],
        cwd=tmp_path,
        env={**ONE_THREAD, "SIZE": str(4096 * (blocks + 60))},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert (starved.returncode, len(starved.stderr.splitlines())) == (1, 1), starved.stderr
    if how == "file handles":  # they end before the run is begun: the corpus is mapped files
        assert starved.stderr.endswith("Too many open files\n")
    else:
        assert starved.stderr.startswith("error: runs/starved")
    assert last_step(tmp_path / "runs" / "starved") >= 10
    assert subprocess.run(command, cwd=tmp_path, capture_output=True, check=False).returncode == 0
    assert_same(tmp_path / "runs" / "starved", uninterrupted)


FILL_UP = (
    "mkdir runs; mount -t tmpfs -o size=8m runs runs;"
    '"$@" trainer.validate_every=5000 trainer.max_epochs=10000 & process=$!;'
    "until test -e runs/x/last; do sleep 0.05; done; cat /dev/zero > runs/filled || true;"
    'status=0; wait $process || status=$?; rm runs/filled; "$@" trainer.validate_every=5000 trainer.max_steps=3;'
    "exit $status"
)


def test_a_disk_that_fills_up_between_saves(data: Path, tmp_path: Path) -> None:
    """What can't be written then are the rows and points, by TensorBoard's thread among others."""
    if not namespaces():
        pytest.skip("needs a mount namespace")
    given = [*overrides(data, *RUN), "name=x", "runs_dir=runs", "trainer.save_every=1000000"]
    command = [*IN_A_NAMESPACE, FILL_UP, "sh", sys.executable, str(SCRIPTS / "train.py"), *given]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
    errors = [line for line in ended.stderr.splitlines() if not line.startswith("cat: ")]
    assert (ended.returncode, errors) == (1, ["error: runs/x: No space left on device"])
    assert "resuming from runs/x/last" in ended.stdout
    assert "finished: max_steps=3" in ended.stdout


ANYTHING = [
    b"a b c",
    b"",
    b"   \t ",
    b"\xff\xfe not UTF-8 \x80",
    "😀 👩‍👩‍👧 🇩🇪".encode(),
    "שלום עולם مرحبا".encode(),
    b"nul \0 and bell \a",
    "zero\u200bwidth \ufeff mark \u2028 separator".encode(),
    "漢字".encode() * 50,
    b"a " * 500_000,  # a megabyte
    b"c b a\r",
    b"last",
]


def translate(run: Path, text: bytes, *more: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, str(SCRIPTS / "translate.py"), f"run={run}", "decode.beam_size=1", *more]
    return subprocess.run(command, input=text, capture_output=True, check=False, timeout=1200)


def test_translate_takes_anything(uninterrupted: Path) -> None:
    ended = translate(uninterrupted, b"\n".join(ANYTHING))
    assert ended.returncode == 0, ended.stderr.decode()
    lines = ended.stdout.decode("utf-8").split("\n")[:-1]
    assert len(lines) == len(ANYTHING)
    assert lines[1] == lines[2] == ""
    assert b"Traceback" not in ended.stderr
    assert b"1 of 12 lines were cut at 500 tokens" in ended.stderr
    alone = translate(uninterrupted, b"last\n").stdout.decode().split("\n")
    assert alone == [lines[-1], ""]


def test_empty_lines_stay_empty_lines(uninterrupted: Path) -> None:
    ended = translate(uninterrupted, b"\n" * 10_000)
    assert (ended.returncode, ended.stdout) == (0, b"\n" * 10_000)


def test_a_reader_that_goes_away(uninterrupted: Path) -> None:
    command = f"{sys.executable} {SCRIPTS / 'translate.py'} run={uninterrupted} decode.beam_size=1 chunk_lines=10"
    pipe = f"yes 'a b c' | head -n 3000 | {command} | head -n 5"
    ended = subprocess.run(pipe, shell=True, capture_output=True, check=False, timeout=120)
    assert ended.stdout.count(b"\n") == 5
    assert b"Traceback" not in ended.stderr
    assert b"rror" not in ended.stderr


@pytest.mark.faults
def test_a_hundred_thousand_lines_through_a_pipe(uninterrupted: Path) -> None:
    ended = translate(uninterrupted, b"".join(b"a b c\n" if i % 3 else b"\n" for i in range(100_000)))
    lines = ended.stdout.split(b"\n")[:-1]
    assert len(lines) == 100_000
    assert not any(lines[::3])
    assert len(set(lines[1::3])) == 1


def start_on_cold_caches(together: Barrier, cache: Path, outcomes: Queue[Any]) -> None:
    """A hundred starts, each at the same time as those of the other processes."""
    handler = MemoryHandler(10_000, flushLevel=logging.CRITICAL)
    logging.getLogger().addHandler(handler)
    results = []
    for start in range(100):
        together.wait(60)
        text = training_text(cache / str(start), [[cache / "train.src", cache / "train.tgt"]])
        make = partial(TokenizerPair.train, *text.sample(9), WordTokenizer.train, joint=True)
        tokens = tokenized(cache / str(start), {"joint": True}, text, make).tokens
        results.append([side.tolist() for side in tokens])
    warned = [record.getMessage() for record in handler.buffer if record.levelno >= logging.WARNING]
    outcomes.put((results, warned))


@pytest.mark.faults
def test_three_processes_start_on_a_cold_cache_a_hundred_times(tmp_path: Path) -> None:
    (tmp_path / "train.src").write_text("ein Hund\nzwei Hunde\n")
    (tmp_path / "train.tgt").write_text("a dog\ntwo dogs\n")
    context = multiprocessing.get_context("spawn")
    together, outcomes = context.Barrier(3), context.Queue()
    starts = [
        context.Process(target=start_on_cold_caches, args=(together, tmp_path, outcomes), daemon=True)
        for _ in range(3)
    ]
    for process in starts:
        process.start()
    ended = [outcomes.get(timeout=300) for _ in starts]
    for process in starts:
        process.join(60)
    tokens = ended[0][0][0]
    assert ended == [([tokens] * 100, [])] * 3
    for start in range(100):
        (entry,) = (tmp_path / str(start)).glob("tokenizer-*")
        arrays = {f"{side}{part}.npy" for side in ("src", "tgt") for part in ("", ".starts")}
        others = {"contents.json", "joint.words", "lexicon.safetensors"}
        assert {file.name for file in entry.iterdir()} == arrays | others
