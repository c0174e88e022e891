"""Which processor this is: a name alone, such as "AMD EPYC", says little about its speed."""

from __future__ import annotations

import platform
import re
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")
FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile")
"""Those on which the speed of products in fp32, bf16 and int8 depends."""


def processor_name(cpuinfo: Path = CPUINFO) -> str:
    """Name, family, model and notable instructions, as in "AMD EPYC (family 25, model 1; avx2)".

    Where there is no /proc/cpuinfo of this kind, it is what Python's ``platform`` knows.
    """
    try:
        text = cpuinfo.read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    fields = dict(re.findall(r"^(.+?)[ \t]*:[ \t]*(.*)$", text.split("\n\n")[0], re.MULTILINE))
    name = " ".join(fields.get("model name", "").split()) or platform.processor() or platform.machine()
    known = fields.get("flags", "").split()
    flags = [flag for flag in FLAGS if flag in known]
    numbers = [f"{key.rpartition(' ')[2]} {fields[key]}" for key in ("cpu family", "model") if key in fields]
    details = "; ".join(filter(None, (", ".join(numbers), " ".join(flags))))
    return f"{name} ({details})" if details else name
