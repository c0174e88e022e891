"""Translate text, a sentence a line: python scripts/translate.py run=runs/NAME [input=FILE] [output=FILE]."""

import sys

import hydra
from omegaconf import DictConfig

from seq2seq import cli
from seq2seq.config import TranslateConfig, load_settings


@hydra.main(version_base="1.3", config_path="../configs", config_name="translate")
def main(config: DictConfig) -> None:
    settings = load_settings(config, TranslateConfig)
    from seq2seq import build, streaming

    cli.log_to(sys.stderr)
    translator = build.load_run(settings.run, settings.checkpoint, settings.decode, settings.machine).translator
    with streaming.opened(settings.input, settings.output) as (lines, output):
        if lines.isatty():
            print("type a sentence and press enter; end with ctrl-D", file=sys.stderr)
        size = 1 if lines.isatty() else settings.chunk_lines
        streaming.translate_stream(translator, lines, output, size)


if __name__ == "__main__":
    cli.run(main, "translate")
