"""What `make repro` shows: a line a cell on a terminal, a line an event in a log."""

import io
import json
import time

import pytest

from pipeline.matrix.board import Board, describe


class Stream(io.StringIO):
    def __init__(self, terminal):
        super().__init__()
        self.terminal = terminal

    def isatty(self):
        return self.terminal


@pytest.fixture(autouse=True)
def work(tmp_path, monkeypatch):
    """The work folder: a training of digits/a/seed0, 10 of 40 kimg."""
    monkeypatch.setenv("TRANSGAN_WORK", str(tmp_path))
    (tmp_path / "key").mkdir()
    seen = {"cell": "digits/a/seed0", "kimg": 10.0, "of": 40.0, "s_per_kimg": 6.0, "seconds_left": 180.0}
    (tmp_path / "key/progress.json").write_text(json.dumps(seen | {"updated": time.time()}))


def board(terminal: bool, places: int = 1) -> Board:
    return Board({"digits/a/seed0": 40.0, "digits/b/seed0": 40.0, "digits/twin/seed0": 0.0}, places, Stream(terminal))


def test_a_log_has_a_line_for_each_event_and_none_for_stages_between():
    one = board(terminal=False)
    for state in ("train", "measure", "illustrate"):
        one.event("digits/a/seed0", state)
        one.refresh()
    one.event("digits/a/seed0", "done", "fd_digits 49.2")
    assert one.stream.getvalue().splitlines() == [
        "repro: digits/a/seed0: begins",
        "repro: digits/a/seed0: done, fd_digits 49.2 (1 of 3 cells, 50 % trained, about 4 min left)",
    ]


def test_a_terminal_has_a_line_a_cell_and_the_whole():
    one = board(terminal=True)
    one.event("digits/a/seed0", "train")
    one.refresh()
    lines = one.lines(24)
    assert len(lines) == 4 and "10.0/40.0 kimg" in lines[0] and "6.00 s/kimg" in lines[0] and "3.0 min left" in lines[0]
    assert "waiting" in lines[1] and "as its twin" in lines[2]
    # 30 kimg of a and 40 of b are left, at 6 s each, one at a time
    assert lines[3] == "total: 0 of 3 cells, 12 % trained, about 7 min left"


def test_the_picture_is_renewed_in_its_place():
    one = board(terminal=True)
    one.refresh()
    before = one.stream.getvalue()
    one.refresh()
    assert one.stream.getvalue()[len(before) :].startswith("\x1b[4A")


def test_places_share_what_is_left():
    one = board(terminal=False, places=2)
    one.event("digits/a/seed0", "train")
    one.refresh()
    assert one.seconds_left() == pytest.approx(70 * 6 / 2)


def test_where_cells_do_not_fit_those_at_work_are_shown():
    one = Board({f"digits/a/seed{seed}": 1.0 for seed in range(100)}, 1, Stream(True))
    one.event("digits/a/seed70", "train")
    one.event("digits/a/seed71", "failed", "no space left")
    lines = one.lines(10)
    assert len(lines) == 10 and "seed70" in lines[0] and "seed71" in lines[1] and "no space left" in lines[1]


def test_a_result_stands_behind_its_cell():
    one = board(terminal=False)
    one.event("digits/a/seed0", "done", "fd_digits 49.2")
    assert describe(one.rows["digits/a/seed0"]).endswith("40.0/40.0 kimg  fd_digits 49.2")


def test_a_training_that_has_ended_is_whole_while_the_cell_is_measured():
    one = board(terminal=False)
    one.event("digits/a/seed0", "train")
    one.refresh()
    one.event("digits/a/seed0", "measure")
    one.refresh()
    assert one.rows["digits/a/seed0"].reached == 40.0
