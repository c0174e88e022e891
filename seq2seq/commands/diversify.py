"""`seq2seq diversify`: train on a corpus and on what models of both directions make of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from seq2seq.commands import frame
from seq2seq.commands.side_by_side import Job, side_by_side
from seq2seq.commands.train import check_group, train
from seq2seq.commands.translate import translate
from seq2seq.distributed.group import ALONE, Group, joined
from seq2seq.errors import ConfigError
from seq2seq.runs.layout import run_path
from seq2seq.settings.schema import (
    DecodeConfigOverrides,
    DiversifyConfig,
    FilesConfig,
    SplitFiles,
    TrainConfig,
    TranslateConfig,
    as_run,
)
from seq2seq.signals import importing

if TYPE_CHECKING:
    from seq2seq.data.training_text import TrainingText

REVERSED = ".reversed"  # ends the names of files whose lines have their last word first
CHUNK = 100_000  # lines that are written at once
SEEDS = 2**63  # how many there are
SPLITS = ("train", "valid")  # that teachers read
SHARED = ("max_length", "over_length", "cache_dir", "verify")  # settings of the data that are the teachers' too


class Teacher(NamedTuple):
    """A model whose translations of the training text are added to it."""

    settings: TrainConfig
    source: Path  # the side of the training text that it translates
    translation: Path
    right_to_left: bool  # whether it writes the last word first


def main() -> None:
    """Run the command."""
    with joined() as group:
        frame.run("diversify", partial(diversify, group=group), DiversifyConfig)


def diversify(settings: DiversifyConfig, group: Group = ALONE) -> float:
    """Train the teachers, let them translate the training text, and train on all of it; returns as ``train``.

    Data diversification (Nguyen et al., 2020, "Data Diversification: A Simple Strategy For Neural Machine
    Translation"), one round. Of each pair (x, y) the students see (x, y), (x, ŷ) of each teacher that translates
    forward, and (x̂, y) of each that translates backward. Every second teacher of a direction writes from right to
    left, and so makes other mistakes (Zhang et al., 2019, "Regularizing Neural Machine Translation by
    Target-bidirectional Agreement"). The students start from the weights of the first teacher, and the run is the
    mean of theirs (Wortsman et al., 2022, "Model soups"). What has been done is not done again.

    Raises:
        ConfigError: data.mix.weights or trainer.max_epochs=0 is given, or the processes of ``group`` can't do this
            together.
        UserError: as ``train`` and ``translate``.
        SystemExit: as ``side_by_side``.
    """
    if weights := settings.data.mix.weights:
        raise ConfigError(
            f"data.mix.weights={weights}: all translations have the weight of their size; leave it out"
        )
    if settings.trainer.max_epochs == 0:
        raise ConfigError("trainer.max_epochs=0: nothing would be trained; give at least 1")
    check_group(settings, group)
    directory = teachers_directory(settings)
    teachers_at_once, teaching = _shared_out(settings, 2 * settings.teachers, group)
    students_at_once, learning = _shared_out(settings, settings.students, group)
    teachers = [*_teachers(teaching, directory)]
    students = [*_students(learning, teachers)]
    with group.first_goes_first():
        if group.first:
            _write_text(settings, directory)
    taught = [(one.settings, partial(_teach, one, group)) for one in teachers]
    side_by_side(_jobs("teacher", taught), teachers_at_once)
    print(f"the training text and {len(teachers)} translations of it", flush=True)
    if len(students) == 1:
        return train(students[0], group)
    learnt = [(one, partial(train, one, group, says_next=False)) for one in students]
    side_by_side(_jobs("student", learnt), students_at_once)
    return train(_mean(settings, students), group)


def _shared_out(settings: DiversifyConfig, trainings: int, group: Group) -> tuple[int, DiversifyConfig]:
    """How many of that many ``trainings`` run at once, and ``settings`` with the threads that each has then."""
    with importing():
        from seq2seq import machine

    if group.size > 1 and settings.at_once not in (None, 1):
        raise ConfigError(
            f"at_once={settings.at_once}: under torchrun, all processes train one model; leave it out"
        )
    alone = group.size > 1 or machine.resolve_device(settings.machine.device).type != "cpu"
    threads = machine.threads(settings.machine.num_threads)
    at_once = min(settings.at_once or (1 if alone else threads), trainings)
    if at_once == 1:
        return at_once, settings
    of_each = dataclasses.replace(settings.machine, num_threads=max(1, threads // at_once))
    return at_once, dataclasses.replace(settings, machine=of_each)


def _jobs(what: str, trainings: Sequence[tuple[TrainConfig, Callable[[], object]]]) -> list[Job]:
    return [
        Job(
            f"{what} {number}",
            f"{what} {number} of {len(trainings)}: {one.data.src} → {one.data.tgt}, seed {one.seed}",
            work,
        )
        for number, (one, work) in enumerate(trainings, 1)
    ]


def _teach(teacher: Teacher, group: Group) -> None:
    """Train ``teacher``, and let it translate."""
    if teacher.settings.overwrite and group.first:  # now: a stop must not leave the translation of another teacher
        teacher.translation.unlink(missing_ok=True)
    train(teacher.settings, group, says_next=False)
    with group.first_goes_first():
        if group.first and not teacher.translation.exists():
            _translate(teacher)


def teachers_directory(settings: DiversifyConfig) -> Path:
    """Where the teachers are, and their translations."""
    path = run_path(settings)
    return Path(settings.teachers_dir) if settings.teachers_dir else path.with_name(f"{path.name}-teachers")


def _teachers(settings: DiversifyConfig, directory: Path) -> Iterator[Teacher]:
    """Those that translate forward, then those that translate backward."""
    data = settings.data
    for src, tgt in ((data.src, data.tgt), (data.tgt, data.src)):
        for number, seed in enumerate(_seeds(settings.seed, settings.teachers)):
            right_to_left = settings.right_to_left and number % 2 == 1
            name = f"{src}-{tgt}-seed{seed}{'-right-to-left' * right_to_left}"
            teacher = dataclasses.replace(
                as_run(settings),
                data=_plain(settings, directory, src, tgt, right_to_left),
                init_from=None,
                name=name,
                runs_dir=str(directory),
                resume="auto",
                seed=seed,
            )
            if settings.teacher_epochs:
                teacher.trainer = dataclasses.replace(settings.trainer, max_epochs=settings.teacher_epochs)
            yield Teacher(teacher, directory / f"train.{src}", directory / f"{name}.{tgt}", right_to_left)


def _plain(settings: DiversifyConfig, directory: Path, src: str, tgt: str, right_to_left: bool) -> FilesConfig:
    """The corpus as ``_write_text`` writes it, in one direction or the other."""
    data, order = settings.data, REVERSED * right_to_left
    files = [
        SplitFiles(str(directory / f"{split}.{src}"), str(directory / f"{split}.{tgt}{order}")) for split in SPLITS
    ]
    shared = {item.name: getattr(data, item.name) for item in dataclasses.fields(data) if item.name in SHARED}
    return FilesConfig(
        **{**shared, "name": "files", "src": src, "tgt": tgt, **dict(zip(SPLITS, files, strict=True))}
    )


def _students(settings: DiversifyConfig, teachers: list[Teacher]) -> Iterator[TrainConfig]:
    """Models that are trained on all of it, from the same weights; a single one is the run itself."""
    data = settings.data
    sides: dict[str, list[str]] = {data.src: [*data.mix.src], data.tgt: [*data.mix.tgt]}
    for teacher in teachers:
        sides[teacher.settings.data.src].append(str(teacher.source))
        sides[teacher.settings.data.tgt].append(str(teacher.translation))
    run = as_run(settings)
    student = dataclasses.replace(
        run,
        data=dataclasses.replace(
            data, mix=dataclasses.replace(data.mix, src=sides[data.src], tgt=sides[data.tgt])
        ),
        init_from=run.init_from or str(run_path(teachers[0].settings)),
    )
    if settings.students == 1:
        yield student
        return
    path = run_path(settings)
    for seed in _seeds(settings.seed, settings.students):
        directory = path.with_name(f"{path.name}-students")
        yield dataclasses.replace(student, name=f"seed{seed}", runs_dir=str(directory), resume="auto", seed=seed)


def _mean(settings: DiversifyConfig, students: list[TrainConfig]) -> TrainConfig:
    """The run: the mean of the weights of ``students``, validated and saved."""
    return dataclasses.replace(
        as_run(settings),
        data=students[0].data,
        init_from=[str(run_path(student)) for student in students],
        trainer=dataclasses.replace(settings.trainer, max_epochs=0),
    )


def _seeds(seed: int, number: int) -> Iterator[int]:
    """``number`` seeds that runs of another ``seed`` do not use."""
    yield from ((100 * seed + one) % SEEDS for one in range(1, number + 1))


def _write_text(settings: DiversifyConfig, directory: Path) -> None:
    """Write the training and the validation split as plain text, a file for each language and order of words."""
    with importing():
        from seq2seq.build.data import read_split, split_paths
        from seq2seq.data.training_text import training_text

    data = settings.data
    directory.mkdir(parents=True, exist_ok=True)
    train_text = training_text(Path(data.cache_dir), [split_paths(data, "train")], data.verify)
    valid = read_split(data, "valid")
    orders = [False, True] if settings.right_to_left and settings.teachers > 1 else [False]
    for language, side in ((data.src, "src"), (data.tgt, "tgt")):
        for right_to_left in orders:
            order = REVERSED * right_to_left
            _write_lines(_lines(train_text, side), directory / f"train.{language}{order}", right_to_left)
            _write_lines(getattr(valid, side), directory / f"valid.{language}{order}", right_to_left)


def _lines(text: TrainingText, side: str) -> Iterator[str]:
    for first in range(0, len(text), CHUNK):
        yield from text.lines(side, first, min(first + CHUNK, len(text)))


def _write_lines(lines: Iterable[str], path: Path, right_to_left: bool) -> None:
    from seq2seq.decoding.streaming import replacing

    with replacing(path) as file:
        file.writelines(f"{reversed_words(line) if right_to_left else line}\n" for line in lines)


def reversed_words(line: str) -> str:
    """The words of ``line``, and what spaces are between them, from the last to the first."""
    return " ".join(reversed(line.split(" ")))


def _translate(teacher: Teacher) -> None:
    """Let ``teacher`` translate, and put the words of what it writes from right to left in order."""
    order = REVERSED * teacher.right_to_left
    written = teacher.translation.with_name(f"{teacher.translation.name}{order}")
    translate(
        TranslateConfig(
            run=str(run_path(teacher.settings)),
            input=str(teacher.source),
            output=str(written),
            decode=DecodeConfigOverrides(num_best=1),  # a line for a line
            machine=teacher.settings.machine,
        )
    )
    if teacher.right_to_left:
        with written.open(encoding="utf-8", newline="\n") as lines:
            _write_lines((line.removesuffix("\n") for line in lines), teacher.translation, right_to_left=True)
        written.unlink()
