"""The notebook: its text and its committed form are one, and it runs from beginning to end."""

from __future__ import annotations

import os
import re
from pathlib import Path

import jupytext
import nbformat
import pytest
from run_notebook import executed

DOCS = Path(__file__).parents[1] / "docs"
TEXT, NOTEBOOK = DOCS / "tutorial.py", DOCS / "tutorial.ipynb"


def inputs(notebook: nbformat.NotebookNode) -> list[tuple[str, str]]:
    return [(cell.cell_type, cell.source) for cell in notebook.cells]


def test_the_committed_notebook_has_the_cells_of_the_text() -> None:
    """`make notebook` writes it."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    assert inputs(notebook) == inputs(jupytext.read(TEXT))
    nbformat.validate(notebook)


def test_its_outputs_read_on_the_web() -> None:
    """Every cell has run, without an error, a warning or a path of the machine; and the file is small."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == [*range(1, len(code) + 1)]
    outputs = [output for cell in code for output in cell.outputs]
    assert {output.output_type for output in outputs} <= {"stream", "display_data", "execute_result"}
    pictures = [output.data for output in outputs if "data" in output and "image/png" in output.data]
    assert len(pictures) == 3
    text = "".join(str(output.get("text", "")) for output in outputs)
    assert not re.search(r"Warning|/tmp/|/home/|/root/", text)
    assert NOTEBOOK.stat().st_size < 300_000


@pytest.mark.system
@pytest.mark.timeout(900)
def test_it_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a training of few updates. Its own assertions compare the formulas with the model."""
    monkeypatch.setenv("UPDATES", "12")
    monkeypatch.setenv("PATH", os.environ["PATH"])  # so that it is put back
    ran = executed(TEXT, tmp_path)
    assert inputs(ran) == inputs(jupytext.read(TEXT))
    assert (tmp_path / "runs" / "tutorial" / "evaluation" / "test" / "scores.json").is_file()
