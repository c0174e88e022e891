"""What a run is made from: a record of its data, so that it never resumes on other data. Imports no torch."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from seq2seq.errors import CheckpointError, ConfigError
from seq2seq.runs.directory import REMEDY
from seq2seq.runs.layout import CORPUS, PARENT, SOURCES
from seq2seq.storage.atomic import write_json, write_text

logger = logging.getLogger(__name__)


class Source(NamedTuple):
    """Something that a run is made from."""

    file: str
    sha256: str  # of its content


def record(run: Path, sources: Mapping[str, Source]) -> None:
    """Write down what the run is made from: the hash of each of ``sources`` under its key, as data.train.src."""
    hashes = {key: source.sha256 for key, source in sources.items()}
    write_text(run / SOURCES, json.dumps(hashes, indent=2) + "\n")


def record_corpus(run: Path, sources: Mapping[str, Source], described: Mapping[str, Any]) -> None:
    """Write down, for reports, the files of the data with their hashes, and how the corpus is ``described``."""
    files = [{"key": key, "file": source.file, "sha256": source.sha256} for key, source in sources.items()]
    write_json(run / CORPUS, {"files": files, **described})


def read_corpus(run: Path) -> dict[str, Any]:
    """What ``record_corpus`` wrote.

    Raises:
        CheckpointError: it can't be read.
    """
    path = run / CORPUS
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise CheckpointError(f"{path}: can't be read ({error})") from None


def check(run: Path, sources: Mapping[str, Source]) -> dict[str, str]:
    """Compare ``sources`` with the record of the run, which is returned: a hash for each key.

    Without one, as of an earlier version, the log says so. The weights that the run started from (init_from) are
    not compared, since it has its own by now.

    Raises:
        ConfigError: the content of one is another.
        CheckpointError: the record can't be read.
    """
    path = run / SOURCES
    try:
        recorded = dict(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        logger.warning("%s: an earlier version kept no record of its data, so it can't be compared", run)
        return {}
    except (OSError, ValueError, TypeError) as error:
        raise CheckpointError(
            f"{path}: can't be read ({error}); remove it, and the run resumes without comparing its data"
        ) from None
    now = {key: source.sha256 for key, source in sources.items()}
    changed = [key for key in {**now, **recorded} if key != PARENT and now.get(key) != recorded.get(key)]
    if changed:
        files = dict.fromkeys(sources[key].file if key in sources else key for key in changed)
        raise ConfigError(f"{', '.join(files)}: changed since {run} began; restore the content, {REMEDY}")
    return recorded
