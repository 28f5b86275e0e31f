"""What only a GPU shows, in four pieces of at most 4 minutes each, in any order; nothing that was measured is lost.

    make gpu-check                                     # all pieces; make gpu-check PIECES="kernels step"
    python -m benchmarks.gpu_check training --data FOLDER --seconds 600
    python -m benchmarks.gpu_check --small --out FOLDER       # a trial of the check itself, on the CPU

A piece is a process of its own. Each of its measurements is a line of JSON, appended to gpu.jsonl as soon as it is
made; gpu.md shows the newest of each. It runs from a plain checkout: Python with torch 2.11 or newer, numpy, scipy,
pydantic, omegaconf and safetensors is enough. The cells are in benchmarks/gpu_cells.json, composed from conf/ before.
"""

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import torch

from pipeline.base.errors import UserError, command_line
from pipeline.base.files import write_text

ROOT = Path(__file__).parent.parent
CELLS = ROOT / "benchmarks/gpu_cells.json"
LIMIT = 240  # seconds of a piece; a training has as many as --seconds says, and a minute
PIECES = {
    "kernels": "Kernels and memory",
    "step": "Seconds of a step",
    "equality": "The same numbers as on the CPU",
    "training": "A training of CIFAR-10",
}
NOT_RUN = "Not run: no GPU was at hand."
GRACE = 20  # seconds that a piece has to end by itself after SIGTERM


def run_piece(name: str, out: Path, given: argparse.Namespace) -> str:
    """ok | failed | timeout. The piece appends to gpu.jsonl by itself; a training stores its state on SIGTERM."""
    limit = limit_of(name, given.seconds)
    command = [sys.executable, "-m", "benchmarks.gpu_pieces", name, "--out", str(out)]
    command += ["--seconds", str(given.seconds)] if name == "training" else []
    command += ["--data", str(given.data.resolve())] if given.data else []
    command += ["--small"] if given.small else []
    environment = os.environ | {"TORCHINDUCTOR_CACHE_DIR": str(out / "compiled"), "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    with open(out / f"{name}.log", "a", encoding="utf-8") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log, start_new_session=True)
        try:
            return "ok" if process.wait(limit) == 0 else "failed"
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(GRACE)
            return "timeout"
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def limit_of(name: str, seconds: float) -> float:
    """Seconds that a piece may take."""
    return max(LIMIT, seconds + 60) if name == "training" else LIMIT


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The measurements so far; a line that was cut off in the middle is none."""
    found = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
        try:
            found.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return found


def page(lines: list[dict[str, Any]]) -> str:
    """gpu.md: the newest measurement of each kind as a table a piece, or that the piece was not run."""
    text = ["# On a GPU", "", "Written by `make gpu-check` from the lines of gpu.jsonl.", ""]
    for piece, title in PIECES.items():
        newest = {line["measured"]: line for line in lines if line["piece"] == piece}
        text += [f"## {title}", ""]
        if not newest:
            text += [NOT_RUN, ""]
            continue
        last = max(newest.values(), key=lambda line: line["date"])
        text += [f"{last['device']}, torch {last['torch']}, {last['date']}.", ""]
        text += ["| measured | |", "| --- | --- |"]
        for name, line in newest.items():
            values = (f"{key} {_shown(value)}" for key, value in line["values"].items())
            text.append(f"| {name} | {', '.join(values)} |")
        text.append("")
    return "\n".join(text)


def write_cells(path: Path) -> None:
    """benchmarks/gpu_cells.json from conf/, which takes Hydra; peaks (GiB by the hollow GPU, bf16) stay as they are."""
    from pipeline.plan.config import load, resolve_cell
    from pipeline.training.config import effective_settings

    params, content = load(), {"peak_gib": json.loads(path.read_text(encoding="utf-8"))["peak_gib"]}
    for name in ("digits", "cifar10", "celeba64", "church256"):
        cell = resolve_cell(params, name, "full")
        content[name] = {"network": cell.network.model_dump(), "train": effective_settings(cell.train).model_dump()}
    write_text(path, json.dumps(content, indent=1) + "\n")


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        return " ".join(map(_shown, value))
    return str(value)


@command_line
def main() -> None:
    parser = argparse.ArgumentParser(
        prog="make gpu-check", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pieces", nargs="*", metavar="piece", help=f"{' | '.join(PIECES)} (all)")
    parser.add_argument("--data", type=Path, help="folder of CIFAR-10 for training: .npy, .npz or the Python batches")
    parser.add_argument("--seconds", type=float, default=180.0, help="of the training (180)")
    parser.add_argument("--small", action="store_true", help="on the CPU, at the smallest setting; needs --out")
    parser.add_argument("--out", type=Path, help="folder of gpu.jsonl, gpu.md and samples (build/gpu_check)")
    parser.add_argument(
        "--write-cells", action="store_true", help="compose gpu_cells.json again after an edit of conf/"
    )
    given = parser.parse_args()
    if given.write_cells:
        return write_cells(CELLS)
    names = given.pieces or list(PIECES)
    for name in names:
        if name not in PIECES:
            raise UserError(f"gpu-check: given {name!r}; allowed: {' | '.join(PIECES)}")
    if given.small and given.out is None:
        raise UserError("gpu-check: --small needs --out, a folder: build/gpu_check is for results of a GPU")
    if not given.small and not torch.cuda.is_available():
        raise UserError("gpu-check: torch finds no GPU here; --small --out FOLDER tries the check itself on the CPU")
    if given.data and not given.data.is_dir():
        raise UserError(f"--data: given {str(given.data)!r}; allowed: a folder")
    out = (given.out or ROOT / "build/gpu_check").resolve()
    out.mkdir(parents=True, exist_ok=True)
    failed = []
    for name in names:
        began = datetime.now()
        status = run_piece(name, out, given)
        print(f"gpu-check: {name}: {status}, {(datetime.now() - began).seconds} s", flush=True)
        failed += [name] if status != "ok" else []
        write_text(out / "gpu.md", page(read_lines(out / "gpu.jsonl")))
    print(f"gpu-check: {out / 'gpu.md'}")
    if failed:
        raise UserError(f"gpu-check: {', '.join(failed)}: not ok, see {out}/*.log; what was measured is kept")
    return None


if __name__ == "__main__":
    main()
