"""Translate text, a sentence a line: python scripts/translate.py run=runs/NAME [input=FILE] [output=FILE]."""

import sys
from pathlib import Path

from seq2seq import cli
from seq2seq.config import TranslateConfig


def main(settings: TranslateConfig) -> None:
    """Translate until the input ends; at a terminal, line by line."""
    from seq2seq import build, streaming  # torch takes seconds to import: settings are checked first

    cli.log_to(sys.stderr)
    loaded = build.load_run(settings.run, settings.checkpoint, settings.decode, settings.machine)
    with streaming.opened(settings.input, settings.output) as (lines, output):
        interactive = lines.isatty()
        if interactive:
            print("type a sentence and press enter; end with ctrl-D", file=sys.stderr)
        chunk_lines = 1 if interactive else settings.chunk_lines
        heatmaps = Path(settings.heatmaps) if settings.heatmaps else None
        streaming.translate_stream(loaded.translator, lines, output, chunk_lines, heatmaps)


if __name__ == "__main__":
    cli.run(main, TranslateConfig)
