"""A job: units handed to an engine, and the command that a node runs for one of them."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.matrix.cluster.units import Unit


@dataclass(frozen=True)
class Job:
    """What an engine needs to know."""

    folder: Path  # scripts and logs
    root: Path  # the head's repository, which workers clone
    work: Path  # TRANSGAN_WORK
    revision: str
    units: list[Unit]
    clones: str | None = None
    gpus: int = 1  # per process of a training
    other_libraries: bool = False
    python: str = sys.executable

    def options(self) -> list[str]:
        """The worker's options but for --cell."""
        return [
            *("--revision", self.revision),
            *("--source", str(self.root)),
            *(["--clones", self.clones] if self.clones else []),
            *(["--other-libraries"] if self.other_libraries else []),
        ]

    def command(self, cell: str) -> list[str]:
        """The command of one cell's worker, to be run in `root`."""
        return [self.python, "-m", "pipeline.matrix.cluster.worker", "--cell", cell, *self.options()]

    def describe(self) -> dict[str, Any]:
        """What job.json says."""
        return {
            "revision": self.revision,
            "root": str(self.root),
            "work": str(self.work),
            "units": [list(unit.cells) for unit in self.units],
        }
