"""What `--help` and docs/settings.md say of every setting, read from the schema and configs/ without Hydra."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from seq2seq.resources import shipped
from seq2seq.settings.schema import COMMANDS, GROUPS, MISSING, Leaf, TrainConfig, flat, keys_of, leaves

EXPERIMENT = "experiment"  # the group without a schema: named settings of any kind
GROUPS_OF = {
    "train": (*GROUPS, EXPERIMENT),
    "tune": (*GROUPS, EXPERIMENT),
    "diversify": (*GROUPS, EXPERIMENT),
    "check_data": ("data", "tokenizer", EXPERIMENT),
}
"""The groups that a command reads. The others have none."""
TYPES: dict[Any, str] = {int: "integer", float: "number", bool: "true | false", str: "text"}
TYPES |= {
    list[int]: "list of integers",
    list[float]: "list of numbers",
    list[str]: "list of names",
    Any: "name, or list of names",
}


class Section(NamedTuple):
    """Settings that belong together, under a title such as "tokenizer" or "tokenizer=bpe"."""

    title: str
    doc: str
    settings: list[Leaf]


class Option(NamedTuple):
    """One option of a group."""

    name: str
    doc: str
    path: Path | None = None  # of its file; without one it is its schema

    def values(self) -> dict[str, Any]:
        """What its file sets: key below the group → value."""
        if self.path is None:
            return {}
        return dict(flattened(yaml.safe_load(self.path.read_text(encoding="utf-8"))))


def flattened(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Full key → value, of settings as YAML has them."""
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from flattened(value, f"{prefix}{key}.")
        elif key != "defaults":
            yield f"{prefix}{key}", value


def default_options() -> dict[str, str | None]:
    """Group → the option that a training run has unless another is chosen."""
    entries = yaml.safe_load((shipped("configs") / "run.yaml").read_text(encoding="utf-8"))["defaults"]
    return {group: name for entry in entries if isinstance(entry, dict) for group, name in entry.items()}


class Change(NamedTuple):
    """A setting of a run that is not at its default."""

    leaf: Leaf
    default: Any


def changes(config: TrainConfig) -> list[Change]:
    """What ``config`` sets otherwise than a run with its options would, and which of those options were chosen."""
    usual = default_options()
    defaults = flat(TrainConfig(**{group: type(getattr(config, group))() for group in GROUPS}))
    defaults |= {f"{group}.name": usual[group] for group in GROUPS if f"{group}.name" in defaults}
    return [Change(leaf, defaults[leaf.key]) for leaf in leaves(config) if leaf.value != defaults[leaf.key]]


def options(group: str, *directories: Path) -> list[Option]:
    """Those of the schema, of configs/, and of the user's ``directories``, which are laid out like configs/."""
    files = [
        Option(path.relative_to(directory / group).with_suffix("").as_posix(), _comment(path), path)
        for directory in (shipped("configs"), *directories)
        for path in sorted((directory / group).rglob("*.yaml"))
    ]
    schemas = GROUPS.get(group, {})
    alone = "The defaults below." if len(schemas) == 1 else ""  # the group's own text says the rest
    return [Option(name, alone or doc_of(schema)) for name, schema in schemas.items()] + files


def _comment(path: Path) -> str:
    """A config's first comment, except those that Hydra reads."""
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    return next((line[1:].strip() for line in lines if line[:1] == "#" and not line.startswith("# @")), "")


def doc_of(schema: type) -> str:
    """The first paragraph of a docstring, on one line."""
    return " ".join((inspect.getdoc(schema) or "").partition("\n\n")[0].split())


def group_doc(group: str) -> str:
    """One sentence on a group."""
    if group == EXPERIMENT:
        return "Named settings; your own are in DIR/experiment/NAME.yaml and need --config-dir DIR."
    return doc_of(typing.get_type_hints(TrainConfig)[group])


def command_sections(command: str) -> list[Section]:
    """The settings of a command that belong to no group: its own, and those of each nested section."""
    schema = COMMANDS[command]
    known = set(keys_of(TrainConfig)) if TrainConfig in schema.__bases__ else set()  # described under train
    own = [leaf for leaf in leaves(schema()) if leaf.key not in GROUPS and leaf.key not in known]
    parts: dict[str, list[Leaf]] = {"": []}
    for leaf in own:
        parts.setdefault(leaf.key.rpartition(".")[0], []).append(leaf)
    docs = {name: doc_of(type(getattr(schema(), name))) for name in parts if name}
    return [Section(name, docs.get(name, ""), settings) for name, settings in parts.items()]


def group_sections(group: str) -> list[Section]:
    """The settings of a group: those of every option, then those of single options; equal sections are merged."""
    own = {
        name: [leaf for leaf in leaves(schema(), f"{group}.") if leaf.key != f"{group}.name"]
        for name, schema in GROUPS.get(group, {}).items()
    }
    shared = [leaf for leaf in next(iter(own.values()), []) if all(leaf in others for others in own.values())]
    sections = [Section(group, group_doc(group), shared)]
    for name, settings in own.items():
        special = [leaf for leaf in settings if leaf not in shared]
        if special == sections[-1].settings:
            sections[-1] = Section(f"{sections[-1].title} and {group}={name}", "", special)
        else:
            sections.append(Section(f"{group}={name}", doc_of(GROUPS[group][name]), special))
    return [section for section in sections if section.settings]


def all_sections(command: str) -> list[Section]:
    """Every setting of a command."""
    groups = [section for group in GROUPS_OF.get(command, ()) for section in group_sections(group)]
    return command_sections(command) + groups


def known_leaves(schema: type) -> dict[str, Leaf]:
    """Full key → setting, for everything that a command takes, with every option of every group."""
    own = [leaf for leaf in leaves(schema()) if leaf.key not in GROUPS]
    groups = GROUPS if issubclass(schema, TrainConfig) else {}
    grouped = [
        leaf
        for group, schemas in groups.items()
        for one in schemas.values()
        for leaf in leaves(one(), f"{group}.")
    ]
    return {leaf.key: leaf for leaf in own + grouped}


def kind(leaf: Leaf) -> str:
    """The type and the valid values of a setting, in words."""
    arguments = typing.get_args(leaf.type)
    nullable = types.NoneType in arguments
    low, high, above, choices = (leaf.metadata[rule] for rule in ("low", "high", "above", "choices"))
    text = " | ".join(choices) or TYPES[arguments[0] if nullable else leaf.type]
    if high is not None:
        text += f", {_plain(low)} to " if above is None else f", more than {_plain(above)}, at most "
        text += _plain(high)
    return f"{text}, or null" if nullable else text


def _plain(number: float) -> str:
    return f"{number:,}" if isinstance(number, int) else f"{number:,g}"


def is_needed(leaf: Leaf) -> bool:
    """Whether the setting has no default."""
    return bool(leaf.value == MISSING)
