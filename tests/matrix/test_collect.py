"""What git keeps of a cell: which files, where, and nothing left over."""

import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.base.errors import UserError
from pipeline.matrix.collect import collect_cell, collect_reference

CELL = "digits/full/seed0"


@pytest.fixture
def project(tmp_path):
    for name, text in {
        f"measured/{CELL}/metrics.json": "numbers",
        f"measured/{CELL}/protocol.json": "protocol",
        f"measured/{CELL}/sample_size.csv": "sizes",
        f"illustrations/{CELL}/samples.png": "picture",
        f"illustrations/{CELL}/samples.json": "labels",
        f"runs/{CELL}/run.json": "record",
        f"runs/{CELL}/history.csv": "history",
        f"runs/{CELL}/machine.csv": "machine",
        f"runs/{CELL}/generator_ema.safetensors": "weights",
        "reference/digits/known_answers.json": "answers",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def results(folder):
    root = folder / "results"
    return {path.relative_to(root).as_posix(): path.read_text() for path in root.rglob("*") if path.is_file()}


def test_numbers_pictures_and_records_are_copied_and_weights_are_not(project):
    assert collect_cell(CELL, project) == 8
    collect_reference("digits", project)
    assert results(project) == {
        f"{CELL}.json": "numbers",
        f"{CELL}/protocol.json": "protocol",
        f"{CELL}/sample_size.csv": "sizes",
        f"{CELL}/samples.png": "picture",
        f"{CELL}/samples.json": "labels",
        f"{CELL}/run.json": "record",
        f"{CELL}/history.csv": "history",
        f"{CELL}/machine.csv": "machine",
        "digits/reference.json": "answers",
    }


def test_a_picture_that_is_no_longer_drawn_is_removed(project):
    collect_cell(CELL, project)
    (project / "illustrations" / CELL / "samples.png").unlink()
    collect_cell(CELL, project)
    assert f"{CELL}/samples.png" not in results(project)


def test_a_run_that_failed_early_has_fewer_files(project):
    for name in ("history.csv", "machine.csv"):
        (project / "runs" / CELL / name).unlink()
    (project / "measured" / CELL / "sample_size.csv").unlink()
    for path in (project / "illustrations" / CELL).iterdir():
        path.unlink()
    collect_cell(CELL, project)
    assert set(results(project)) == {f"{CELL}.json", f"{CELL}/protocol.json", f"{CELL}/run.json"}


def test_what_is_missing_is_one_line(project):
    with pytest.raises(UserError, match=r"measured/digits/other/seed0/metrics\.json: no such file"):
        collect_cell("digits/other/seed0", project)
    with pytest.raises(UserError, match=r"reference/other/known_answers\.json: no such file"):
        collect_reference("other", project)


def test_nothing_heavy_is_imported():
    """It runs once per cell on every machine: an import of torch alone takes longer than the work."""
    code = "import sys, stages.collect; print({'torch', 'numpy', 'pydantic', 'omegaconf'} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parent.parent.parent,
    )
    assert done.stdout.strip() == "set()"
