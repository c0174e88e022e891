"""Check a corpus before training: find its oddities, report them, and write a cleaned copy."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypeAlias

from seq2seq.data import doctor
from seq2seq.data.doctor import STOPS, Finding, Misalignment
from seq2seq.data.lines import BOM, raw_lines
from seq2seq.errors import ConfigError, DataError
from seq2seq.settings.schema import DataConfig
from seq2seq.storage.atomic import write_text
from seq2seq.tables import table
from seq2seq.text.tokenizer import UNK
from seq2seq.text.tokenizer_pair import TokenizerPair

Sides: TypeAlias = tuple[list[str], list[str]]


class RawSplit(NamedTuple):
    """A split as it is on disk."""

    names: tuple[str, str]  # human-readable names of its two sides
    src: list[bytes]
    tgt: list[bytes]

    def text(self) -> tuple[list[str], list[str]]:
        """Both sides as training reads them; bytes that can't be read become U+FFFD."""
        return _decoded(self.src), _decoded(self.tgt)


def _decoded(lines: list[bytes]) -> list[str]:
    lines = [lines[0].removeprefix(BOM), *lines[1:]]  # elsewhere it is not a byte order mark
    return [line.decode("utf-8", "replace").removesuffix("\r") for line in lines]


class Checkup(NamedTuple):
    """The oddities of a corpus."""

    findings: dict[str, list[Finding]]  # of each file and of each split, those with at least one line
    misaligned: dict[str, list[Misalignment]]  # of each split
    splits: Mapping[str, RawSplit]

    @property
    def stops_training(self) -> bool:
        """Whether training would end with an error."""
        return any(finding.stops for findings in self.findings.values() for finding in findings)


def read(paths: Sequence[Path]) -> RawSplit:
    """The raw lines of a split, from a source and a target file or from one TSV.

    Raises:
        DataError: a file can't be read, or a line of a TSV has no tab.
    """
    if len(paths) == 2:
        return RawSplit((str(paths[0]), str(paths[1])), *map(raw_lines, paths))
    columns = [line.split(b"\t") for line in raw_lines(paths[0])]
    if lone := next((number for number, fields in enumerate(columns, 1) if len(fields) < 2), None):
        raise DataError(f"{paths[0]}:{lone}: no tab; a line is source, tab, target")
    names = f"{paths[0]} (source)", f"{paths[0]} (target)"
    return RawSplit(names, [fields[0] for fields in columns], [fields[1] for fields in columns])


def check_up(splits: Mapping[str, RawSplit], data: DataConfig, tokenizers: Callable[[], TokenizerPair]) -> Checkup:
    """Examine every split; tokens are examined only if training could read the corpus.

    ``tokenizers`` gives those that training would use.
    """
    findings: dict[str, list[Finding]] = {}
    misaligned = {}
    texts = {name: split.text() for name, split in splits.items()}
    for name, split in splits.items():
        for side, raw, lines in zip(split.names, (split.src, split.tgt), texts[name], strict=True):
            findings[side] = doctor.examine_bytes(raw) + doctor.examine_text(lines)
        findings[name] = examine_split(texts[name], texts["train"] if name != "train" else None)
        misaligned[name] = doctor.misalignments(*texts[name])
    checkup = Checkup(occurring(findings), misaligned, splits)
    if checkup.stops_training:
        return checkup
    pair = tokenizers()
    for name, text in texts.items():
        findings[name] += examine_tokens(data, pair, name, text, texts["train"])
    return checkup._replace(findings=occurring(findings))


def occurring(findings: Mapping[str, list[Finding]]) -> dict[str, list[Finding]]:
    """The findings that at least one line has."""
    return {place: [finding for finding in listed if finding.total] for place, listed in findings.items()}


def examine_split(text: Sides, train: Sides | None) -> list[Finding]:
    """Oddities in the pairs of a split and, given ``train``, the pairs that it shares with the training split."""
    src, tgt = text
    missing = range(min(len(src), len(tgt)) + 1, max(len(src), len(tgt)) + 1)
    findings = [doctor.finding("no line on the other side", missing, STOPS, stops=True)]
    findings += doctor.examine_pairs(src, tgt)
    if train is not None:
        findings.append(doctor.shared_with(zip(*train, strict=False), zip(src, tgt, strict=False)))
    return findings


