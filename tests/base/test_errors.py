"""What a user can mend ends in one line, whatever the command was doing."""

import errno
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.base.errors import UserError, amount, command_line

ROOT = Path(__file__).parent.parent.parent


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (UserError("no such run"), 1, "error: no such run"),
        (OSError(errno.ENOSPC, "No space left on device", "/data/x"), 1, "error: /data/x: No space left on device"),
        (OSError("cannot\nwrite"), 1, "error: cannot write"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
)
def test_errors_of_users_and_of_the_file_system_are_one_line(capsys, error, status, line):
    @command_line
    def main():
        raise error

    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == status and capsys.readouterr().err == f"{line}\n"


def test_an_amount_is_in_the_nouns_own_number():
    assert [amount(count, "training") for count in (0, 1, 2000)] == ["0 trainings", "1 training", "2,000 trainings"]


def test_a_mistake_of_the_program_keeps_its_traceback():
    @command_line
    def main():
        raise ValueError("a bug")

    with pytest.raises(ValueError, match="a bug"):
        main()


@pytest.mark.parametrize(("output", "status"), [("| head -1", 141), ("> /dev/full", 1)])
def test_output_that_nobody_takes_is_no_traceback(output, status):
    code = "from pipeline.base.errors import command_line; command_line(lambda: print('line\\n' * 100000))()"
    shell = f'set -o pipefail; "{sys.executable}" -c "{code}" {output}'
    done = subprocess.run(["bash", "-c", shell], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == status and "Traceback" not in done.stderr and "Exception" not in done.stderr
