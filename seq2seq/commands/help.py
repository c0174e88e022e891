"""`seq2seq COMMAND --help`, and docs/settings.md: `python -m seq2seq.commands.help > docs/settings.md`."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterator
from pathlib import Path

from seq2seq.commands.flags import flags_of
from seq2seq.settings import reference
from seq2seq.settings.reference import EXPERIMENT, GROUPS_OF, Section
from seq2seq.settings.schema import COMMANDS, Leaf, written

PATHS = {
    "runs": (
        "[DIR ...]",
        "Compare runs in a table: what they differ in, scores, updates and time; the best first.",
    ),
    "compare": (
        "DIR DIR [DIR ...]",
        "Compare evaluations of one test set with the first: scores, paired tests of significance by sacreBLEU, "
        "the sentences that differ most, settings. Each DIR is a run or one of its evaluations.",
    ),
}
"""Commands that take paths instead of settings → how they are called, and what they do."""
EXAMPLES = {
    "train": (
        "seq2seq train experiment=phrasebook",
        "seq2seq train data=files data.src=de data.tgt=en data.train.src=train.de data.train.tgt=train.en "
        "data.valid.src=dev.de data.valid.tgt=dev.en attention=bahdanau name=mine",
        "seq2seq train -m experiment=phrasebook attention=luong,bahdanau seed=1,2",
    ),
    "evaluate": (
        "seq2seq evaluate run=runs/phrasebook",
        "seq2seq evaluate run=runs/mine src_file=test.de ref_file=test.en decode.beam_size=8",
        "seq2seq evaluate -m run=[runs/a,runs/b] decode.beam_size=1,5",
    ),
    "translate": (
        "seq2seq translate <<< 'Der Hund schläft.'",
        "seq2seq translate run=runs/mine input=text.de output=text.en",
        "seq2seq translate run=runs/mine decode.num_best=5 < text.de",
    ),
    "serve": (
        "seq2seq serve run=runs/phrasebook",
        "seq2seq serve run=[runs/luong,runs/bahdanau]",
        "seq2seq serve run=[[runs/a,runs/b],runs/a] decode.beam_size=10 port=8080",
    ),
    "export": (
        "seq2seq export run=runs/mine to=model",
        "seq2seq export run=runs/mine to=model precision=int8",
        "seq2seq export run=runs/mine to=site web=node_modules/onnxruntime-web",
    ),
    "check_data": (
        "seq2seq check-data data=phrasebook",
        "seq2seq check-data data=files data.src=de data.tgt=en data.train.tsv=train.tsv data.valid.tsv=dev.tsv",
        "seq2seq check-data data=files data.src=de data.tgt=en data.train.src=train.de data.train.tgt=train.en "
        "data.valid.src=dev.de data.valid.tgt=dev.en fix=cleaned",
    ),
    "tune": (
        "seq2seq tune experiment=phrasebook runs_dir=runs/search attention=luong,bahdanau "
        "'optimizer.lr=tag(log,interval(1e-3,1e-2))'",
        "seq2seq tune experiment=phrasebook runs_dir=runs/sizes 'model.decoder_size=interval(128,512)' jobs=2",
        "seq2seq tune experiment=phrasebook runs_dir=runs/dropout 'model.dropout.readout=interval(0,0.5)' "
        "prune_after=null",
    ),
    "diversify": (
        "seq2seq diversify experiment=multi30k data.src=en data.tgt=de",
        "seq2seq diversify experiment=multi30k teachers=3 teacher_epochs=6 trainer.max_epochs=3",
        "seq2seq diversify experiment=multi30k attention.score=dot teachers_dir=runs/teachers",
    ),
    "runs": ("seq2seq runs", "seq2seq runs runs/a runs/b", "seq2seq runs runs/search --tensorboard"),
    "compare": (
        "seq2seq compare runs/a runs/b",
        "seq2seq compare runs/a runs/b runs/c --split valid --html comparison.html",
        "seq2seq compare runs/a/evaluation/test runs/a/evaluation/test_beam-1",
    ),
}
COLUMN = 32  # where explanations begin
AS_TRAIN = {
    "check_data": "Other settings of seq2seq train may be given too; they change nothing here.",
    "tune": "All settings of seq2seq train may be given too, with one value or several.",
    "diversify": "All settings of seq2seq train may be given too; they are those of all models.",
}


def text(command: str, *directories: Path) -> str:
    """The help of a command, for a terminal. ``directories`` hold the user's own configs."""
    width = min(100, max(80, shutil.get_terminal_size().columns))
    name = command.replace("-", "_")
    schema = COMMANDS.get(name)
    groups = "[GROUP=OPTION ...] " if name in GROUPS_OF else ""
    arguments, what = (f"{groups}[KEY=VALUE ...]", reference.doc_of(schema)) if schema else PATHS[name]
    lines = [f"usage: seq2seq {command} [OPTIONS] {arguments}", ""]
    lines += _wrapped(what, width)
    lines += ["", "Examples:", *_examples(name, width), "", "Options:"]
    for flag in flags_of(command):
        lines += _entry(", ".join(filter(None, (flag.short, flag.name))) + f" {flag.value}", flag.doc, width)
    if name in GROUPS_OF:
        lines += ["", "Groups, GROUP=OPTION, with * at the default:", *_groups(name, directories, width)]
    for section in reference.all_sections(name) if schema else []:
        lines += ["", *_wrapped(_heading(section), width)]
        for leaf in section.settings:
            lines += _entry(_assigned(leaf), f"{leaf.metadata['doc']} ({reference.kind(leaf)})", width)
    return "\n".join([*lines, *(["", AS_TRAIN[name]] if name in AS_TRAIN else [])])


