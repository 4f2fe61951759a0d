"""Tables that name the class of each recording, as spreadsheets and data sets have them."""

import codecs
import csv
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

from helpers.data.name_patterns import could_be_labels

TABLE_SUFFIXES = (".csv", ".tsv", ".txt")
SEPARATORS = ",;\t|"
MOST_BYTES = 2**27  # of a table
TRIED_ROWS = 200  # to find the column of the files
LEAST_MATCHES = 0.5  # of a column's cells, which name files of the folder
LABEL_COLUMNS = ("label", "labels", "class", "classname", "class_name", "category", "command")
LABEL_COLUMNS += ("word", "genre", "instrument", "species", "emotion", "digit")
SPLIT_COLUMNS = ("split", "subset", "set", "partition", "fold")


@dataclass(frozen=True)
class LabelTable:
    """A table whose rows name files of a folder: its cells as text, and the column of the files.

    A file without a header has columns named 1, 2, ….
    """

    path: str  # relative to the folder
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    file_column: int
    names: "FileNames"

    @property
    def other_columns(self) -> list[str]:
        """The names of the columns that do not name the files."""
        return [name for n, name in enumerate(self.columns) if n != self.file_column]

    def label_column(self) -> str:
        """The column that plainly holds the classes; "" if none does."""
        by_name = {name.strip().lower(): name for name in self.other_columns}
        found = [by_name[name] for name in LABEL_COLUMNS if name in by_name]
        if not found and len(self.other_columns) == 1:
            found = [
                one for one in self.other_columns if could_be_labels(self.column(one).values())
            ]
        return found[0] if found else ""

    def split_column(self) -> str:
        """The column that says what is for training and what for test; "" if there is none."""
        by_name = {name.strip().lower(): name for name in self.other_columns}
        return next((by_name[name] for name in SPLIT_COLUMNS if name in by_name), "")

    def column(self, name: str) -> dict[str, str]:
        """The text of a column for each file, stripped; empty cells are left out."""
        number = self.columns.index(name)
        found = {}
        for path, row in self.matches:
            if path and number < len(row) and row[number].strip():
                found[path] = row[number].strip()
        return found

    @cached_property
    def matches(self) -> list[tuple[str, tuple[str, ...]]]:
        """The file that each row names, relative to the folder, or "" if there is no one such."""
        of_row = (
            (row[self.file_column] if self.file_column < len(row) else "") for row in self.rows
        )
        return [(self.names.find(cell), row) for cell, row in zip(of_row, self.rows, strict=True)]


class FileNames:
    """The files of a folder, found by what a table calls them."""

    def __init__(self, paths: Iterable[str]):
        self.paths = {_plain(path): path for path in paths}
        self.by_name, self.by_stem = defaultdict(list), defaultdict(list)
        for plain, path in self.paths.items():
            name = plain.rpartition("/")[2].casefold()
            self.by_name[name].append((plain.casefold(), path))
            self.by_stem[PurePosixPath(name).stem].append((plain.casefold(), path))

    def find(self, cell: str) -> str:
        """The path that a cell means: as it is, by the end of the path, or without its suffix.

        "" if there is none, or more than one.
        """
        for text in filter(str.strip, (cell, cell.strip())):
            wanted = _plain(text)
            if wanted in self.paths:
                return self.paths[wanted]
            tail = wanted.casefold().split("/")
            for index in (self.by_name, self.by_stem):
                found = index.get(tail[-1], []) or index.get(PurePosixPath(tail[-1]).stem, [])
                if len(found) > 1:
                    found = _narrow_by_folders(found, tail)
                if len(found) == 1:
                    return found[0][1]
        return ""


def read_tables(folder: Path, paths: Iterable[str], audio: Sequence[str]) -> list[LabelTable]:
    """The tables below a folder, at paths relative to it, that name at least half their files.

    audio: the paths of its recordings, relative to it. Tables that cannot be read are left out.
    """
    names, found = FileNames(audio), []
    for path in paths:
        file = folder / path
        try:
            if not path.lower().endswith(TABLE_SUFFIXES) or file.stat().st_size > MOST_BYTES:
                continue
            text = _decode(file.read_bytes())
        except OSError:
            continue
        tables = [_read(path, text, separator, names) for separator in SEPARATORS]
        tables = [table for table in tables if table]
        if tables:
            found.append(max(tables, key=lambda table: len(table.columns)))
    return found


def _read(path: str, text: str, separator: str, names: FileNames) -> LabelTable | None:
    lines = text.splitlines()
    if lines and lines[0].lower().startswith("sep="):  # a word to Excel
        lines = lines[1:]
    try:
        rows = tuple(tuple(row) for row in csv.reader(lines, delimiter=separator) if row)
    except csv.Error:
        return None
    if not rows or len(rows[0]) < 2:
        return None
    hits, files, body = Counter(), defaultdict(set), rows[1 : 1 + TRIED_ROWS] or rows
    for row in body:
        for number, cell in enumerate(row[: len(rows[0])]):
            if named := names.find(cell):
                hits[number] += 1
                files[number].add(named)
    # of columns that name files, the one that names the most: numbers may name some, too
    fitting = [number for number, n in hits.items() if n >= LEAST_MATCHES * len(body)]
    if not fitting:
        return None
    column = max(fitting, key=lambda number: len(files[number]))
    has_header = not names.find(rows[0][column])
    header = rows[0] if has_header else tuple(str(n + 1) for n in range(len(rows[0])))
    return LabelTable(path, header, rows[has_header:], column, names)


def _decode(content: bytes) -> str:
    """Text as spreadsheets write it: UTF-8, UTF-16 with its mark, or the code page of Windows."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return content.decode("utf-16", errors="replace")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("cp1252", errors="replace")


def _plain(path: str) -> str:
    return unicodedata.normalize("NFC", path.replace("\\", "/")).removeprefix("./")


def _narrow_by_folders(found: list[tuple[str, str]], tail: list[str]) -> list[tuple[str, str]]:
    """Of files with the same name those whose folders are the last ones that a cell names."""
    for n in range(1, len(tail)):
        folders = tail[-1 - n : -1]
        fitting = [one for one in found if one[0].split("/")[-1 - n : -1] == folders]
        if not fitting:
            return []
        found = fitting
        if len(found) == 1:
            break
    return found
