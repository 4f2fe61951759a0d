"""Which class each recording of a folder has: by its folder, its name, or a table.

`find_labels` recognises what is plain, and says in a sentence what it took for the classes.
"""

import re
import unicodedata
import warnings
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from helpers.data.archives import ARCHIVE_SUFFIXES, HOW_TO_ARRANGE, SourceError
from helpers.data.label_tables import LabelTable, read_tables
from helpers.data.layouts import is_audio, walk_files
from helpers.data.name_patterns import compile_pattern, plain_pattern
from helpers.sound.audio_files import SUFFIXES

HOW_TO_CHOOSE = (
    'To choose otherwise, set labels to "folders", "splits", "names:{label}_{index}" (a pattern of '
    'the file names), "table:labels.csv:column" or "single".'
)
HOLDOUT = "*/(test)/*"  # a name that no path has already
TRAIN_WORDS = ("train", "training")
TEST_WORDS = ("test", "testing", "val", "valid", "validation", "dev", "eval", "evaluation")
FOLD = re.compile(r"(fold|split)[ _-]?(\d+)")
LISTS = re.compile(r"(test|valid)\w*_list\.txt")  # as Speech Commands has them
NOT_CLASSES = ("doc", "docs", "documents", "images", "label", "labels", "meta", "metadata")
NOT_CLASSES += ("annotations", "licenses", "pictures", "scripts", "src", "tools", "utils")


class LabelledFile(NamedTuple):
    """A recording: its path relative to the folder, its class, and "train", "test" or ""."""

    path: str
    label: str
    split: str = ""


@dataclass(frozen=True)
class Labelling:
    """The recordings below a folder with their classes, and how these were found.

    how is what the setting `labels` takes; words is a sentence for whoever reads 01_data.
    """

    folder: Path
    how: str
    files: tuple[LabelledFile, ...]
    words: str

    @cached_property
    def can_stay(self) -> bool:
        """Whether the folder can be used as it lies: a subfolder for each class, and no split."""
        by_folders = (Path(one.path).parts[0] == one.label and not one.split for one in self.files)
        return self.how == "folders" and all(by_folders)

    def place(self, file: LabelledFile) -> Path:
        """Where a file lies when each class has a folder: class, split, then its path as it was."""
        return Path(file.label, f"({file.split})" if file.split else "", file.path)

    @property
    def holdout(self) -> str:
        """Glob of the files for test among these places; "" if no split is known."""
        return HOLDOUT if any(one.split == "test" for one in self.files) else ""


def find_labels(folder: Path, labels: str = "auto", name: str = "") -> Labelling:
    """The recordings below a folder, which is known by a name, and the class of each.

    labels: "folders" (a folder a class), "splits" (folders such as train and test around them),
    "names:<pattern>" ({label}, {index} and others in the names of files), "table:<file>:<column>",
    "single" (all are of one class), or "auto", which takes what is plain. Raises SourceError if
    there is no audio, labels cannot be understood, or they fit no file.
    """
    if not folder.is_dir():
        what = "is a file, not a folder" if folder.exists() else "does not exist"
        raise SourceError(
            f"{str(folder)!r} {what}; give a folder of class folders: {HOW_TO_ARRANGE}"
        )
    names = walk_files(folder)
    audio = [name for name in names if is_audio(folder / name)]
    if not audio:
        raise SourceError(_explain_no_audio(folder, names))
    how, _, rest = labels.partition(":")
    inner, inside = _unwrap(folder, names, audio)
    alone = (name if name and inner == folder else inner.name) or "sounds"
    if how == "auto":
        return _recognise(folder, names, audio, inner, inside, alone)
    if how == "table" and ":" in rest:
        return _by_table(folder, audio, *_named_table(folder, names, audio, rest))
    if how == "names" and "{label}" in rest:
        return _by_names(inner, inside, rest)
    if how == "splits" and not rest:
        return _by_splits(inner, inside)
    if how == "folders" and not rest:
        return _by_folders(inner, inside, names)
    if how == "single" and not rest:
        return _single(inner, inside, alone)
    raise SourceError(f"labels {labels!r} cannot be understood. {HOW_TO_CHOOSE}")


