"""Everything that can only be seen on a GPU, in four pieces of less than 8 minutes each and less than 20 together.

    make gpu-check                                                        # docs/gpu.json and docs/gpu.md
    python -m benchmarks.gpu_check --smallest --out folder                # a trial of the check itself, on the CPU

A piece is a process of its own with a time limit. Its result is kept in build/gpu_check; a check that was interrupted
goes on with the pieces that are not there, or that are of another revision or device. --again measures all anew.
"""

import argparse
import os
import shutil
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks import gpu_memory
from benchmarks.machine import facts
from pipeline.base.errors import UserError, command_line
from pipeline.base.files import read_json, write_json, write_text
from pipeline.base.provenance import provenance

ROOT = Path(__file__).parent.parent
NOT_RUN = "Not run: no GPU was at hand."


@dataclass(frozen=True)
class Piece:
    """`full`: command on a GPU, `small`: the same on a CPU, seconds; both write to the path that is put for FILE."""

    title: str
    limit: float  # seconds on a GPU
    full: list[str]
    small: list[str]
    read: Callable[[Path], dict[str, Any]]
    show: Callable[[dict[str, Any]], list[str]]
    small_limit: float = 900.0  # seconds on a CPU, which may be a busy one


def read_tests(path: Path) -> dict[str, Any]:
    """Counts of pytest's JUnit file, and the names of the tests that failed."""
    suite = next(ElementTree.parse(path).getroot().iter("testsuite"))
    failed = [
        f"{case.get('classname')}.{case.get('name')}"
        for case in suite.iter("testcase")
        if case.find("failure") is not None or case.find("error") is not None
    ]
    counts = {name: int(suite.get(name, 0)) for name in ("tests", "failures", "errors", "skipped")}
    return {**counts, "failed": failed}


def show_tests(found: dict[str, Any]) -> list[str]:
    """A sentence, and a list of what failed."""
    passed = found["tests"] - found["failures"] - found["errors"] - found["skipped"]
    return [f"{passed} of {found['tests']} tests passed.", *(f"- failed: `{name}`" for name in found["failed"])]


def show_step(found: dict[str, Any]) -> list[str]:
    """The benchmark's own table."""
    return [f"{found['geometry']}, batch {found['batch']} (of D / of G):", "", *found["table"]]


def show_training(found: dict[str, Any]) -> list[str]:
    """A sentence."""
    resumed = ", ".join(f"{kimg:g}" for kimg in found["resumed_at_kimg"])
    return [
        f"{found['kimg']:g} kimg of the digits, stopped by SIGTERM and resumed at {resumed} kimg: {found['status']}, "
        f"{found['seconds_per_kimg']:.2f} s/kimg, {found['peak_memory_mib']:,} MiB, {found['ticks']} ticks, "
        f"{found['ticks_twice']} of them twice, spread of the samples {found['sample_spread']:.2f}."
    ]


FILE = "FILE"
PYTEST = ["-m", "pytest", "tests/gpu", "-p", "no:cacheprovider", f"--junitxml={FILE}"]
STEP = ["-m", "benchmarks.train_step", "--json", FILE]
PIECES = {
    "tests": Piece(
        "Tests",
        300,
        [*PYTEST, "-m", "gpu"],
        [*PYTEST, "-k", "draws and not cuda"],
        read_tests,
        show_tests,
    ),
    "step": Piece(
        "A step against the released style",
        360,
        [*STEP, "--geometry", "cifar10", "--device", "cuda", "--batch", "64/128", "--repeats", "10"]
        + ["--modes", "reference", "fp32", "bf16", "bf16_compiled", "bf16_graphs"],
        [*STEP, "--geometry", "digits", "--device", "cpu", "--batch", "8/8", "--repeats", "1", "--threads", "1"]
        + ["--modes", "reference", "fp32"],
        read_json,
        show_step,
    ),
    "memory": Piece(
        "Memory by resolution and kind of attention",
        300,
        ["-m", "benchmarks.gpu_memory", "--device", "cuda", "--json", FILE],
        ["-m", "benchmarks.gpu_memory", "--device", "cpu", "--json", FILE, "--resolutions", "8", "--kinds", "grid"]
        + ["--most", "2"],
        read_json,
        lambda found: gpu_memory.markdown(found["rows"]),
    ),
    "training": Piece(
        "A short training",
        180,
        ["-m", "benchmarks.gpu_training", "--kimg", "8", "--json", FILE],
        ["-m", "benchmarks.gpu_training", "--kimg", "1.6", "--json", FILE],
        read_json,
        show_training,
    ),
}


