"""What import-linter can't state: who imports which package, what a process loads, how long files are."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from reversals import new_trainer, overrides, write_reversals

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "seq2seq"
SCRIPTS = sorted((ROOT / "scripts").glob("*.py"))
DOCS = sorted([*ROOT.glob("*.md"), ROOT / "data" / "README.md", *(ROOT / "docs").rglob("*.md")])


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
        ("sentencepiece", {"text/subwords.py", "export/files/translate.py"}),
        ("onnx", {"export/graph.py"}),
        ("onnxruntime", {"export/verify.py", "export/files/translate.py"}),
        ("torchtext", {"text/words.py"}),
        ("sacrebleu", {"evaluation/metrics.py", "evaluation/significance.py"}),
        ("zstandard", {"data/lines.py"}),
        ("torch.utils.tensorboard", {"training/tracker.py"}),
        ("matplotlib", {"decoding/heatmap.py", "pages/charts.py", "report/curves.py"}),
        ("jinja2", {"pages/template.py"}),
        ("optuna", {"commands/study.py"}),
        ("fastapi", {"serve/app.py"}),
        ("starlette", {"serve/app.py", "serve/limits.py"}),
        ("pydantic", {"serve/answers.py"}),
        ("uvicorn", {"serve/server.py"}),
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
        assert not [imported for imported in imports_of(PACKAGE / name) if imported.split(".")[0] == "torch"]


def test_nothing_is_loaded_in_a_way_that_runs_code() -> None:
    loads = []
    for path in PACKAGE.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert "_target_" not in text, path
        assert not {"pickle", "marshal", "shelve", "importlib"} & imports_of(path), path
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load":
                loads.append((str(path.relative_to(PACKAGE)), "weights_only=True" in ast.unparse(node)))
    assert loads == [("runs/checkpoint.py", True)]


TRAINING_ONLY = (
    "seq2seq.training",
    "seq2seq.build.training",
    "torch.utils.tensorboard",
    "tensorboard",
    "matplotlib",
)
TRANSLATE = """\
import sys
import seq2seq.commands
sys.argv = ["seq2seq", "translate", "run=" + sys.argv[1]]
seq2seq.commands.main()
print(*seq2seq.load(sys.argv[1].removeprefix("run=")).translate(["a b c"]))
print(*sys.modules)
"""


def for_training(modules: Iterable[str]) -> set[str]:
    """The first parts, as ``TRAINING_ONLY`` has them, of those modules that only training needs."""
    return {only for only in TRAINING_ONLY for name in modules if name == only or name.startswith(only + ".")}


def test_translating_imports_nothing_of_training(tmp_path: Path) -> None:
    trainer = new_trainer(
        *overrides(write_reversals(tmp_path, {"train": 60, "valid": 6, "test": 1}), "trainer.max_steps=1")
    )
    trainer.train()
    assert for_training(sys.modules) == set(TRAINING_ONLY)  # here, where a model was trained
    command = [sys.executable, "-c", TRANSLATE, str(trainer.run.path)]
    ended = subprocess.run(command, input="a b c\n", capture_output=True, text=True, check=True)
    by_command, by_load, modules = ended.stdout.splitlines()
    assert by_command == by_load
    assert "seq2seq.decoding.translator" in modules.split()
    assert for_training(modules.split()) == set()


def test_a_file_is_read_in_one_sitting() -> None:
    """All but the table of settings, which says what can be set and nothing else."""
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in PACKAGE.rglob("*.py")}
    assert [path for path, length in lengths.items() if length > 350] == [PACKAGE / "settings" / "schema.py"]


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_a_script_only_calls(path: Path) -> None:
    """A docstring, imports, at most one function, and the call."""
    body = ast.parse(path.read_text(encoding="utf-8")).body
    kinds = [type(node) for node in body if not isinstance(node, ast.Import | ast.ImportFrom)]
    assert kinds in ([ast.Expr, ast.If], [ast.Expr, ast.FunctionDef, ast.If])
    assert len(path.read_text(encoding="utf-8").splitlines()) < 25


def prose(path: Path) -> Iterator[tuple[int, str]]:
    """Numbers and texts of the lines outside of code."""
    fenced = False
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if line.lstrip().startswith("```"):
            fenced = not fenced
        elif not fenced and not line.startswith("    "):
            yield number, line


def anchors(path: Path) -> set[str]:
    """What a link into a page may end with: its headings as GitHub spells them."""
    headings = [line.lstrip("# ") for _, line in prose(path) if line.startswith("#")]
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links(path: Path) -> Iterator[tuple[int, str]]:
    """Line numbers and targets of the links to other files, or to headings."""
    text = path.read_text(encoding="utf-8")
    for match in re.finditer(r"\]\(([^)\s]+)\)|^\[[^]]+\]: (\S+)", text, re.MULTILINE):
        target = match[1] or match[2]
        if not target.startswith(("http://", "https://")):
            yield text.count("\n", 0, match.start()) + 1, target


def test_links_between_docs_lead_somewhere() -> None:
    broken, names = [], set()
    for page in DOCS:
        for number, target in links(page):
            name, _, anchor = target.partition("#")
            linked = (page.parent / name).resolve() if name else page
            names.add(linked.name)
            if not linked.exists() or (anchor and anchor not in anchors(linked)):
                broken.append(f"{page.relative_to(ROOT)}:{number}: {target}")
    assert broken == []
    assert names >= {"architecture.md", "glossary.md", "LICENSE"}


def test_the_architecture_page_names_every_module() -> None:
    """Its list of layers; the fast path is one entry."""
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    modules = {path.name for path in PACKAGE.rglob("*.py") if path.parent.name != "fused"} - {"__init__.py"}
    assert {name for name in modules if name not in page} == set()
    assert len(modules) > 50


def test_docs_wrap_at_100() -> None:
    """All but tables and code."""
    lines = [(page, number, line) for page in DOCS for number, line in prose(page) if not line.startswith("|")]
    assert len(lines) > 500
    assert [f"{page.relative_to(ROOT)}:{number}" for page, number, line in lines if len(line) > 100] == []
