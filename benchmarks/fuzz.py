"""Coverage-guided fuzzing of all that reads a stranger's files: `python -m benchmarks.fuzz`.

It uses atheris (libFuzzer), which is no part of the project's environment: `pip install atheris`
first; Linux, Python 3.11 to 3.13. Each target starts from whole files, which are changed towards
code that no input has reached yet. A crash, a hang of 20 s, 4 GiB of memory or a file outside the
target's folder ends it, and the input is kept.
"""

import argparse
import contextlib
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TARGETS = ("audio", "archive", "config", "checkpoint", "note", "generator", "metrics")
LARGEST_INPUT, LONGEST_S, MOST_MIB = 16_384, 20, 4096


def main() -> int:
    """Fuzz each target in a process of its own and print a table; 1 if an input breaks one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10_000, help="inputs of each target")
    parser.add_argument("--target", choices=TARGETS, help="this one alone, in this process")
    parser.add_argument(
        "--folder", type=Path, help="where the inputs are kept; default: a temporary folder"
    )
    arguments = parser.parse_args()
    folder = arguments.folder or Path(tempfile.mkdtemp(prefix="fuzz-"))
    if arguments.target:
        fuzz(arguments.target, arguments.runs, folder)
    rows = [_in_own_process(target, arguments.runs, folder / target) for target in TARGETS]
    from benchmarks.common import markdown_table  # imports what must be instrumented first

    print(markdown_table(rows))
    return int(any(row["broken by"] for row in rows))


def _in_own_process(target: str, runs: int, folder: Path) -> dict:
    begun = time.monotonic()
    options = ["--target", target, "--runs", str(runs), "--folder", str(folder)]
    command = [sys.executable, "-m", "benchmarks.fuzz", *options]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    covered = [int(number) for number in re.findall(r"cov: (\d+)", done.stderr)]
    tried = re.search(r"number_of_executed_units: (\d+)", done.stderr)
    if not covered:
        raise SystemExit(done.stderr[-2000:])
    return {
        "target": target,
        "inputs": tried[1] if tried else "0",
        "branches at first": str(covered[0]),
        "at last": str(covered[-1]),
        "seconds": str(round(time.monotonic() - begun)),
        "broken by": ", ".join(str(path) for path in sorted(folder.glob("broken-*"))),
    }


def fuzz(target: str, runs: int, folder: Path) -> None:
    """Fuzz one target from whole files; ends the process."""
    import atheris

    with atheris.instrument_imports(include=["zipfile", "tarfile", "json"]):
        import json.decoder  # noqa: F401 (each before torch imports it)
        import tarfile  # noqa: F401
        import zipfile  # noqa: F401
    from torch._weights_only_unpickler import Unpickler

    Unpickler.load = atheris.instrument_func(Unpickler.load)
    with atheris.instrument_imports(include=["helpers"]):
        from benchmarks import fuzz_targets
    corpus, work = folder / "inputs", folder / "deep" / "work"
    shutil.rmtree(folder, ignore_errors=True)
    corpus.mkdir(parents=True)
    work.mkdir(parents=True)
    for number, content in enumerate(fuzz_targets.seeds(target)):
        (corpus / f"seed-{number}").write_bytes(content)
    read = fuzz_targets.READ[target]
    before = _files_outside(folder, work, corpus)

    def try_input(content: bytes) -> None:
        with contextlib.suppress(*fuzz_targets.REFUSALS):
            read(content, work)
        for path in work.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        assert _files_outside(folder, work, corpus) == before, "a file was written outside"

    options = [
        f"-runs={runs}",
        f"-max_len={LARGEST_INPUT}",
        f"-timeout={LONGEST_S}",
        f"-rss_limit_mb={MOST_MIB}",
    ]
    options += [
        f"-artifact_prefix={folder}/broken-",
        "-print_final_stats=1",
        "-seed=1",
        str(corpus),
    ]
    atheris.Setup([sys.argv[0], *options], try_input)
    atheris.Fuzz()


def _files_outside(folder: Path, *inside: Path) -> set[Path]:
    return {
        path
        for path in folder.rglob("*")
        if not any(path.is_relative_to(other) for other in inside)
    }


if __name__ == "__main__":
    sys.exit(main())
