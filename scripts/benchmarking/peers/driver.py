"""Runs in a peer's environment: trains by its own command, or searches through its Python API, and reports times.

    python driver.py train REPORT UPDATES MODULE [ARGUMENT ...]
    python driver.py translate REPORT TOOLKIT MODEL BEAM BATCH LINES

It imports nothing of seq2seq, and of the peer only what it runs. REPORT is written when all has gone well.
"""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, TypeAlias

from torch.optim.optimizer import register_optimizer_step_post_hook

Translate: TypeAlias = Callable[[list[str]], list[str]]  # lines of pieces → lines of pieces


def train(updates: int, module: str, *arguments: str) -> dict[str, Any]:
    """Train by ``main()`` of ``module``; returns the time at which every ``updates`` updates were done."""
    times, done = [], 0

    def after_update(*_: Any) -> None:
        nonlocal done
        done += 1
        if done % updates == 0:
            times.append(time.perf_counter())

    hook = register_optimizer_step_post_hook(after_update)
    sys.argv = [module, *arguments]
    import_module(module).main()
    hook.remove()
    return {"times": times}


def translate(toolkit: str, model: str, beam_size: int, batch: int, lines: list[str]) -> dict[str, Any]:
    """Translate ``lines``, longest first; returns the seconds that it took after the model had been loaded."""
    search = LOAD[toolkit](model, beam_size, batch)
    order = sorted(range(len(lines)), key=lambda i: -len(lines[i].split()))
    started = time.perf_counter()
    translated = search([lines[i] for i in order])
    seconds = time.perf_counter() - started
    return {"seconds": seconds, "lines": [line for _, line in sorted(zip(order, translated, strict=True))]}


def opennmt(model: str, beam_size: int, batch: int) -> Translate:
    """As ``onmt_translate`` does it."""
    parsing, options = import_module("onmt.utils.parse").ArgumentParser, import_module("onmt.opts")
    parser = parsing()
    options.translate_opts(parser)
    opt = parser.parse_args(
        ["-model", model, "-src", "", "-beam_size", str(beam_size), "-batch_size", str(batch), "-gpu", "-1"]
    )
    parsing.validate_translate_opts(opt)
    parsing._get_all_transform_translate(opt)
    parsing._validate_transforms_opts(opt)
    parsing.validate_translate_opts_dynamic(opt)
    engine = import_module("onmt.inference_engine").InferenceEnginePY(opt)
    return lambda lines: [best[0] for best in engine.infer_list(lines)[1]]


def eole(model: str, beam_size: int, batch: int) -> Translate:
    """As ``eole predict`` does it."""
    config = import_module("eole.config.run").PredictConfig(
        model_path=model, src="", beam_size=beam_size, batch_size=batch, batch_type="sents"
    )
    engine = import_module("eole.inference_engine").InferenceEnginePY(config)
    return lambda lines: [best[0] for best in engine.infer_list(lines)[2]]


def joeynmt(model: str, beam_size: int, batch: int) -> Translate:
    """As ``joeynmt translate`` does it."""
    config, prediction = import_module("joeynmt.config"), import_module("joeynmt.prediction")
    settings = config.load_config(model)
    settings["testing"] = {"beam_size": beam_size, "batch_size": batch, "batch_type": "sentence"}
    args = config.parse_global_args(settings, rank=0, mode="translate")
    network, _, _, data = prediction.prepare(args, rank=0, mode="translate")

    def search(lines: list[str]) -> list[str]:
        for line in lines:
            data.set_item(line)
        done = prediction.predict(
            *(network, data, args.device, args.n_gpu), normalization="none", args=args.test, autocast=args.autocast
        )
        return list(done[2])

    return search


LOAD = {"opennmt": opennmt, "eole": eole, "joeynmt": joeynmt}


def peak_memory() -> int:
    """Most bytes that this process has used; 0 if there is no /proc."""
    try:
        status = Path("/proc/self/status").read_text(encoding="utf-8")
    except OSError:
        return 0
    peak = re.search(r"VmHWM:\s*(\d+) kB", status)
    return 1024 * int(peak[1]) if peak else 0


def main(task: str, report: str, *arguments: str) -> None:
    if task == "train":
        result = train(int(arguments[0]), *arguments[1:])
    else:
        toolkit, model, beam_size, batch, path = arguments
        lines = Path(path).read_text(encoding="utf-8").splitlines()
        result = translate(toolkit, model, int(beam_size), int(batch), lines)
    text = json.dumps({**result, "peak_memory": peak_memory()})
    Path(report).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
