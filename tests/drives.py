"""A folder that stands for a drive, and a drive that fails."""

import builtins
import errno
import os
import shutil

import torch

from helpers.train.loop import train_gan
from helpers.train.schedule import Intervals, Limits


def new_drive(folder):
    """A run folder as 01_data leaves it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    return folder


class Faults:
    """Stands for a drive that fails at the n-th thing that is done to a file: half of it is done.

    So it does with the next n_faults - 1 things, too.
    """

    def __init__(self, drive, number: int, at: int, n_faults: int = 1):
        self.drive, self.number, self.faults, self.n = (
            str(drive),
            number,
            range(at, at + n_faults),
            0,
        )

    def due(self, path) -> bool:
        self.n += str(path).startswith(self.drive)
        return self.n in self.faults and str(path).startswith(self.drive)

    def fail(self):
        raise OSError(self.number, os.strerror(self.number))

    def open(self, path, mode="r", *words, **options):
        if "r" in mode and "+" not in mode:
            return builtins.open(path, mode, *words, **options)
        if self.number != errno.ENOSPC and self.due(
            path
        ):  # a full drive opens, empties, and then has no room
            self.fail()
        file = builtins.open(path, mode, *words, **options)  # noqa: SIM115 (closed by Half)
        write = file.write

        class Half:
            def __getattr__(own, name):
                return getattr(file, name)

            def __enter__(own):
                return own

            def __exit__(own, *_):
                file.close()

            def write(own, content):
                if self.due(path):
                    write(content[: len(content) // 2])
                    file.flush()
                    self.fail()
                return write(content)

        return Half()

    def truncate(self, path, size):
        if self.number != errno.ENOSPC and self.due(path):
            self.fail()
        with open(path, "rb+") as file:
            file.truncate(size)


class ReadFaults:
    """Stands for a drive that fails at the n-th time that something is read from it, or longer."""

    def __init__(self, drive, at: int, number: int = errno.ENOTCONN, n_faults: int = 1):
        self.drive, self.number, self.faults = str(drive), number, range(at, at + n_faults)
        self.n = 0

    def on(self, read):
        def reading(path):
            if str(path).startswith(self.drive) and os.path.exists(path):
                self.n += 1
                if self.n in self.faults:
                    raise OSError(self.number, os.strerror(self.number))
            return read(path)

        return reading


def train_with(dataset, config, mirror, steps, intervals=Intervals(0, 1e6)):  # noqa: B008 (frozen)
    limits = Limits(steps=steps)
    return train_gan(
        dataset,
        config,
        mirror.local.root,
        torch.device("cpu"),
        limits,
        intervals,
        compiled=False,
        send=mirror.send,
    )
