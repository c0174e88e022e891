"""Runs in one, two and four processes; tests/system has more of them."""

from __future__ import annotations

import json
import random
import re
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
from reversals import rows, settings_of
from together import Together

from seq2seq import machine
from seq2seq.commands.train import check_group
from seq2seq.data.batch import TokenizedPairs, collate
from seq2seq.data.loader import Share, gather
from seq2seq.distributed.group import Group, joined
from seq2seq.distributed.processes import Processes, met
from seq2seq.errors import ConfigError
from seq2seq.storage.rows import Rows
from seq2seq.text.tokenizer import PAD

SMALL = [
    "model.embedding_size=8",
    "model.encoder_size=8",
    "model.decoder_size=16",
    "model.readout_size=8",
    "trainer.max_epochs=2",
    "data.max_length=20",
    "trainer.batch_tokens=24",
    "trainer.label_smoothing=0.1",
    "trainer.log_every=3",
    "schedule.warmup_steps=5",
    "optimizer.lr=3e-3",
]
KINDS = {
    "bahdanau": ["attention=bahdanau", "attention.size=16", "model.encoder_layers=2", "model.decoder_layers=2"],
    "accumulate": ["trainer.accumulate=3", "trainer.average=last", "trainer.keep_last=2", "machine.fused=false"],
    "zeros": ["model.bridge=zeros", "model.tie_embeddings=none", "machine.precision=bf16"],
}
DROPOUT = ["model.dropout.embedding=0.2", "model.dropout.readout=0.2"]
STOP = {"rank": 1, "step": 7, "what": "SIGTERM"}
BOUND = 2e-5
"""On the difference of any weight at the end, from the order of summation alone; weights are about 0.3."""


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Together:
    runs = Together(tmp_path_factory.mktemp("together"), *SMALL)
    for size in (1, 2, 4):
        runs.add(f"luong{size}", size, "trainer.average=ema")
    runs.add("bf16", 2, "trainer.average=ema", "trainer.all_reduce=bf16")
    runs.add("resumed", 2, "trainer.average=ema", **STOP)
    runs.add("resumed", 4, "trainer.average=ema")
    runs.add("failed", 2, rank=1, step=3, what="this: is wrong")
    runs.run()
    return runs


@pytest.fixture(scope="module")
def more(tmp_path_factory: pytest.TempPathFactory) -> Together:
    runs = Together(tmp_path_factory.mktemp("more"), *SMALL)
    for kind, given in KINDS.items():
        for size in (1, 2, 4):
            runs.add(f"{kind}{size}", size, *given)
    runs.add("resumed", 2, *KINDS["bahdanau"], **STOP)
    runs.add("resumed", 1, *KINDS["bahdanau"])
    runs.add("whole", 2, *DROPOUT)
    runs.add("parts", 2, *DROPOUT, **STOP)
    runs.add("parts", 2, *DROPOUT)
    for size in (1, 2):
        runs.add(f"child{size}", size, f"init_from={runs.directory('whole')}")
    runs.add("failed", 2, rank=0, step=3, what="this: is wrong")
    runs.add("killed", 2, rank=1, step=3, what="SIGKILL")
    runs.run()
    return runs


def assert_same_run(runs: Together, kind: str, size: int, bound: float = BOUND) -> None:
    assert runs.ends(f"{kind}{size}") == [(0, "")] * size
    for checkpoint in ("last", "best"):
        assert 0 < runs.distance(f"{kind}1", f"{kind}{size}", checkpoint) < bound
    alone, together = (rows(runs.directory(f"{kind}{n}")) for n in (1, size))
    assert len(alone) == len(together) > 4
    for one, other in zip(alone, together, strict=True):
        assert one.pop("kind") == other.pop("kind")
        assert one == pytest.approx(other, rel=50 * bound)


@pytest.mark.parametrize("size", [2, 4])
def test_any_number_of_processes_gives_the_same_run(runs: Together, size: int) -> None:
    assert_same_run(runs, "luong", size)


