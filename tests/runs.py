"""What two runs of one training must have in common."""

from pathlib import Path

from pipeline.runs.work_dirs import entries

DIFFER = ("run.json", "machine.csv")  # hold times and memory


def content(run: Path) -> dict[str, bytes]:
    """The bytes of every file of a run that does not depend on when and how fast it was made."""
    return {path.name: path.read_bytes() for path in run.iterdir() if path.name not in DIFFER}


def work_dirs(work: Path) -> list[str]:
    """Names of the work directories in `work`: of trainings that are not complete."""
    return [entry.folder.name for entry in entries(work)]