def _examples(name: str, width: int) -> Iterator[str]:
    for example in EXAMPLES[name]:
        *first, last = _wrapped(example, width - 2, "  ", "      ")
        yield from (*(f"{line} \\" for line in first), last)


def _groups(name: str, directories: tuple[Path, ...], width: int) -> Iterator[str]:
    defaults = reference.default_options()
    for group in GROUPS_OF[name]:
        yield from _wrapped(f"{group}: {reference.group_doc(group)}", width, "  ", "      ")
        for option in reference.options(group, *directories):
            star = "*" if option.name == defaults[group] else ""
            yield from _entry(f"  {option.name}{star}", option.doc, width)


def _heading(section: Section) -> str:
    title = f"Settings of {section.title}" if section.title else "Settings, KEY=VALUE, with their defaults"
    return f"{title}: {section.doc}" if section.doc else f"{title}:"


def _assigned(leaf: Leaf) -> str:
    return f"{leaf.key}={'…' if reference.is_needed(leaf) else written(leaf.value)}"


def _entry(name: str, doc: str, width: int) -> list[str]:
    """A name and what it means, in two columns."""
    name, indent = f"  {name.rstrip()}", " " * COLUMN
    lines = _wrapped(doc, width, indent) or [""]
    if len(name) + 2 > COLUMN:
        return [name, *filter(None, lines)]
    return [f"{name:<{COLUMN}}{lines[0].lstrip()}".rstrip(), *lines[1:]]


INTRODUCTION = """\
Generated from `seq2seq/settings/schema.py` and `configs/` by `make settings`. `seq2seq COMMAND
--help` shows the same. Settings are written KEY=VALUE, as in `trainer.max_epochs=5`; groups are
written GROUP=OPTION, as in `attention=bahdanau`, and bring the settings of that option with them.
`null` means that there is no value. The settings of a run are saved in its `config.yaml`."""


def markdown() -> str:
    """docs/settings.md."""
    lines = ["# Settings", "", *INTRODUCTION.splitlines()]
    for command, schema in COMMANDS.items():
        lines += ["", f"## seq2seq {command.replace('_', '-')}", "", *_wrapped(reference.doc_of(schema))]
        if command in GROUPS_OF:
            links = ", ".join(f"[{group}](#{group})" for group in GROUPS_OF[command])
            lines += ["", *_wrapped(f"Its groups are {links}.")]
        if command in AS_TRAIN:
            lines += ["", *_wrapped(AS_TRAIN[command])]
        for section in reference.command_sections(command):
            lines += ["", *_wrapped(section.doc), ""] if section.doc else [""]
            lines += _table(section.settings)
    for group, default in reference.default_options().items():
        lines += ["", f"## {group}", "", *_wrapped(reference.group_doc(group)), "", *_options(group, default)]
        for section in reference.group_sections(group):
            title = "Settings of every option" if section.title == group else f"Settings of {section.title}"
            lines += ["", f"### {title}", "", *_table(section.settings)]
    return "\n".join([*lines, ""])


def _wrapped(paragraph: str, width: int = 100, indent: str = "", hanging: str | None = None) -> list[str]:
    """Lines of at most ``width``; flags, paths and links stay in one piece."""
    return textwrap.wrap(
        paragraph,
        width,
        initial_indent=indent,
        subsequent_indent=indent if hanging is None else hanging,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _options(group: str, default: str | None) -> Iterator[str]:
    yield from ("| option | meaning |", "| --- | --- |")
    for option in reference.options(group):
        changes = ", ".join(f"`{key}={written(value)}`" for key, value in option.values().items())
        sets = f" Sets {changes}." if changes and group != EXPERIMENT else ""
        yield f"| `{group}={option.name}`{' (default)' * (option.name == default)} | {option.doc}{sets} |"


def _table(settings: list[Leaf]) -> Iterator[str]:
    yield from ("| key | default | valid | meaning |", "| --- | --- | --- | --- |")
    for leaf in settings:
        default = "required" if reference.is_needed(leaf) else f"`{written(leaf.value)}`"
        valid = reference.kind(leaf).replace("|", "\\|")
        meaning = leaf.metadata["doc"].replace("<", "\\<")
        yield f"| `{leaf.key}` | {default} | {valid} | {meaning} |"


if __name__ == "__main__":
    print(markdown(), end="")