@pytest.mark.system
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [2, 4])
def test_with_any_settings_too(more: Together, kind: str, size: int) -> None:
    assert_same_run(more, kind, size, BOUND if kind != "zeros" else 2e-3)  # products in bf16 round more


def test_some_batches_have_fewer_sentences_than_there_are_processes(runs: Together) -> None:
    """Else the tests above would not show that a rank may have none."""
    steps = json.loads((runs.directory("luong4") / "result.json").read_text())["steps"]
    assert 2 * 60 / steps < 4


def test_one_process_pays_nothing(runs: Together) -> None:
    assert runs.processes["luong1"][0][0].loaded == ""
    assert runs.processes["luong2"][0][0].loaded == "seq2seq.distributed.processes"


def test_gradients_are_exchanged_in_bf16_if_asked(runs: Together) -> None:
    assert BOUND < runs.distance("luong2", "bf16") < 0.1


def test_a_signal_to_one_stops_all_and_any_number_resumes(runs: Together) -> None:
    assert runs.ends("resumed") == [(75, "")] * 2
    assert runs.ends("resumed", 1) == [(0, "")] * 4
    assert 0 < runs.distance("luong2", "resumed") < BOUND


@pytest.mark.system
def test_one_resumes_what_two_have_begun(more: Together) -> None:
    assert more.ends("resumed", 1) == [(0, "")]
    assert 0 < more.distance("bahdanau2", "resumed") < BOUND


@pytest.mark.system
def test_as_many_processes_resume_bit_for_bit(more: Together) -> None:
    assert more.ends("parts") == [(75, "")] * 2
    assert more.distance("whole", "parts") == 0


@pytest.mark.system
def test_all_processes_start_from_the_same_weights(more: Together) -> None:
    assert_same_run(more, "child", 2)


def test_an_error_ends_all_with_its_message(runs: Together) -> None:
    assert runs.ends("failed") == [(1, ""), (1, "error: rank 1: this: is wrong\n")]


@pytest.mark.system
def test_an_error_of_the_first_has_no_rank(more: Together) -> None:
    assert more.ends("failed") == [(1, "error: this: is wrong\n"), (1, "")]


@pytest.mark.system
def test_a_process_that_is_killed_ends_the_other(more: Together) -> None:
    (status, said), killed = more.ends("killed")
    assert (status, killed) == (1, (-9, ""))
    lost = "another process of this training has ended or can't be reached"
    assert re.fullmatch(rf"error: {lost} \((Connection closed by peer|Read error) .*\)\n", said)


@pytest.mark.faults
@pytest.mark.timeout(3600)
def test_a_process_killed_at_any_moment_ends_all_and_the_run_goes_on(tmp_path: Path) -> None:
    rng, runs = random.Random(1), Together(tmp_path, *SMALL, "trainer.save_every=3", *DROPOUT)
    runs.add("whole", 2)
    for number in range(100):
        runs.add(f"killed{number}", 2, rank=rng.randrange(2), fraction=rng.random())
        if number % 5 == 0:
            runs.add(f"killed{number}", 2)
    runs.run()  # and none hangs
    for number in range(0, 100, 5):
        assert runs.ends(f"killed{number}", 1) == [(0, "")] * 2
        assert runs.distance("whole", f"killed{number}") == 0
    killed = [-9 in dict(runs.ends(f"killed{number}")) for number in range(100)]
    assert sum(killed) > 70  # the others were faster


def test_each_rank_and_update_has_its_own_random_numbers() -> None:
    def draws(rank: int, step: int) -> list[float]:
        group = Processes.__new__(Processes)
        group.rank = rank
        group.seed(3)
        group.begin_update(step)
        return torch.rand(4).tolist()

    drawn = [draws(rank, step) for rank in range(3) for step in range(3)]
    assert len({tuple(numbers) for numbers in drawn}) == 9
    assert draws(2, 1) == drawn[7]