def run_piece(name: str, folder: Path, *, small: bool) -> dict[str, Any]:
    """Run a piece in a process of its own: {seconds, status: ok | failed | timeout, and what it found}.

    A piece that stopped at its limit keeps what it had written; one that resumes by itself goes on from there.
    """
    piece, path, began = PIECES[name], folder / f"{name}.part", time.monotonic()
    command = [word.replace(FILE, str(path)) for word in (piece.small if small else piece.full)]
    environment = os.environ | ({"CUDA_VISIBLE_DEVICES": ""} if small else {})
    with open(folder / f"{name}.log", "w", encoding="utf-8") as log:
        process = subprocess.Popen(
            [sys.executable, *command], cwd=ROOT, env=environment, stdout=log, stderr=log, start_new_session=True
        )
        try:
            status = "ok" if process.wait(piece.small_limit if small else piece.limit) == 0 else "failed"
        except subprocess.TimeoutExpired:
            status = "timeout"
        finally:
            if process.poll() is None:
                os.killpg(process.pid, 9)
                process.wait()
    found = piece.read(path) if path.is_file() else {}
    return {"status": status, "seconds": round(time.monotonic() - began, 1), "found": found}


def check(folder: Path, names: list[str], *, small: bool, again: bool) -> dict[str, Any]:
    """Run the pieces that `folder` does not have for this revision and device; returns all results."""
    device = torch.device("cpu" if small else "cuda")
    known = {**facts(device), "revision": provenance(device)["revision"], "smallest": small}
    same = {name: value for name, value in known.items() if name != "date"}
    if again and folder.is_dir():
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        file = folder / f"{name}.json"
        before = read_json(file) if file.is_file() else {}
        if before and {key: before.get(key) for key in same} == same and before["status"] == "ok":
            print(f"gpu-check: {name}: done before, {before['seconds']:.0f} s", flush=True)
            continue
        if before and {key: before.get(key) for key in same} != same:
            (folder / f"{name}.part").unlink(missing_ok=True)
        print(f"gpu-check: {name}: at work, see {folder / name}.log", flush=True)
        result = {**known, **run_piece(name, folder, small=small)}
        write_json(file, result)
        print(f"gpu-check: {name}: {result['status']}, {result['seconds']:.0f} s", flush=True)
    return {name: read_json(folder / f"{name}.json") for name in PIECES if (folder / f"{name}.json").is_file()}


def page(results: dict[str, Any]) -> str:
    """docs/gpu.md: every piece with its result, or that it was not run."""
    lines = [
        "# On a GPU",
        "",
        "This page is written by `make gpu-check` (`benchmarks/gpu_check.py`) with `docs/gpu.json`. The check has",
        "four pieces, each less than 8 minutes, less than 20 together. It goes on where it was interrupted.",
    ]
    for name, piece in PIECES.items():
        lines += ["", f"## {piece.title}", ""]
        result = results.get(name)
        if result is None:
            lines.append(NOT_RUN)
            continue
        lines += [
            f"{result['device']}, torch {result['torch']}, {result['date']}, revision {result['revision'][:12]}: "
            f"{result['status']} in {result['seconds']:.0f} s.",
            "",
        ]
        lines += piece.show(result["found"]) if result["found"] else ["It left no result."]
    return "\n".join(lines) + "\n"


@command_line
def main() -> None:
    parser = argparse.ArgumentParser(
        prog="make gpu-check", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pieces", nargs="*", metavar="piece", help=f"{' | '.join(PIECES)} (all)")
    parser.add_argument("--smallest", action="store_true", help="on the CPU at the smallest setting; needs --out")
    parser.add_argument("--again", action="store_true", help="measure anew what was measured before")
    parser.add_argument("--out", type=Path, help="folder of gpu.json and gpu.md (docs)")
    given = parser.parse_args()
    names = given.pieces or list(PIECES)
    for name in names:
        if name not in PIECES:
            raise UserError(f"gpu-check: given {name!r}; allowed: {' | '.join(PIECES)}")
    if given.smallest and given.out is None:
        raise UserError("gpu-check: --smallest needs --out, a folder: docs/ is for results of a GPU")
    if not given.smallest and not torch.cuda.is_available():
        raise UserError("gpu-check: torch finds no GPU here; --smallest --out FOLDER tries the check itself on the CPU")
    out = given.out or ROOT / "docs"
    folder = out / "pieces" if given.smallest else ROOT / "build/gpu_check"
    results = check(folder, names, small=given.smallest, again=given.again)
    write_json(out / "gpu.json", results)
    write_text(out / "gpu.md", page(results))
    print(f"gpu-check: {out / 'gpu.md'}")
    failed = [name for name in names if results[name]["status"] != "ok"]
    if failed:
        raise UserError(
            f"gpu-check: {', '.join(failed)}: not ok, see {folder}/*.log; the same command tries them again"
        )


if __name__ == "__main__":
    main()
