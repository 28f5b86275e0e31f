"""What two runs of one training must have in common."""

from pathlib import Path

from pipeline.runs.unfinished import unfinished


def content(run: Path) -> dict[str, bytes]:
    """The bytes of every file of a run: none depends on when, where and how fast it was made."""
    return {path.name: path.read_bytes() for path in run.iterdir()}


def work_dirs(work: Path) -> list[str]:
    """Names of the work directories in `work`: of trainings that are not complete."""
    return [one.folder.name for one in unfinished(work)]
