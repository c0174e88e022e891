"""`seq2seq serve`: a page and an API to translate with."""

from __future__ import annotations

import sys

from seq2seq.commands import frame
from seq2seq.errors import ConfigError
from seq2seq.settings.schema import ServeConfig
from seq2seq.signals import importing

EXTRA = ("fastapi", "uvicorn", "starlette", "pydantic")


def main() -> None:
    """Run the command."""
    frame.run("serve", serve, ServeConfig)


def serve(settings: ServeConfig) -> None:
    """Serve until a signal ends it; the exit status is then 0."""
    with importing():
        try:
            from seq2seq.serve import server  # with torch and FastAPI, which take seconds to import
        except ModuleNotFoundError as error:
            if error.name not in EXTRA:
                raise
            raise ConfigError("seq2seq serve needs FastAPI: pip install 'seq2seq-nmt[serve]'") from None
    frame.log_to(sys.stderr)
    server.serve(settings)
