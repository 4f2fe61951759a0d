"""metrics.jsonl: added to, read back, cut back, and not upset by a torn line."""

import errno
import json
import os
from pathlib import Path

import pytest

from helpers import files
from helpers.files import stamped_name
from helpers.train.metrics_file import (
    add_quality_file,
    append_metrics,
    compare_runs,
    drop_lines_after,
    read_metrics,
)


def write(path, *lines):
    for line in lines:
        append_metrics(path, line)
    return path


def training(step: int) -> dict:
    return {"kind": "training", "step": step, "loss_d": 1.25}


def test_lines_come_back_in_order_by_kind(tmp_path):
    path = write(
        tmp_path / "m.jsonl",
        training(1),
        {"kind": "quality", "accuracy": 0.5, "source": "ä🥁"},
        training(2),
    )
    assert read_metrics(path, "training") == [training(1), training(2)]
    assert read_metrics(path, "quality") == [{"kind": "quality", "accuracy": 0.5, "source": "ä🥁"}]
    assert read_metrics(path, "other") == []
    assert len(path.read_text().splitlines()) == 3


def test_no_file_is_no_lines(tmp_path):
    assert read_metrics(tmp_path / "none.jsonl", "training") == []
    drop_lines_after(tmp_path / "none.jsonl", 3)
    assert not (tmp_path / "none.jsonl").exists()


def test_a_torn_last_line_is_left_out(tmp_path):
    path = write(tmp_path / "m.jsonl", training(1))
    with open(path, "a") as file:
        file.write('{"kind": "training", "st')
    assert read_metrics(path, "training") == [training(1)]


def test_lines_after_a_step_are_dropped_but_what_was_measured_stays(tmp_path):
    measured = {"kind": "quality", "accuracy": 1.0, "step": 15}
    path = write(tmp_path / "m.jsonl", training(5), measured, training(10), training(15))
    with open(path, "a") as file:
        file.write('{"kind": "training", "st')
    drop_lines_after(path, 10)
    assert read_metrics(path, "training") == [training(5), training(10)]
    assert read_metrics(path, "quality") == [measured]
    append_metrics(path, training(12))
    assert read_metrics(path, "training") == [training(5), training(10), training(12)]


def test_nothing_is_written_where_no_line_is_dropped(tmp_path, monkeypatch):
    path = write(tmp_path / "m.jsonl", training(5))
    monkeypatch.setattr(files, "write_atomically", None)
    drop_lines_after(path, 5)
    assert read_metrics(path, "training") == [training(5)]


