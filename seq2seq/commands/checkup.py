"""Every split of a corpus examined, before training meets it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, TypeAlias

from seq2seq.build import data as build
from seq2seq.data import corpus, doctor
from seq2seq.data.corpus import ParallelText
from seq2seq.data.doctor import Finding, Misalignment
from seq2seq.errors import ConfigError, DataError
from seq2seq.settings.schema import CheckConfig
from seq2seq.storage.atomic import write_text
from seq2seq.text.tokenizer import UNK
from seq2seq.text.tokenizer_pair import TokenizerPair


class RawSplit(NamedTuple):
    """A split as it is on disk."""

    names: tuple[str, str]  # of its two sides, for people
    src: list[bytes]
    tgt: list[bytes]

    def text(self) -> tuple[list[str], list[str]]:
        """Both sides as text; what can't be read becomes U+FFFD."""
        src, tgt = (
            [line.removeprefix(doctor.BOM).decode("utf-8", "replace").removesuffix("\r") for line in side]
            for side in (self.src, self.tgt)
        )
        return src, tgt


class Checkup(NamedTuple):
    """What was found, where: one list for each side, for the pairs and for the tokens of a split."""

    findings: dict[str, list[Finding]]  # by the name of a side or split; those that occur
    misaligned: dict[str, list[Misalignment]]
    sizes: dict[str, tuple[int, int]]  # lines on either side of each split

    @property
    def stops_training(self) -> bool:
        """Whether training would end with an error."""
        found = [each for findings in self.findings.values() for each in findings]
        return any(each.total and each.training.startswith("stops") for each in found)


def check_up(config: CheckConfig) -> Checkup:
    """Examine every split; what needs a tokenizer is examined only if training could read the corpus."""
    splits = {name: read(config, name) for name in build.SPLITS if build.has_split(config.data, name)}
    found: dict[str, list[Finding]] = {}
    misaligned = {}
    texts = {name: split.text() for name, split in splits.items()}
    for name, split in splits.items():
        for side, raw, lines in zip(split.names, split[1:], texts[name], strict=True):
            found[side] = doctor.examine_bytes(raw) + doctor.examine_text(lines)
        src, tgt = texts[name]
        missing = range(min(len(src), len(tgt)) + 1, max(len(src), len(tgt)) + 1)
        found[name] = [doctor.finding("no line on the other side", missing, "stops with an error")]
        found[name] += doctor.examine_pairs(src, tgt)
        if name != "train":
            train, pairs = (list(zip(*texts[each], strict=False)) for each in ("train", name))
            found[name].append(doctor.shared_with(train, pairs))
        misaligned[name] = doctor.misalignments(src, tgt)
    sizes = {name: (len(split.src), len(split.tgt)) for name, split in splits.items()}
    checkup = Checkup(found, misaligned, sizes)
    if not checkup.stops_training:
        train_text = ParallelText(*texts["train"], [*range(sizes["train"][0])])
        pair, _ = build.tokenizers(config, corpus.clean("train", train_text)[0])
        for name, text in texts.items():
            found[name] += examine_tokens(config, pair, name, text, texts["train"])
    occurring = {where: [each for each in findings if each.total] for where, findings in found.items()}
    return checkup._replace(findings=occurring)


def read(config: CheckConfig, split: str) -> RawSplit:
    """The lines of a split, whatever is in them."""
    paths = build.split_paths(config.data, split)
    if len(paths) == 2:
        return RawSplit((str(paths[0]), str(paths[1])), *map(corpus.raw_lines, paths))
    columns = [line.split(b"\t") for line in corpus.raw_lines(paths[0])]
    if lone := next((number for number, fields in enumerate(columns, 1) if len(fields) < 2), None):
        raise DataError(f"{paths[0]}:{lone}: no tab; a line is source, tab, target")
    names = f"{paths[0]} (source)", f"{paths[0]} (target)"
    return RawSplit(names, [fields[0] for fields in columns], [fields[1] for fields in columns])


Sides: TypeAlias = tuple[list[str], list[str]]


def examine_tokens(
    config: CheckConfig, tokenizers: TokenizerPair, name: str, text: Sides, train: Sides
) -> Iterator[Finding]:
    """What the tokenizers that training would use do with a split."""
    sides = tuple(zip(("source", "target"), tokenizers, text, train, strict=True))
    ids = [tokenizer.encode(lines) for _, tokenizer, lines, _ in sides]
    limit = config.data.max_length
    longest = [max(map(len, both)) for both in zip(*ids, strict=True)]
    outcome = "drops the pair" if config.data.over_length == "drop" else "cuts it"
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
    """A table for each side and split."""
    lines = []
    for name, (src, tgt) in checkup.sizes.items():
        lines.append(f"{name}: {src:,} source lines, {tgt:,} target lines")
        lines += [f"  MISALIGNED: {described(each)}" for each in checkup.misaligned[name]]
    rows = [
        (where, each.what, f"{each.total:,}", shown(each), each.training)
        for where, findings in checkup.findings.items()
        for each in findings
    ]
    if not rows:
        return "\n".join([*lines, "nothing odd was found"])
    return "\n".join([*lines, "", *table([("where", "what", "lines", "the first", "training"), *rows])])


def described(found: Misalignment) -> str:
    """In words."""
    distance = f"{abs(found.shift)} {'line' if abs(found.shift) == 1 else 'lines'}"
    where = "further down" if found.shift > 0 else "further up"
    return (
        f"from about line {found.first:,} to {found.last:,} the translation seems to stand {distance} {where} "
        f"(the lengths fit better by {found.gain:,.0f} nats)"
    )


def shown(found: Finding) -> str:
    """The first line numbers."""
    return ", ".join(map(str, found.lines)) + (" …" if found.total > len(found.lines) else "")


def table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Columns side by side."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def fix(config: CheckConfig, checkup: Checkup, directory: Path) -> list[str]:
    """Write each split anew without what can be mended, its pairs aligned; says what was written.

    Raises:
        DataError: a split's sides do not belong together line by line.
        ConfigError: a file of the corpus would be replaced.
    """
    written = {
        name: [directory / f"{name}.{each}" for each in (config.data.src, config.data.tgt)]
        for name in checkup.sizes
    }
    for name, (src, tgt) in checkup.sizes.items():
        if src != tgt or checkup.misaligned[name]:
            raise DataError(
                f"{name}: its sides do not belong together line by line; mend that first, then fix={directory}"
            )
    originals = {path.resolve() for each in checkup.sizes for path in build.split_paths(config.data, each)}
    for name, targets in written.items():
        if originals & {target.resolve() for target in targets}:
            raise ConfigError(f"fix={directory}: the {name} files are there; choose another directory")
    directory.mkdir(parents=True, exist_ok=True)
    said = []
    for name, targets in written.items():
        split = read(config, name)
        pairs, left_out = doctor.mended(split.src, split.tgt)
        for side, target in enumerate(targets):
            write_text(target, "".join(f"{pair[side]}\n" for pair in pairs))
        said.append(f"{directory}/{name}.*: {len(pairs):,} pairs, {left_out:,} left out")
    return said
