"""Work directories: who holds one, what is listed, what may be removed."""

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from pipeline.base.errors import UserError
from pipeline.base.files import write_json
from pipeline.runs import unfinished as command
from pipeline.runs import work_dirs
from pipeline.runs.checkpoint import save
from pipeline.runs.unfinished import remove, unfinished
from pipeline.runs.work_dirs import held, lock, only_trainer, work_folder, work_root

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.delenv("TRANSGAN_WORK", raising=False)
    return tmp_path / ".work"


@pytest.fixture
def elsewhere(root):
    """(code) -> a process that runs the code in a `with` of its lock until it is killed; returns once it holds it."""
    started = []

    def start(statement: str):
        code = (
            "import sys; from pathlib import Path; from pipeline.runs.work_dirs import *\n"
            f"with {statement}:\n    print('held', flush=True); sys.stdin.read()"
        )
        process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(code)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert process.stdout.readline() == "held\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_the_root_is_what_dvc_names_or_the_current_folder(root, monkeypatch):
    assert work_root() == root
    monkeypatch.delenv("DVC_ROOT")
    assert work_root() == Path(".work")


def test_a_shared_folder_holds_states_and_the_clone_its_own_lock(root, tmp_path, monkeypatch):
    shared = tmp_path / "shared"
    monkeypatch.setenv("TRANSGAN_WORK", str(shared))
    assert work_root() == shared
    with only_trainer(tmp_path / "runs", "cell"), work_folder("abc", "cell", print) as folder:
        assert folder == shared / "abc" and list((root / "cells").glob("*.lock"))
        assert re.fullmatch(rf"process {os.getpid()} on \S+ \(cell\)", work_dirs.holder(folder / "lock"))
        assert unfinished(shared)[0].cell == "cell"


def test_a_relative_shared_folder_is_refused_in_one_line(root, monkeypatch):
    monkeypatch.setenv("TRANSGAN_WORK", "work")
    with pytest.raises(UserError, match="TRANSGAN_WORK: given 'work'; allowed: an absolute path"):
        work_root()


def test_folders_that_hold_no_training_are_not_listed(root):
    for name in ("states", "clones", "jobs", "logs", "cells"):
        (root / name).mkdir(parents=True)
    assert unfinished(root) == []


def test_a_second_trainer_on_a_cell_is_refused_in_one_line_that_names_the_first(root, elsewhere, tmp_path):
    out = tmp_path / "runs/digits/full/seed0"
    process = elsewhere(f"only_trainer(Path({str(out)!r}), 'digits/full/seed0')")
    with (
        pytest.raises(
            UserError, match=rf"seed0: is being trained by process {process.pid} \(digits/full/seed0\); wait .* goes on"
        ) as error,
        only_trainer(out, "again"),
    ):
        pytest.fail("two at once")
    assert "\n" not in str(error.value)
    with only_trainer(tmp_path / "runs/digits/full/seed1", "another cell"):
        pass


def test_the_lock_of_a_killed_process_is_no_obstacle(root, elsewhere, tmp_path):
    process = elsewhere(f"only_trainer(Path({str(tmp_path)!r}), 'cell')")
    process.kill()
    process.wait()
    assert len(list((root / "cells").iterdir())) == 1
    with only_trainer(tmp_path, "cell"):
        pass
    assert not list((root / "cells").iterdir())


def test_another_cell_at_the_same_training_waits_and_then_goes_on(root, elsewhere):
    process, said = elsewhere("work_folder('abc', 'digits/full/seed0', print)"), []

    def say(text):
        said.append(text)
        process.kill()

    with work_folder("abc", "digits/mine/seed0", say) as folder:
        assert (
            folder == root / "abc"
            and held(folder / "lock")
            and work_dirs.holder(folder / "lock") == f"process {os.getpid()} (digits/mine/seed0)"
        )
    assert said == [f"the same training as that of process {process.pid} (digits/full/seed0), which is waited for"]
    assert not held(folder / "lock")


