"""Help, the settings reference, flags and completion: all that is offered is there, works, and reads well."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra._internal.utils import get_args_parser

from seq2seq.commands import COMMANDS as NAMES
from seq2seq.commands import completion, flags, frame
from seq2seq.commands import help as help_texts
from seq2seq.errors import ConfigError
from seq2seq.settings import reference
from seq2seq.settings.compose import load_settings, register_schemas, search_space
from seq2seq.settings.schema import COMMANDS, GROUPS, DecodeConfig, TrainConfig, leaves, training_keys, written

ROOT = Path(__file__).parents[2]
SCHEMAS = [*COMMANDS.values(), *(schema for options in GROUPS.values() for schema in options.values())]
OF_TRAINING = [
    (section.title.split(" and ")[0], section)
    for group in reference.GROUPS_OF["train"]
    for section in reference.group_sections(group)
]


@pytest.fixture
def _hydra() -> Iterator[None]:
    register_schemas()
    with initialize_config_dir(str(frame.CONFIGS), version_base="1.3"):
        yield


def run(*arguments: str, code: str = "") -> tuple[str, str, set[str]]:
    """What `seq2seq ARGUMENTS` prints and says, and the packages that it imports."""
    call = f"import sys\nfrom seq2seq.commands import main\nsys.argv[1:] = {list(arguments)}\n"
    ended = "try:\n    main()\nexcept SystemExit as ended:\n    print(ended, file=sys.stderr)\nprint(*sys.modules)"
    result = subprocess.run([sys.executable, "-c", call + ended], capture_output=True, text=True, check=True)
    printed, _, modules = result.stdout.rstrip("\n").rpartition("\n")
    return printed, result.stderr.strip(), {name.partition(".")[0] for name in modules.split()}


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda schema: schema.__name__)
def test_every_setting_has_a_meaning_and_a_type(schema: type) -> None:
    assert reference.doc_of(schema).endswith(".")
    for leaf in leaves(schema()):
        if leaf.key not in GROUPS:
            assert leaf.metadata["doc"] == leaf.metadata["doc"].strip().rstrip(".") != ""
            assert reference.kind(leaf)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_every_key_with_its_default(command: str) -> None:
    text = help_texts.text(command.replace("_", "-"))
    for leaf in leaves(COMMANDS[command]()):
        known = leaf.key in GROUPS or (command in help_texts.AS_TRAIN and leaf.key in training_keys())
        assert known or f"  {leaf.key}={'…' if reference.is_needed(leaf) else written(leaf.value)}" in text
    if command == "train":
        assert [key for key in training_keys() if not key.endswith(".name") and f"  {key}=" not in text] == []


def test_help_has_every_group_with_its_options() -> None:
    lines = help_texts.text("train").splitlines()
    for group, default in reference.default_options().items():
        assert any(line.startswith(f"  {group}: ") for line in lines)
        for option in reference.options(group):
            star = "*" if option.name == default else ""
            assert any(line.split()[:1] == [option.name + star] for line in lines), option.name
    assert "GROUP=OPTION" not in help_texts.text("translate")


@pytest.mark.parametrize("command", NAMES)
@pytest.mark.parametrize(("columns", "most"), [(40, 80), (90, 90), (300, 100)])
def test_help_fits_the_terminal(command: str, columns: int, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    text = help_texts.text(command)
    assert max(map(len, text.splitlines())) <= most
    assert "schema" not in text
    assert sum(line.startswith("  seq2seq ") for line in text.splitlines()) == 3  # examples


@pytest.mark.usefixtures("_hydra")
@pytest.mark.parametrize("command", COMMANDS)
def test_examples_compose(command: str) -> None:
    for example in help_texts.EXAMPLES[command]:
        overrides = shlex.split(example.partition("<")[0])[2:]
        assert example.startswith(f"seq2seq {command.replace('_', '-')} ")
        overrides = [part for part in overrides if part != "-m"]
        space = search_space(overrides)  # of a sweep, the first job
        overrides = [part for part in overrides if part.partition("=")[0] not in space]
        overrides += [f"{key}={dimension.values[0]}" for key, dimension in space.items()]
        load_settings(compose(command, overrides), COMMANDS[command])


@pytest.mark.usefixtures("_hydra")
@pytest.mark.parametrize("command", COMMANDS)
def test_settings_offered_are_taken(command: str) -> None:
    for section in reference.command_sections(command):
        assert compose(command, [f"{leaf.key}={written(leaf.value)}" for leaf in section.settings])


@pytest.mark.usefixtures("_hydra")
@pytest.mark.parametrize(
    ("option", "section"), OF_TRAINING, ids=lambda value: value if isinstance(value, str) else ""
)
def test_settings_of_options_are_taken(option: str, section: reference.Section) -> None:
    chosen = [option] if "=" in option else []
    assert compose("train", chosen + [f"{leaf.key}={written(leaf.value)}" for leaf in section.settings])


def test_types_and_ranges_in_words() -> None:
    kinds = {leaf.key: reference.kind(leaf) for leaf in reference.known_leaves(TrainConfig).values()}
    assert kinds["trainer.max_steps"] == "integer, 1 to 1,000,000,000, or null"
    assert kinds["optimizer.lr"] == "number, more than 0, at most 1,000"
    assert kinds["optimizer.betas"] == "list of numbers, 0 to 1"
    assert kinds["model.dropout.words"] == "number, 0 to 0.95"
    assert kinds["resume"] == "auto | never | must"
    assert kinds["machine.fused"] == "true | false"
    assert kinds["name"] == "text, or null"


def test_options_of_files_say_what_they_set() -> None:
    assert {option.name: option.values() for option in reference.options("decode")} == {
        "beam": {},
        "greedy": {"beam_size": 1},
    }
    small = {option.name: option.values() for option in reference.options("model")}["small"]
    assert (small["decoder_size"], small["dropout.readout"]) == (256, 0.1)
    assert reference.default_options()["decode"] == "beam"
    assert {leaf.key: leaf.value for leaf in leaves(DecodeConfig())}["beam_size"] == 5


def test_ones_own_experiments_are_listed(tmp_path: Path) -> None:
    (tmp_path / "experiment" / "deep").mkdir(parents=True)
    (tmp_path / "experiment" / "mine.yaml").write_text("# @package _global_\n# Letters, reversed.\nseed: 3\n")
    (tmp_path / "experiment" / "deep" / "four.yaml").write_text("seed: 3\n")
    text, said, _ = run("train", "--config-dir", str(tmp_path), "-h")
    lines = [line.split() for line in text.splitlines()]
    assert ["mine", "Letters,", "reversed."] in lines
    assert ["deep/four"] in lines
    assert said == ""


def test_the_reference_is_current() -> None:
    """`make settings` writes it."""
    assert (ROOT / "docs" / "settings.md").read_text(encoding="utf-8") == help_texts.markdown()


@pytest.mark.parametrize(
    "arguments", [["--help"], ["train", "--help"], ["translate", "seed=1", "-h"], ["runs", "-h"]]
)
def test_help_waits_for_nothing(arguments: list[str]) -> None:
    text, _, imported = run(*arguments)
    assert text.startswith("usage: seq2seq")
    assert not imported & {"torch", "hydra", "omegaconf", "numpy"}


@pytest.mark.parametrize("command", ["train", "tune", "diversify", "evaluate", "translate", "serve", "check-data"])
def test_a_misspelt_key_does_not_wait_for_torch(command: str) -> None:
    _, said, imported = run(command, "machine.devize=cpu")
    assert said == "error: machine.devize: no such setting; did you mean machine.device?"
    assert "hydra" in imported
    assert not imported & {"torch", "numpy"}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("train --hlep", "--hlep: no such option; did you mean --help?"),
        ("train -x", "-x: no such option; seq2seq train --help lists the options"),
        ("runs -m", "-m: no such option; seq2seq runs --help lists the options"),
        ("translate -m", "-m: no such option; seq2seq translate --help lists the options"),
        ("train --cfg all_of_it", "--cfg all_of_it: unknown; valid: job, hydra, all"),
        ("train --cfg", "--cfg: a value is needed; give --cfg job"),
        ("train seed=1 -m --cfg job", "--cfg and --multirun: give only one of them"),
        ("train seed=1 --config-dir", "--config-dir: a value is needed; give --config-dir DIR"),
    ],
)
def test_wrong_flags_are_named_in_one_line(arguments: str, expected: str) -> None:
    assert run(*arguments.split())[:2] == ("", f"error: {expected}")


def test_versions_are_ours() -> None:
    version = run("--version")[0]
    assert version.startswith("seq2seq ")
    assert run("train", "--version")[0] == run("runs", "--version")[0] == version


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("seed=1 -m x=2", "--multirun seed=1 x=2"),
        ("a=1 --config-dir own b=2 -c job", "--config-dir=own --cfg=job a=1 b=2"),
        ("-i seed=1", "--info=all seed=1"),
        ("--info plugins seed=1", "--info=plugins seed=1"),
        ("--cfg=hydra name=-x", "--cfg=hydra name=-x"),
    ],
)
def test_flags_come_first(given: str, expected: str) -> None:
    arguments = flags.arranged(given.split(), "train")
    assert arguments == expected.split()
    parsed = get_args_parser().parse_args(arguments)  # Hydra's
    assert parsed.overrides == [part for part in expected.split() if not part.startswith("--")]


def test_composed_settings_can_be_printed() -> None:
    """And flags may stand after settings, which Hydra alone does not take."""
    text, said, _ = run("train", "experiment=phrasebook", "--cfg", "job", "seed=7")
    assert "\nseed: 7" in f"\n{text}"
    assert "\nname: phrasebook\n" in text
    assert said == ""


def test_flags_that_hydra_does_not_have() -> None:
    theirs = {name for action in get_args_parser()._actions for name in action.option_strings}
    assert {name for flag in flags.flags_of("train") for name in (flag.name, flag.short) if name} <= theirs
    with pytest.raises(ConfigError, match="no such option"):
        flags.arranged(["--config-name", "x"], "train")


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("seq2seq ", set(NAMES)),
        ("seq2seq tr", {"train", "translate"}),
        ("seq2seq train --mul", {"--multirun"}),
        ("seq2seq train model=", {"base", "small"}),  # bash itself puts what follows "="
        (
            "seq2seq train mod=1 attention.sc",
            {f"attention.score={score}" for score in ("general", "dot", "concat")},
        ),
        ("seq2seq  translate checkpoint=l", {"last"}),
        ("seq2seq translate attention", set()),
        ("seq2seq evaluate run=con", {"configs"}),
        ("seq2seq evaluate run=[con", {"[configs"}),
        ("seq2seq serve run=[[configs,do", {"[[configs,docs"}),
    ],
)
def test_bash_completes(line: str, expected: set[str]) -> None:
    ask = f'COMP_LINE={shlex.quote(line)}; COMP_POINT=${{#COMP_LINE}}; _seq2seq; echo "${{COMPREPLY[@]}}"'
    script = "\n".join([completion.script(tuple(NAMES)), ask])
    answer = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    assert set(answer.stdout.split()) == expected
    assert answer.stderr == ""


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
def test_a_reader_that_leaves_gets_no_traceback() -> None:
    command = f"set -o pipefail; {shlex.quote(sys.executable)} -m seq2seq train --help | true"
    result = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")