def test_a_disk_that_cannot_be_read_is_not_taken_for_an_empty_one(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    path = write(tmp_path / "m.jsonl", training(1))
    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", fail)
        for read in (lambda: read_metrics(path, "training"), lambda: drop_lines_after(path, 1)):
            with pytest.raises(OSError, match=os.strerror(errno.EIO)):
                read()
    assert read_metrics(path, "training") == [training(1)]


def quality(source: str, accuracy: float, judge: str = "0a1b2c3d") -> dict:
    return {"kind": "quality", "source": source, "accuracy": accuracy, "judge": judge}


def test_the_newest_quality_of_each_run_on_the_same_recordings_is_compared(tmp_path):
    for run, lines in {
        "a": [quality("kit", 0.1), training(1), quality("kit", 0.2)],
        "b": [quality("kit", 0.9), quality("other", 0.3)],
        "c": [quality("other", 0.4)],
        "d": [training(3)],
    }.items():
        (tmp_path / run).mkdir()
        write(tmp_path / run / "metrics.jsonl", *lines)
    found, others = compare_runs(tmp_path, "kit", "0a1b2c3d")
    assert [(line["run"], line["accuracy"]) for line in found] == [("a", 0.2), ("b", 0.9)]
    assert others == []
    assert compare_runs(tmp_path / "none", "kit", "0a1b2c3d") == ([], [])


def test_figures_of_different_judges_are_not_compared(tmp_path):
    unnamed = {"kind": "quality", "source": "kit", "accuracy": 0.5}  # before judges had names
    for run, lines in {
        "a": [quality("kit", 0.1)],
        "b": [quality("kit", 0.2), quality("kit", 0.9, judge="ffffffff")],
        "c": [quality("kit", 0.9, judge="ffffffff")],
        "d": [unnamed],
        "e": [quality("other", 0.9, judge="ffffffff")],
    }.items():
        (tmp_path / run).mkdir()
        write(tmp_path / run / "metrics.jsonl", *lines)
    found, others = compare_runs(tmp_path, "kit", "0a1b2c3d")
    assert [(line["run"], line["accuracy"]) for line in found] == [("a", 0.1), ("b", 0.2)]
    assert others == ["c", "d"]


def test_a_line_of_progress_names_its_judge(tmp_path):
    line = {"kind": "progress", "step": 1, "minutes": 0.1, "accuracy": 1.0, "frechet": 2.0}
    named = line | {"judge": "0a1b2c3d"}
    path = write(tmp_path / "m.jsonl", line, named, line | {"judge": 3}, line | {"other": "text"})
    assert read_metrics(path, "progress") == [line, named]


def test_a_line_after_a_torn_one_is_whole(tmp_path):
    path = tmp_path / "metrics.jsonl"
    append_metrics(path, {"kind": "training", "step": 1})
    path.write_bytes(path.read_bytes() + b'{"kind": "trai')
    append_metrics(path, {"kind": "training", "step": 2})
    append_metrics(path, {"kind": "training", "step": 3})
    assert [line["step"] for line in read_metrics(path, "training")] == [1, 2, 3]


def test_lines_that_nobody_wrote_are_left_out(tmp_path):
    path = write(tmp_path / "m.jsonl", training(1))
    with open(path, "ab") as file:
        strange = (
            "[1]",
            "7",
            '{"kind": "training", "step": "x"}',
            '{"kind": ["training"]}',
            '{"kind": "training"}',
            '{"kind": "training", "step": 2, "loss_d": "low"}',
            '{"kind": "training", "step": 1e999}',
            '{"kind": "progress", "step": 1}',
            '{"kind": "progress", "step": 1, "minutes": 1, "accuracy": null, "frechet": 2}',
            "[" * 100_000,
            "1" * 9_999,
        )
        file.write("".join(f"{line}\n" for line in strange).encode() + b"\xff\x00\n")
    append_metrics(path, training(5))
    drop_lines_after(path, 3)
    assert read_metrics(path, "training") == [training(1)]
    assert len(path.read_text().splitlines()) == 1


def part(folder, step: int, *lines: dict) -> Path:
    """A part of the metrics as a run on Drive has it."""
    content = "".join(f"{json.dumps(line)}\n" for line in lines).encode()
    path = folder / stamped_name("metrics", step, content, ".jsonl")
    path.write_bytes(content)
    return path


def test_of_a_runs_parts_on_drive_the_newest_whole_one_counts(tmp_path):
    part(tmp_path, 1, training(1))
    part(tmp_path, 2, training(1), training(2))
    part(tmp_path, 3, training(1), training(2), training(3)).write_bytes(b"broke off")
    assert read_metrics(tmp_path / "metrics.jsonl", "training") == [training(1), training(2)]
    append_metrics(tmp_path / "metrics.jsonl", training(2))  # moved off the drive and trained
    append_metrics(tmp_path / "metrics.jsonl", training(4))
    lines = read_metrics(tmp_path / "metrics.jsonl", "training")
    assert [line["step"] for line in lines] == [1, 2, 4], "each line once"


def test_of_two_parts_of_one_step_the_longer_one_is_the_newer(tmp_path):
    part(tmp_path, 2, training(1), training(2))
    part(tmp_path, 2, training(1))
    assert read_metrics(tmp_path / "metrics.jsonl", "training") == [training(1), training(2)]


def test_every_measurement_on_drive_is_a_file_of_its_own_and_stays_in_order(tmp_path):
    folder = tmp_path / "run"
    measured = [quality("rain", n / 20) for n in range(12)]
    folder.mkdir()
    for line in measured:
        before = {path: path.read_bytes() for path in folder.iterdir()}
        add_quality_file(folder, line)
        assert before.items() <= {p: p.read_bytes() for p in folder.iterdir()}.items()
    part(folder, 5, training(1), measured[0])
    assert read_metrics(folder / "metrics.jsonl", "quality") == measured
    (newest,), _ = compare_runs(tmp_path, "rain", "0a1b2c3d")
    assert newest == {"run": "run"} | measured[-1]
