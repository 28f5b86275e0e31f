"""`dvc repro` with cells side by side: python -m pipeline.repro --jobs 2

DVC runs stages one after the other. Cells do not depend on each other, and a small training keeps no more than one core
busy; so cells are started `--jobs` at a time, each trained, measured and drawn by its own `dvc repro --single-item`,
and a plain `dvc repro` does whatever is left. The result is that of `dvc repro` alone.
"""

import argparse
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from dvc.repo import Repo

from pipeline.errors import UserError, command_line

CELL_STAGES = ("train", "measure", "illustrate", "collect")  # of one cell, in their order
DVC = [sys.executable, "-m", "dvc"]


def dvc(*arguments: str) -> None:
    """Errors: `UserError` where dvc fails; it has said why."""
    if subprocess.run([*DVC, *arguments]).returncode:
        raise UserError(
            f"dvc {' '.join(arguments)} failed, see above; what was finished is kept, "
            "the same command goes on from there"
        )


def reproduce(jobs: int) -> None:
    """Bring everything up to date, up to `jobs` cells at a time."""
    with Repo() as repo:
        if not repo.status():
            print("Data and pipelines are up to date.")
            return
        names = [stage.addressing for stage in repo.index.stages]
    cells = [name.partition("@")[2] for name in names if name.startswith("train@")]
    if jobs > 1 and len(cells) > 1:
        dvc("repro", "plan")
        dvc("repro", *(name for name in names if name.startswith("reference@")))
        print(f"repro: {len(cells)} trainings, {jobs} at a time; each says how long it expects to take", flush=True)
        work = [[f"{stage}@{cell}" for stage in CELL_STAGES if f"{stage}@{cell}" in names] for cell in cells]
        with ThreadPoolExecutor(jobs) as pool:
            try:
                # All are tried, whatever becomes of one; the first failure is raised after the last has ended.
                for done in [pool.submit(dvc, "--wait-for-lock", "repro", "--single-item", *stages) for stages in work]:
                    done.result()
            except KeyboardInterrupt:
                # The terminal tells those at work, too: they store their state and end. No other one begins.
                pool.shutdown(cancel_futures=True)
                raise
    dvc("repro")


@command_line
def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.repro", description="dvc repro, with trainings side by side."
    )
    parser.add_argument("--jobs", type=int, default=1, help="trainings at a time (1)")
    arguments = parser.parse_args()
    if arguments.jobs < 1:
        raise UserError(f"--jobs: given {arguments.jobs}; allowed: 1 or more")
    reproduce(arguments.jobs)


if __name__ == "__main__":
    main()