def _recognise(
    folder: Path, names: list[str], audio: list[str], inner: Path, inside: list[str], alone: str
) -> Labelling:
    tops = sorted({Path(path).parts[0] for path in inside if "/" in path})
    are_splits = bool(tops) and all(map(_split_of, tops))
    if tops and not are_splits and len(tops) > 1:
        beside = read_tables(folder, [name for name in names if "/" not in name], audio)
        return _by_folders(inner, inside, names, beside)
    tables = read_tables(folder, names, audio)
    plain = [table for table in tables if table.label_column()]
    if plain:
        table = max(plain, key=lambda one: len(one.column(one.label_column())))
        return _by_table(folder, audio, table, table.label_column())
    if are_splits and any(len(Path(path).parts) > 2 for path in inside):
        return _by_splits(inner, inside)
    pattern = plain_pattern(inside)
    if pattern and (are_splits or not tops):
        return _by_names(inner, inside, pattern)
    if tables:
        columns = ", ".join(map(repr, tables[0].other_columns))
        raise SourceError(
            f"{tables[0].path} names the files of {str(folder)!r}, but none of its columns is "
            f'plainly the class: set labels = "table:{tables[0].path}:<column>" with one of '
            f"{columns}"
        )
    if tops and not are_splits:
        return _by_folders(inner, inside, names)
    return _single(inner, inside, alone)


def _unwrap(folder: Path, names: list[str], audio: list[str]) -> tuple[Path, list[str]]:
    """Go into an outer folder as long as it is alone; folders of other things do not count."""
    while all("/" in path for path in audio):
        tops = {Path(path).parts[0] for path in names if "/" in path}
        tops = {top for top in tops if top.lower() not in NOT_CLASSES} or tops
        (first, *others), inside = sorted(tops), [Path(path).parts for path in audio]
        if others or any(len(parts) == 2 for parts in inside) and not _all_loose(inside):
            break
        if _all_loose(inside) and not plain_pattern([parts[-1] for parts in inside]):
            break
        folder = folder / first
        names = [path.removeprefix(f"{first}/") for path in names if path.startswith(f"{first}/")]
        audio = [path.removeprefix(f"{first}/") for path in audio]
    return folder, audio


def _all_loose(inside: list[tuple[str, ...]]) -> bool:
    return all(len(parts) == 2 for parts in inside)


def _by_folders(
    folder: Path, inside: list[str], names: list[str], beside: Sequence[LabelTable] = ()
) -> Labelling:
    in_folders = [path for path in inside if "/" in path]
    n_loose = len(inside) - len(in_folders)
    if not in_folders:
        raise SourceError(
            f"{str(folder)!r} holds {n_loose} audio files but no class folders: {HOW_TO_ARRANGE}. "
            f"{HOW_TO_CHOOSE}"
        )
    if n_loose:
        warnings.warn(
            f"{n_loose} audio files beside the class folders of {str(folder)!r} are left out",
            stacklevel=4,
        )
    held_out = _listed(folder, in_folders, names)
    spellings = _spellings({Path(path).parts[0] for path in in_folders})
    files = []
    for path in in_folders:
        split = ("test" if path in held_out else "train") if held_out else ""
        files.append(LabelledFile(path, spellings[Path(path).parts[0]], split))
    words = f"the classes are the {_number(files, 'folder')} in {str(folder)!r}"
    odd = [top for top in spellings if _split_of(top)]
    if odd:
        words += (
            f"; of these, {_some(odd)} {'has' if len(odd) == 1 else 'have'} the name of a split"
        )
    if held_out:
        words += f", and {len(held_out)} files are held out, as its lists say"
    named = [
        f"table:{table.path}:{table.label_column()}" for table in beside if table.label_column()
    ]
    if named:
        words += f"; a table names classes, too: for these, set labels to {named[0]!r}"
    return _labelling(folder, "folders", files, words, is_plain=not odd)