def examine_tokens(
    data: DataConfig, tokenizers: TokenizerPair, name: str, text: Sides, train: Sides
) -> Iterator[Finding]:
    """Oddities in the tokens of a split, as training would tokenize it."""
    sides = tuple(zip(("source", "target"), tokenizers, text, train, strict=True))
    ids = [tokenizer.encode(lines) for _, tokenizer, lines, _ in sides]
    limit = data.max_length
    longest = [max(map(len, both)) for both in zip(*ids, strict=True)]
    outcome = "drops the pair" if data.over_length == "drop" else "cuts it"
    over = (number for number, length in enumerate(longest, 1) if length > limit)
    yield doctor.finding(f"more than {limit} tokens", over, outcome if name == "train" else "kept")
    for (side, _, lines, known), rows in zip(sides, ids, strict=True):
        unknown = (number for number, row in enumerate(rows, 1) if UNK in row)
        rate = sum(row.count(UNK) for row in rows) / max(1, sum(map(len, rows)))
        yield doctor.finding(f"unknown tokens, {side}: {rate:.2%}", unknown, "reads them as <unk>")
        unseen = set("".join(lines)) - set("".join(known))
        at = (number for number, line in enumerate(lines, 1) if unseen & set(line))
        what = f"characters that train lacks, {side}: {doctor.named(unseen)}"
        yield doctor.finding(what, at, "spells them in bytes or as <unk>")


def report(checkup: Checkup) -> str:
    """Numbers of lines, misaligned stretches, and a table of the findings."""
    lines = []
    for name, split in checkup.splits.items():
        lines.append(f"{name}: {len(split.src):,} source lines, {len(split.tgt):,} target lines")
        lines += [f"  MISALIGNED: {described(stretch)}" for stretch in checkup.misaligned[name]]
    rows = [
        (place, finding.what, f"{finding.total:,}", first_lines(finding), finding.training)
        for place, findings in checkup.findings.items()
        for finding in findings
    ]
    if not rows:
        return "\n".join([*lines, "nothing odd was found"])
    return "\n".join([*lines, "", *table([("in", "what", "lines", "the first", "training"), *rows])])


def described(stretch: Misalignment) -> str:
    """A misalignment in words."""
    distance = f"{abs(stretch.shift)} {'line' if abs(stretch.shift) == 1 else 'lines'}"
    direction = "further down" if stretch.shift > 0 else "further up"
    return (
        f"from about line {stretch.first:,} to {stretch.last:,} the translation seems to stand {distance} "
        f"{direction} (the lengths fit better by {stretch.gain:,.0f} nats)"
    )


def first_lines(finding: Finding) -> str:
    """The numbers of a finding's first lines."""
    return ", ".join(map(str, finding.lines)) + (" …" if finding.total > len(finding.lines) else "")


def write_cleaned(checkup: Checkup, data: DataConfig, originals: Sequence[Path], directory: Path) -> list[str]:
    """Write a cleaned copy of each split; returns a line for each, saying what was written.

    Raises:
        DataError: a split's sides do not belong together line by line.
        ConfigError: a file would be replaced, above all one of the corpus, ``originals``; or it can't be written.
    """
    copies = {name: [directory / f"{name}.{code}" for code in (data.src, data.tgt)] for name in checkup.splits}
    for name, split in checkup.splits.items():
        if len(split.src) != len(split.tgt) or checkup.misaligned[name]:
            raise DataError(
                f"{name}: its sides do not belong together line by line; repair that first, then fix={directory}"
            )
    kept = {path.resolve() for path in originals}
    for name, targets in copies.items():
        if kept & {target.resolve() for target in targets}:
            raise ConfigError(f"fix={directory}: the {name} files are there; choose another directory")
    said, contents = [], {}
    for name, split in checkup.splits.items():
        pairs, left_out = doctor.cleaned(split.src, split.tgt)
        for side, target in enumerate(copies[name]):
            contents[target] = "".join(f"{pair[side]}\n" for pair in pairs)
            _refuse_others(target, contents[target])
        said.append(f"{directory}/{name}.*: {len(pairs):,} pairs, {left_out:,} left out")
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for target, text in contents.items():
            write_text(target, text)
    except OSError as error:
        raise ConfigError(f"fix={directory}: {error.strerror}; choose another directory") from None
    return said


def _refuse_others(target: Path, text: str) -> None:
    """Raise ``ConfigError`` if ``target`` is there already, unless it is what would be written."""
    if os.path.lexists(target) and not (target.is_file() and target.read_bytes() == text.encode()):
        raise ConfigError(f"fix={target.parent}: {target.name} is there already; choose another directory")
