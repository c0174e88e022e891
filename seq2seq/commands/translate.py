"""`seq2seq translate`: one line out for each line in."""

from __future__ import annotations

import sys
from pathlib import Path

from seq2seq.commands import frame
from seq2seq.errors import ConfigError
from seq2seq.settings.schema import TranslateConfig
from seq2seq.signals import importing


def main() -> None:
    """Run the command."""
    frame.run("translate", translate, TranslateConfig)


def translate(settings: TranslateConfig) -> None:
    """Translate until the input ends; at a terminal, line by line."""
    heatmaps = Path(settings.heatmaps) if settings.heatmaps else None
    if heatmaps and heatmaps.exists() and not heatmaps.is_dir():
        raise ConfigError(f"heatmaps={heatmaps}: not a directory; choose another one")
    if settings.input is None and sys.stdin is None:
        raise ConfigError("standard input is closed; give input=FILE, or <FILE")
    with importing():
        from seq2seq import machine  # torch takes seconds to import: settings are checked first
        from seq2seq.build.inference import load_run
        from seq2seq.decoding import streaming

    frame.log_to(sys.stderr)
    machine.prepare(settings.machine.num_threads)
    loaded = load_run(settings.run, settings.checkpoint, settings.decode, settings.machine)
    interactive = settings.input is None and sys.stdin.isatty()
    with streaming.writing(settings.output) as output, streaming.reading(settings.input) as text:
        lines = streaming.typed(f"{loaded.config.data.src}> ") if interactive else text
        chunk_lines = 1 if interactive else settings.chunk_lines
        streaming.translate_stream(loaded.translator, lines, output, chunk_lines, heatmaps)