def test_a_lock_whose_directory_was_removed_while_it_was_waited_for_is_taken_anew(root):
    path, first = root / "abc/lock", []

    def vanish(who):
        pytest.fail(who)

    with lock(path, "one", vanish):
        path.unlink()
        with lock(path, "two", vanish):  # the first one's file has no name any more
            first.append(path.read_text())
    assert first == [f"process {os.getpid()} (two)"]


def test_what_a_cut_off_write_left_is_swept(root):
    (root / "abc").mkdir(parents=True)
    (root / "abc/.step-000000001.json.x1.json").write_text("half")
    with work_folder("abc", "cell", print) as folder:
        assert [path.name for path in folder.iterdir()] == ["lock"]


@pytest.fixture
def three(root, elsewhere):
    """aaa1 with a checkpoint and no process, aaa2 without a checkpoint, bbb1 in use."""
    for key in ("aaa1", "aaa2"):
        with work_folder(key, f"digits/{key}/seed0", print) as folder:
            if key == "aaa1":
                save(folder, {"a": 1}, key=key, step=3)
                write_json(folder / "progress.json", {"cell": f"digits/{key}/seed0", "kimg": 1.5})
    return elsewhere("work_folder('bbb1', 'digits/bbb/seed0', print)")


def test_a_list_says_which_cell_how_far_how_large_how_old_and_whether_it_runs(root, three, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["unfinished"])
    command.main()
    lines = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"aaa1: digits/aaa1/seed0  1\.5 kimg  \d s ago  interrupted  0\.0 MiB", lines[0])
    assert "aaa2: digits/aaa2/seed0  0.0 kimg" in lines[1] and lines[1].endswith("interrupted  0.0 MiB")
    assert lines[2].startswith("bbb1: ") and lines[2].endswith(f"at work: process {three.pid}  0.0 MiB")


def test_one_is_removed_by_the_beginning_of_its_key(root, three):
    assert [one.folder.name for one in remove(root, "aaa1")] == ["aaa1"]
    assert sorted(path.name for path in root.iterdir()) == ["aaa2", "bbb1"]


@pytest.mark.parametrize("key", ["aaa", "zzz", ""])
def test_a_key_that_is_not_one_directory_is_refused_with_the_keys_there_are(root, three, key):
    with pytest.raises(UserError, match=rf"given '{key}'; allowed: all, or .* one key: aaa1 \| aaa2 \| bbb1"):
        remove(root, key)
    assert len(list(root.iterdir())) == 3
    with pytest.raises(UserError, match="exactly one key: there are none"):
        remove(root / "empty", key)


def test_one_in_use_is_not_removed_and_all_leaves_it(root, three):
    with pytest.raises(UserError, match=rf"bbb1 is in use by process {three.pid}"):
        remove(root, "bbb1")
    assert [one.folder.name for one in remove(root, "all")] == ["aaa1", "aaa2"]
    assert (root / "bbb1").is_dir()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [([], "aaa1: "), (["--remove", "aaa2"], "-> removed"), (["--remove", "aaa"], "error: --remove")],
)
def test_the_command(root, three, monkeypatch, capsys, arguments, expected):
    monkeypatch.setattr(sys, "argv", ["work", *arguments])
    if expected.startswith("error"):
        with pytest.raises(SystemExit):
            command.main()
    else:
        command.main()
    shown = capsys.readouterr()
    assert expected in shown.out + shown.err and (root / "aaa2").exists() == (arguments != ["--remove", "aaa2"])


@pytest.mark.parametrize(
    ("arguments", "expected"), [([], "no unfinished trainings"), (["--remove", "all"], "nothing to remove")]
)
def test_the_command_where_there_is_nothing(root, monkeypatch, capsys, arguments, expected):
    monkeypatch.setattr(sys, "argv", ["work", *arguments])
    command.main()
    assert expected in capsys.readouterr().out
