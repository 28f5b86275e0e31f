"""What `make repro` shows: a line an event, on a terminal one for the whole, and the time left."""

import io
import json
import shutil
import time

import pytest
from rich.console import Console

from pipeline.base.cell import Cell
from pipeline.matrix.repro import OVERHEAD, REPORT, Board
from pipeline.matrix.units import State, Unit

A, B = (Unit((Cell("digits", name, 0),), kimg=40.0) for name in "ab")
TWINS = Unit((Cell("digits", "c", 0), Cell("digits", "twin", 0)))  # imported, and its copy


@pytest.fixture(autouse=True)
def work(tmp_path, monkeypatch):
    """The work folder: a training of digits/a/seed0, 10 of 40 kimg."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRANSGAN_WORK", str(tmp_path))
    (tmp_path / "key").mkdir()
    (tmp_path / "key/lock").touch()
    seen = {"cell": "digits/a/seed0", "kimg": 10.0, "planned": 40.0, "seconds_per_kimg": 6.0, "seconds_left": 180.0}
    (tmp_path / "key/progress.json").write_text(json.dumps(seen | {"updated": time.time()}))


def board(*units: Unit, terminal: bool = False, slots: int = 1, trained: tuple[Unit, ...] = ()) -> Board:
    console = Console(file=io.StringIO(), force_terminal=terminal, width=120, soft_wrap=True)
    return Board(list(units or (A, B, TWINS)), slots, trained, console)


def record(folder, unit: Unit, seconds: float) -> None:
    """What git holds of the unit's training."""
    path = folder / "results" / str(unit.cells[0]) / "run.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"seconds": seconds}))


def shown(one: Board) -> str:
    return one.console.file.getvalue()


def test_a_log_has_a_line_for_each_event():
    one = board(slots=2)
    one.event(A, State.RUNNING)
    one.event(A, State.DONE, "fd_digits 49.2")
    first, last = shown(one).splitlines()
    assert first == "repro: digits/a/seed0: begins"
    assert last.startswith("repro: digits/a/seed0: done, fd_digits 49.2 (1 of 3 trainings, 50 % trained, about ")


def test_a_terminal_has_a_line_for_the_whole_that_is_kept_up():
    one = board(terminal=True)
    with one.live:
        one.event(A, State.RUNNING)
        one.event(TWINS, State.RUNNING)
    assert "total: 0 of 3 trainings, 12 % trained, about 9 min left; each training: make watch TEXT=1" in shown(one)


def test_what_is_left_counts_every_stage_and_every_unit():
    one = board()
    one.event(A, State.RUNNING)
    one.total()
    # 30 kimg of a and 40 of b at 6 s each; four cells outside their training; the report.
    assert one.seconds_left() == pytest.approx(70 * 6 + 4 * OVERHEAD + REPORT)
    one.event(A, State.DONE)
    assert one.seconds_left() == pytest.approx(40 * 6 + 3 * OVERHEAD + REPORT)


def test_rows_that_took_longer_on_the_machine_of_the_record_are_expected_to_take_longer(tmp_path):
    record(tmp_path, A, 120.0)
    record(tmp_path, B, 480.0)
    one = board(A, B, slots=2)
    one.event(A, State.RUNNING)
    one.total()
    # 60 s of a quarter of a's 120 s: half the record's pace.
    assert one.seconds_left() == pytest.approx((0.75 * 120 + 480) * 2 / 2 + 2 * OVERHEAD / 2 + REPORT)


def test_before_anything_is_timed_the_records_say_what_is_left(tmp_path):
    assert board(TWINS).seconds_left() is None
    record(tmp_path, B, 480.0)
    assert board(B).seconds_left() == 480 + OVERHEAD + REPORT


def test_a_training_that_is_up_to_date_takes_no_time(tmp_path):
    record(tmp_path, A, 120.0)
    record(tmp_path, B, 480.0)
    one = board(A, B, trained=(B,))
    assert str(one).startswith("0 of 2 trainings, 50 % trained") and one.seconds_left() == 120 + 2 * OVERHEAD + REPORT


def test_a_training_that_has_ended_is_whole_while_the_cell_is_measured(tmp_path):
    one = board()
    one.event(A, State.RUNNING)
    shutil.rmtree(tmp_path / "key")  # as a training does at its end
    one.total()
    assert one.rows["digits/a/seed0"].share == 1 and one.rows["digits/a/seed0"].seconds == 240.0