def test_processes_meet_in_a_store_with_the_words_of_dead_ones() -> None:
    store, size = dist.HashStore(), 3
    for rank in (1, 2):
        store.set(f"word/{rank}", "dead")
        store.set(f"start/{rank}/dead", "dead")
    found: dict[int, Any] = dict.fromkeys(range(size), store)

    def meet(rank: int) -> None:
        found[rank] = met(store, rank, size)

    threads = [threading.Thread(target=meet, args=[rank], daemon=True) for rank in found]
    for thread in threads:
        thread.start()
        thread.join(0.1)
    for thread in threads:
        thread.join(20)
    found[0].set("key", "value")
    assert [one.get("key") for one in found.values()] == [b"value"] * size
    assert store not in found.values()


def test_an_environment_without_a_launcher_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.delenv("RANK", raising=False)
    with (
        pytest.raises(SystemExit, match="error: WORLD_SIZE=2: start with torchrun, or unset it") as ended,
        joined(),
    ):
        pass
    assert "RANK" in str(ended.value.code)


@pytest.mark.parametrize("given", ["overwrite=true", "resume=never"])
def test_a_start_that_no_restart_could_resume_is_refused(given: str) -> None:
    group = Group()
    settings = settings_of("name=a", given)
    check_group(settings, group)
    group.restarts = 3
    with pytest.raises(ConfigError, match=given):
        check_group(settings, group)


def test_each_process_has_its_own_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    group = Processes.__new__(Processes)
    group.local_rank, group.local_size = 2, 3
    taken: list[int] = []
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    monkeypatch.setattr(torch.cuda, "set_device", taken.append)
    assert (group.device(torch.device("cuda")), taken) == (torch.device("cuda:2"), [2])
    assert group.device(torch.device("cpu")) == torch.device("cpu")
    for device in ("cuda:1", "mps"):
        with pytest.raises(ConfigError, match=f"machine.device={device}: several processes"):
            group.device(torch.device(device))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(ConfigError, match="3 processes need as many GPUs, and torch sees 2 here"):
        group.device(torch.device("cuda"))


@pytest.mark.parametrize("size", [2, 3, 8])
def test_shares_of_a_batch_are_its_rows_with_no_more_padding_than_they_need(size: int) -> None:
    rows = [[[4] * n for n in (1, 2, 4, 5, 9)], [[5, 6, 7][:n] for n in (1, 3, 2, 2, 3)]]
    pairs, indices = TokenizedPairs.of(*rows), np.arange(5)
    whole = gather(pairs, indices)
    tokens = 0
    for rank in range(size):
        share = gather(pairs, indices, Share(rank, size))
        own = [side[rank::size] or side[:1] for side in rows]
        expected = collate(*map(Rows.of, own))
        assert all(torch.equal(a, b) for a, b in zip(share[:4], expected[:4], strict=True))
        assert share.targets.tolist() == (expected.targets.tolist() if rank < 5 else [])
        assert share.counts == whole.counts
        tokens += len(share.places)
    assert tokens == len(whole.places) == int((whole.tgt_out != PAD).sum())
    real = tokens + int(whole.src_mask.sum())
    assert whole.counts == (tokens, real, whole.src.numel() + whole.tgt_in.numel())


@pytest.mark.parametrize(
    ("processes", "given", "set_to"), [(2, "1", 4), (2, None, 4), (16, "1", 1), (2, "3", None), (1, "1", None)]
)
def test_processes_of_a_host_share_its_cores(
    processes: int, given: str | None, set_to: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """torchrun sets OMP_NUM_THREADS=1; any other number was given by the user."""
    numbers: list[int] = []
    monkeypatch.setattr(machine, "usable_cores", lambda: 8)
    monkeypatch.setattr(torch, "set_num_threads", numbers.append)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if given:
        monkeypatch.setenv("OMP_NUM_THREADS", given)
    machine.prepare(None, processes)
    assert numbers == [torch.get_num_threads() if set_to is None else set_to]
