"""What a processor is called, from /proc/cpuinfo as several machines have it."""

from __future__ import annotations

from pathlib import Path

import pytest

from seq2seq.processor import processor_name

ONE = """processor\t: 0
vendor_id\t: AuthenticAMD
cpu family\t: 25
model\t\t: 17
model name\t: AMD EPYC   9354P
flags\t\t: fpu sse avx2 avx512f avx512_bf16 avx512_vnni
"""
NAME = "AMD EPYC 9354P (family 25, model 17; avx2 avx512f avx512_vnni avx512_bf16)"


@pytest.mark.parametrize(
    ("cpuinfo", "name"),
    [
        (ONE, "AMD EPYC 9354P (family 25, model 17; avx2 avx512f avx512_vnni avx512_bf16)"),
        (
            ONE + "\n" + ONE.replace("AMD", "other"),
            "AMD EPYC 9354P (family 25, model 17; avx2 avx512f avx512_vnni avx512_bf16)",
        ),
        (
            "model name\t: Intel(R) Xeon(R)\nflags\t\t: avx2 amx_tile avx512f_no\n",
            "Intel(R) Xeon(R) (avx2 amx_tile)",
        ),
        ("cpu family\t: 6\nmodel name\t: X\nflags\t:\n", "X (family 6)"),
        ("model name\t: X\n", "X"),
    ],
)
def test_name(tmp_path: Path, cpuinfo: str, name: str) -> None:
    path = tmp_path / "cpuinfo"
    path.write_text(cpuinfo)
    assert processor_name(path) == name


@pytest.mark.parametrize("cpuinfo", [None, "processor\t: 0\nBogoMIPS\t: 50.00\n"])
def test_elsewhere_it_is_what_the_system_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cpuinfo: str | None
) -> None:
    path = tmp_path / "cpuinfo"
    if cpuinfo:
        path.write_text(cpuinfo)
    monkeypatch.setattr("platform.processor", lambda: "")
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    assert processor_name(path) == "aarch64"