def _by_splits(folder: Path, inside: list[str]) -> Labelling:
    tops = {Path(path).parts[0] for path in inside if "/" in path}
    splits = {top: _split_of(top) for top in tops}
    if not tops or not all(splits.values()):
        raise SourceError(
            f"{str(folder)!r} has no folders such as train and test around the class folders: "
            f"there are {_some(tops) or 'none'}. {HOW_TO_CHOOSE}"
        )
    folds = {top: int(fold[2]) for top in tops if (fold := FOLD.fullmatch(top.lower()))}
    if folds:
        splits |= {top: "test" if n == max(folds.values()) else "train" for top, n in folds.items()}
    if len(set(splits.values())) == 1:
        splits = dict.fromkeys(splits, "")  # all for training or all for test: no split at all
    parts = [Path(path).parts for path in inside]
    files = [
        LabelledFile(str(Path(*one)), _spelling(one[1]), splits[one[0]])
        for one in parts
        if len(one) > 2
    ]
    if not files:
        raise SourceError(f"{_some(tops)} hold no class folders: {HOW_TO_ARRANGE}. {HOW_TO_CHOOSE}")
    test = sorted(top for top, split in splits.items() if split == "test")
    words = f"{_some(tops)} are parts of one data set: the classes are the "
    words += f"{_number(files, 'folder')} in them"
    words += f", and what lies in {_some(test)} is held out" if test else ""
    if len(files) < len(inside):
        words += f"; {len(inside) - len(files)} files lie in none of them and are left out"
    return _labelling(folder, "splits", files, words)


def _by_names(folder: Path, inside: list[str], pattern: str) -> Labelling:
    form = compile_pattern(pattern)
    files = []
    for path in inside:
        if match := form.fullmatch(Path(path).stem):
            found = match.groupdict()
            split = _split_of(found.get("split") or "") or ("train" if "split" in found else "")
            files.append(LabelledFile(path, _spelling(found["label"].strip("_-. ")), split))
    files = [one for one in files if one.label]
    if not files:
        raise SourceError(
            f"no file's name fits the pattern {pattern!r}: names are like {_some(inside)}. "
            f"{HOW_TO_CHOOSE}"
        )
    left_out = len(inside) - len(files)
    words = f"the classes are {{label}} in the names of the files, by the pattern {pattern!r}: "
    words += _number(files, "class", "classes")
    words += f"; {left_out} files do not fit it and are left out" if left_out else ""
    return _labelling(folder, f"names:{pattern}", files, words)


def _by_table(folder: Path, audio: list[str], table: LabelTable, column: str) -> Labelling:
    labels = table.column(column)
    splits = table.column(split) if (split := table.split_column()) and split != column else {}
    by_split = {value: _split_of(value) or "train" for value in set(splits.values())}
    if splits and all(value.isdecimal() for value in by_split):
        last = max(by_split, key=int)
        by_split = {value: "test" if value == last else "train" for value in by_split}
    if len(set(by_split.values())) < 2:
        by_split = {}
    files = [
        LabelledFile(path, _spelling(labels[path]), by_split.get(splits.get(path, ""), ""))
        for path in audio
        if path in labels
    ]
    if not files:
        raise SourceError(
            f"column {column!r} of {table.path} is empty for every file of the folder"
        )
    words = f"the classes are the column {column!r} of {table.path}: "
    words += _number(files, "class", "classes")
    words += f", and its column {split!r} says what is held out" if by_split else ""
    n_lost = sum(not path for path, _ in table.matches)
    if n_lost:
        lost = next(row[table.file_column] for path, row in table.matches if not path)
        words += f"; {n_lost} of its rows name no file or several, such as {lost!r}"
    if len(files) < len(audio):
        words += f"; {len(audio) - len(files)} files are not in it and are left out"
    return _labelling(folder, f"table:{table.path}:{column}", files, words)


def _single(folder: Path, inside: list[str], name: str) -> Labelling:
    label = _spelling(name)
    files = [LabelledFile(path, label) for path in inside]
    words = f"all {len(files)} files of {str(folder)!r} are taken as one class, {label!r}"
    return _labelling(folder, "single", files, words)


