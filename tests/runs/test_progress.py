"""What a person sees while a cell trains."""

import io
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from pipeline.base.files import say
from pipeline.runs import checkpoint_schedule as module
from pipeline.runs.checkpoint_schedule import Progress

ROOT = Path(__file__).parent.parent.parent
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def memory(monkeypatch):
    """The process has used 2,048 MiB."""
    monkeypatch.setattr(module, "peak_memory", lambda device: 2048)


@pytest.fixture
def clock(monkeypatch):
    """The time, in a list of one; it stands still unless it is changed."""
    now = [50.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    return now


@pytest.fixture
def run(clock):
    """(seconds between ticks, ticks) -> everything written by a run of 1,000 kimg, 100 kimg a tick."""

    def play(seconds, ticks, sitting=None):
        sitting = sitting or {}
        progress = Progress("digits/full/seed0", stream := io.StringIO())
        progress.start(1000.0, **sitting)
        for tick in range(1, ticks + 1):
            clock[0] += seconds
            progress.tick({"kimg": sitting.get("kimg", 0.0) + tick * 100.0, "wasserstein": 0.125 * tick}, CPU)
        progress.stop("ok")
        return stream.getvalue()

    return play


def test_a_log_gets_a_whole_line_a_tick_without_control_characters(run):
    text = run(30.0, 3)
    assert "\r" not in text and "\x1b" not in text and text.endswith("\n")
    lines = text.splitlines()
    assert len(lines) == 5 and all(line.startswith("train: digits/full/seed0: ") for line in lines)
    assert "1,000.0 kimg" in lines[0] and "ok after 90 s" in lines[-1]


def test_a_line_says_how_far_how_fast_how_long_and_how_much_memory(run):
    line = run(30.0, 2).splitlines()[2]
    # 60 s for 200 of 1,000 kimg: 0.3 s each, 240 s left.
    for part in ("200.0/1,000.0 kimg", "0.30 s/kimg", "4.0 min left", "2,048 MiB", "W 0.25"):
        assert part in line


def test_what_is_left_is_reckoned_from_this_sitting_and_the_time_from_all(run):
    lines = run(30.0, 2, {"kimg": 600.0, "seconds": 5000.0}).splitlines()
    assert "800.0/1,000.0 kimg, 0.30 s/kimg, 1.0 min left" in lines[2] and "ok after 5,060 s" in lines[-1]


def test_a_tick_gives_the_row_of_what_the_machine_did(clock):
    progress = Progress("cell", io.StringIO())
    progress.start(10.0, kimg=2.0, seconds=100.0)
    rows = []
    for seconds, kimg in ((4.0, 3.0), (1.0, 5.0)):
        clock[0] += seconds
        rows.append(progress.tick({"kimg": kimg, "wasserstein": 0.0}, CPU))
    assert rows == [
        {"kimg": 3.0, "seconds": 104.0, "sec_per_kimg": 4.0, "images_per_second": 250.0, "memory_mib": 2048},
        {"kimg": 5.0, "seconds": 105.0, "sec_per_kimg": 0.5, "images_per_second": 2000.0, "memory_mib": 2048},
    ]


def test_the_status_is_the_last_word():
    progress = Progress("cell", stream := io.StringIO())
    progress.start(1.0)
    progress.stop("diverged")
    assert "cell: diverged after" in stream.getvalue().splitlines()[-1]


def test_standard_output_is_the_default(capsys):
    Progress("cell").start(12.0)
    assert capsys.readouterr().out == "train: cell: 12.0 kimg\n"


# ---- nothing about a line decides over a training ----
class Broken(io.StringIO):
    """A stream whose reader is gone, or whose disk is full."""

    def __init__(self, error):
        super().__init__()
        self.error = error

    def write(self, text):
        raise self.error


@pytest.mark.parametrize(
    "error",
    [BrokenPipeError(32, "Broken pipe"), OSError(28, "No space left on device"), OSError(5, "Input/output error")],
    ids=["reader ended", "disk full", "terminal gone"],
)
def test_a_line_that_cannot_be_written_ends_nothing(clock, error):
    progress = Progress("cell", Broken(error))
    progress.start(10.0)
    clock[0] += 1.0
    assert progress.tick({"kimg": 1.0, "wasserstein": 0.0}, CPU)["memory_mib"] == 2048
    progress.stop("ok")


def test_a_closed_stream_and_none_at_all_end_nothing(monkeypatch):
    stream = io.StringIO()
    stream.close()
    Progress("cell", stream).stop("ok")
    monkeypatch.setattr(sys, "stdout", None)
    Progress("cell").start(1.0)
    Progress("cell").stop("ok")


PIECE = """
import sys
from pipeline.base.files import say
say("first")
sys.stdin.readline()
for number in range(3):
    say("more")
open(sys.argv[1], "w").write("done")
"""


@pytest.mark.parametrize("full", [False, True])
def test_a_process_whose_output_is_gone_does_its_work_and_ends_well(tmp_path, full):
    """The last flush of the interpreter would fail too."""
    out = open("/dev/full", "w") if full else subprocess.PIPE  # noqa: SIM115
    command = [sys.executable, "-c", PIECE, str(tmp_path / "file")]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=out, stderr=subprocess.PIPE, text=True)
    if not full:
        assert process.stdout.readline() == "first\n"
        process.stdout.close()
        process.stdout = None
    _, error = process.communicate("go on\n", timeout=120)
    assert (process.returncode, error, (tmp_path / "file").read_text()) == (0, "", "done")


def test_what_an_output_cannot_spell_is_replaced(tmp_path):
    with open(tmp_path / "log", "w", encoding="ascii") as stream:
        say("grün", stream=stream)
    assert (tmp_path / "log").read_text() == "gr?n\n"
