"""python scripts/run_notebook.py TEXT.py NOTEBOOK.ipynb: run a notebook kept as text; write it with outputs."""

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import jupytext
import nbformat
from nbclient import NotebookClient


def executed(text: Path, directory: Path) -> Any:
    notebook, place = jupytext.read(text), {"metadata": {"path": str(directory)}}
    for number, cell in enumerate(notebook.cells, 1):
        cell.id = f"cell-{number}"  # else drawn at random
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])  # seq2seq's
    NotebookClient(notebook, timeout=900, record_timing=False, coalesce_streams=True, resources=place).execute()
    return notebook


if __name__ == "__main__":
    nbformat.write(executed(Path(sys.argv[1]), Path(tempfile.mkdtemp())), sys.argv[2])