def _labelling(
    folder: Path, how: str, files: list[LabelledFile], words: str, is_plain: bool = False
) -> Labelling:
    if _count(files) == 1:
        words += f".\nThere is one class alone: for several, {HOW_TO_ARRANGE}"
    elif is_plain:
        return Labelling(folder, how, tuple(files), words)
    return Labelling(folder, how, tuple(files), f"{words}.\n{HOW_TO_CHOOSE}")


def _named_table(
    folder: Path, names: list[str], audio: list[str], named: str
) -> tuple[LabelTable, str]:
    """The table that a text like `labels.csv:class` names, and the column."""
    whole = [path for path in names if named.startswith(f"{path}:")]
    path = max(whole, key=len) if whole else named.rpartition(":")[0]
    column = named.removeprefix(f"{path}:")
    wanted = [name for name in names if name == path or name.endswith(f"/{path}")]
    tables = read_tables(folder, wanted, audio)
    if not wanted:
        raise SourceError(f"{str(folder)!r} holds no table {path!r}. {HOW_TO_CHOOSE}")
    if not tables:
        raise SourceError(
            f"{path!r} is no table whose rows name files of {str(folder)!r}: these are like "
            f"{_some(audio)}"
        )
    if column not in tables[0].columns:
        raise SourceError(
            f"{path!r} has no column {column!r}, but {', '.join(map(repr, tables[0].columns))}"
        )
    return tables[0], column


def _split_of(name: str) -> str:
    """ "train" or "test" if a name is that of a split or a fold, else ""."""
    name = name.strip().lower()
    if name in TRAIN_WORDS or FOLD.fullmatch(name):
        return "train"
    return "test" if name in TEST_WORDS else ""


def _listed(folder: Path, inside: list[str], names: list[str]) -> set[str]:
    """The files that lists such as testing_list.txt name, for test and for validation."""
    found = set()
    for name in {Path(name).name for name in names if LISTS.fullmatch(Path(name).name)}:
        path = folder / name
        if path.is_file():
            found |= {line.strip() for line in path.read_text(errors="replace").splitlines()}
    listed = found & set(inside)
    return listed if len(listed) < len(inside) else set()


def _spelling(label: str) -> str:
    """A label as the name of a folder."""
    label = unicodedata.normalize("NFC", re.sub(r"[/\\\0]", "_", label)).strip()
    return re.sub(r"^\.", "_", label)  # a dot would hide it


def _spellings(tops: set[str]) -> dict[str, str]:
    """The class of each folder: its name, but those that only look different are one.

    They differ in blanks at the ends, or in how accents are written; in capitals they may.
    """
    alike = defaultdict(list)
    for top in sorted(tops):
        alike[_spelling(top)].append(top)
    found = {}
    for spelling, same in alike.items():
        found |= dict.fromkeys(same, spelling if len(same) > 1 else same[0])
    by_case = Counter(label.casefold() for label in set(found.values()))
    for label, n in by_case.items():
        if n > 1:
            alike_names = sorted(one for one in set(found.values()) if one.casefold() == label)
            warnings.warn(
                f"{_some(alike_names)} differ in capitals alone and are two classes; if they are "
                "one, give their folders the same name",
                stacklevel=5,
            )
    return found


def _count(files: list[LabelledFile]) -> int:
    return len({one.label for one in files})


def _number(files: list[LabelledFile], one: str, several: str = "") -> str:
    """How many classes there are, with the word for them."""
    n = _count(files)
    return f"{n} {one if n == 1 else several or f'{one}s'}"


def _some(names, most: int = 3) -> str:
    """The first names, quoted, and how many more there are."""
    names = sorted(names)
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(map(repr, names[:most])) + more


def _explain_no_audio(folder: Path, names: list[str]) -> str:
    archives = [name for name in names if name.lower().endswith(ARCHIVE_SUFFIXES)]
    if archives:
        return (
            f"{str(folder)!r} holds archives ({_some(archives)}) and no audio: extract them, or "
            "give one of them as the source"
        )
    return (
        f"{str(folder)!r} holds no audio: {len(names)} files were looked at, none ends in "
        f"{', '.join(SUFFIXES)}. Give another folder or convert the files; {HOW_TO_ARRANGE}"
    )
