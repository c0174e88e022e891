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
    _check_outputs(settings)
    if settings.input is None and sys.stdin is None:
        raise ConfigError("standard input is closed; give input=FILE, or <FILE")
    with importing():
        from seq2seq import machine  # torch takes seconds to import: settings are checked first
        from seq2seq.build.inference import load_run
        from seq2seq.decoding import streaming
        from seq2seq.decoding.attention_files import attention_files

    frame.log_to(sys.stderr)
    machine.prepare(settings.machine.num_threads)
    loaded = load_run(settings.run, settings.checkpoint, settings.decode, settings.machine)
    interactive = settings.input is None and sys.stdin.isatty()
    files = settings.alignments, settings.weights, settings.heatmaps, settings.heatmap_format
    with (
        streaming.writing(settings.output) as output,
        streaming.reading(settings.input) as text,
        attention_files(loaded.translator, *files) as also,
    ):
        lines = streaming.typed(f"{loaded.config.data.src}> ") if interactive else text
        chunk_lines = 1 if interactive else settings.chunk_lines
        streaming.translate_stream(loaded.translator, lines, output, chunk_lines, also)


def _check_outputs(settings: TranslateConfig) -> None:
    """Raise ``ConfigError`` if two outputs are the same file, or one can't be written as what it is to be."""
    if settings.heatmaps and Path(settings.heatmaps).exists() and not Path(settings.heatmaps).is_dir():
        raise ConfigError(f"heatmaps={settings.heatmaps}: not a directory; choose another one")
    if settings.weights and Path(settings.weights).exists() and not Path(settings.weights).is_file():
        raise ConfigError(f"weights={settings.weights}: not a file; choose another one")
    keys: dict[Path, str] = {}
    for key in ("output", "alignments", "weights"):
        if (name := getattr(settings, key)) and (other := keys.setdefault(Path(name).resolve(), key)) != key:
            raise ConfigError(f"{key}={name}: the same file as {other}; choose another one")
