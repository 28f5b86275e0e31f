"""What git keeps of a cell and of the matrix: which files, where, and nothing left over."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.base.cell import Cell
from pipeline.base.errors import UserError
from pipeline.matrix.collect import collect_cell, collect_reference, summarise

CELL = Cell("digits", "full", 0)
RUN = {"status": "ok", "key": "abc"}


def write(root: Path, files: dict[str, object]) -> None:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content if isinstance(content, str) else json.dumps(content))


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.setenv("TRANSGAN_WORK", str(tmp_path / ".work"))
    files = {
        f"measured/{CELL}/metrics.json": {"status": "ok", "kimg": 40.0, "fd_digits": 49.80067865964088},
        f"measured/{CELL}/protocol.json": {"metrics": {"fd_digits": {}}},
        f"measured/{CELL}/progress.csv": "curve",
        f"illustrations/{CELL}/samples.png": "picture",
        f"illustrations/{CELL}/samples.json": "labels",
        f"runs/{CELL}/run.json": RUN,
        f"runs/{CELL}/history.csv": "history",
        f"runs/{CELL}/generator_ema.safetensors": "weights",
        ".work/records/abc/record.json": {"seconds": 3.0, "device": "a processor"},
        ".work/records/abc/machine.csv": "machine",
        "reference/digits/known_answers.json": {"accuracy": 0.99442896935},
    }
    write(tmp_path, files)
    return tmp_path


def results(folder: Path) -> dict[str, str]:
    root = folder / "results"
    return {path.relative_to(root).as_posix(): path.read_text() for path in root.rglob("*") if path.is_file()}


def test_numbers_pictures_and_records_are_copied_and_weights_are_not(project):
    assert collect_cell(CELL, project) == 8
    collect_reference("digits", project)
    found = results(project)
    assert json.loads(found.pop(f"{CELL}.json"))["fd_digits"] == 49.80068  # what one kind of machine agrees on
    assert json.loads(found.pop("digits/reference.json")) == {"accuracy": 0.994429}
    assert json.loads(found.pop(f"{CELL}/run.json")) == RUN | {"seconds": 3.0, "device": "a processor"}
    assert found.pop(f"{CELL}/protocol.json")
    assert found == {
        f"{CELL}/progress.csv": "curve",
        f"{CELL}/samples.png": "picture",
        f"{CELL}/samples.json": "labels",
        f"{CELL}/history.csv": "history",
        f"{CELL}/machine.csv": "machine",
    }


def test_the_record_of_the_same_training_is_kept_so_that_git_shows_no_change(project):
    collect_cell(CELL, project)
    before = results(project)
    write(project, {".work/records/abc/record.json": {"seconds": 5.0}, ".work/records/abc/machine.csv": "slower"})
    collect_cell(CELL, project)
    assert results(project) == before


def test_another_training_has_its_own_record_and_none_that_is_not_its(project):
    collect_cell(CELL, project)
    write(project, {f"runs/{CELL}/run.json": RUN | {"key": "def"}, ".work/records/def/record.json": {"seconds": 9.0}})
    collect_cell(CELL, project)
    assert json.loads(results(project)[f"{CELL}/run.json"]) == RUN | {"key": "def", "seconds": 9.0}
    write(project, {f"runs/{CELL}/run.json": RUN | {"key": "elsewhere"}})  # trained on another machine, pulled
    collect_cell(CELL, project)
    assert json.loads(results(project)[f"{CELL}/run.json"]) == RUN | {"key": "elsewhere"}
    assert f"{CELL}/machine.csv" not in results(project)


def test_what_is_no_longer_made_is_removed_and_a_run_that_failed_early_has_fewer_files(project):
    collect_cell(CELL, project)
    for path in (
        project / f"runs/{CELL}/history.csv",
        project / f"measured/{CELL}/progress.csv",
        *(project / f"illustrations/{CELL}").iterdir(),
    ):
        path.unlink()
    collect_cell(CELL, project)
    kept = {f"{CELL}.json", *(f"{CELL}/{name}" for name in ("protocol.json", "run.json", "machine.csv"))}
    assert set(results(project)) == kept


def test_what_is_missing_is_one_line(project):
    with pytest.raises(UserError, match=r"measured/digits/other/seed0/metrics\.json: no such file"):
        collect_cell(Cell("digits", "other", 0), project)
    with pytest.raises(UserError, match=r"reference/other/known_answers\.json: no such file"):
        collect_reference("other", project)


def index(root: Path, *cells: Cell) -> None:
    content = {"datasets": sorted({cell.dataset for cell in cells}), "cells": [vars(cell) for cell in cells]}
    write(root, {"plan/index.json": content})


def test_the_summary_is_the_mean_of_the_first_metric_by_row_and_its_curve(project):
    cells = [CELL, Cell("digits", "full", 1), Cell("digits", "oom", 0)]
    index(project, *cells)
    for cell, value in zip(cells, (49.8, 50.1, None), strict=True):
        numbers = {"status": "ok", "kimg": 40.0} | ({"fd_digits": value, "kd_digits": 3.0} if value else {})
        write(project, {f"measured/{cell}/metrics.json": numbers})
        write(project, {f"measured/{cell}/protocol.json": {"metrics": {"fd_digits": {}, "kd_digits": {}}}})
    write(project, {f"measured/{CELL}/progress.csv": "kimg,seconds,fd_digits\n10.0,3.0,99.5\n"})
    assert summarise(project) == {"metric": "fd_digits", "full": 49.95}
    assert json.loads(results(project)["summary.json"]) == {"metric": "fd_digits", "full": 49.95}
    assert results(project)["curves.csv"] == "row,kimg,distance\nfull,10,99.5\nfull,40,49.95\n"


def test_rows_of_several_data_sets_are_told_apart_and_a_curve_may_have_fewer_samples(project):
    other = Cell("faces", "full", 0)
    index(project, CELL, other)
    write(project, {f"measured/{other}/metrics.json": {"status": "ok", "kimg": 2.0, "kid2k": 0.5}})
    write(project, {f"measured/{other}/protocol.json": {"metrics": {"kid2k": {}}}})
    write(project, {f"measured/{other}/progress.csv": "kimg,seconds,kid500\n1.0,3.0,0.75\n"})
    assert summarise(project) == {"metric": "fd_digits, kid2k", "digits/full": 49.8, "faces/full": 0.5}
    assert "faces/full,1,0.75\nfaces/full,2,0.5\n" in results(project)["curves.csv"]


def test_nothing_heavy_is_imported():
    """It runs once per cell on every machine: an import of torch alone takes longer than the work."""
    code = "import sys, stages.collect, stages.summary; print({'torch', 'numpy', 'pydantic', 'dvc'} & set(sys.modules))"
    root = Path(__file__).parent.parent.parent
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    assert done.stdout.strip() == "set()"
