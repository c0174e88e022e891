"""Rules of the house that import-linter can't state: who may import which package."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "seq2seq"


def imports_of(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return names


def importers(package: str) -> set[str]:
    return {
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*.py")
        if any(name == package or name.startswith(package + ".") for name in imports_of(path))
    }


@pytest.mark.parametrize(
    ("package", "allowed"),
    [
        ("sentencepiece", {"text/subwords.py"}),
        ("torchtext", {"text/words.py"}),
        ("sacrebleu", {"evaluation/metrics.py"}),
        ("torch.utils.tensorboard", {"training/tracker.py"}),
        ("matplotlib", {"decoding/heatmap.py", "training/curves.py"}),
        ("hydra", {"commands/explain.py", "commands/frame.py", "settings/compose.py"}),
        ("omegaconf", {"commands/explain.py", "commands/frame.py", "settings/compose.py"}),
    ],
)
def test_package_is_imported_in_its_own_place_only(package: str, allowed: set[str]) -> None:
    assert importers(package) == allowed


def test_settings_are_read_without_torch() -> None:
    for name in (
        "settings/schema.py",
        "settings/rules.py",
        "settings/compose.py",
        "commands/explain.py",
        "commands/frame.py",
        "errors.py",
    ):
        assert not [each for each in imports_of(PACKAGE / name) if each.split(".")[0] == "torch"]


def test_nothing_is_loaded_in_a_way_that_runs_code() -> None:
    for path in PACKAGE.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert "_target_" not in text, path
        assert not {"pickle", "marshal", "shelve", "importlib"} & imports_of(path), path
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load":
                assert "weights_only=True" in ast.unparse(node), path
