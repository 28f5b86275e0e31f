"""The command `transgan`: its table, its help, and that a subcommand gets its own arguments."""

import importlib
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from pipeline import cli

ROOT = Path(__file__).parent.parent


def transgan(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["transgan", *arguments])
    cli.main()


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_subcommand_exists_and_explains_itself(monkeypatch, capsys, name):
    command = cli.COMMANDS[name]
    assert callable(getattr(importlib.import_module(command.module), command.main))
    with pytest.raises(SystemExit) as end:
        transgan(monkeypatch, name, "--help")
    assert end.value.code in (0, None) and "usage:" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_the_help_names_every_subcommand(monkeypatch, capsys, arguments):
    transgan(monkeypatch, *arguments)
    shown = capsys.readouterr().out
    assert all(f"  {name} " in shown and command.help in shown for name, command in cli.COMMANDS.items())


def test_a_near_miss_is_one_line(monkeypatch, capsys):
    with pytest.raises(SystemExit) as end:
        transgan(monkeypatch, "descrieb")
    message = capsys.readouterr().err
    assert end.value.code == 1 and len(message.splitlines()) == 1
    assert message.startswith("error: transgan: given 'descrieb'; allowed: describe | ")
    assert "did you mean 'describe'?" in message


def test_a_subcommand_gets_its_arguments_and_its_errors_are_one_line(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    transgan(monkeypatch, "describe", "--dataset", "digits", "--variant", "full")
    assert capsys.readouterr().out.startswith("digits, full: images of 8 x 8")
    with pytest.raises(SystemExit):
        transgan(monkeypatch, "describe", "--dataset", "digit")
    assert capsys.readouterr().err.startswith("error: params.yaml: datasets: given 'digit'")


def test_help_imports_no_subcommand():
    code = (
        "import sys; sys.argv = ['transgan']; from pipeline import cli; cli.main(); assert 'torch' not in sys.modules"
    )
    assert (
        "usage: transgan"
        in subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    )


def test_the_installed_command_is_this_one():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["scripts"] == {"transgan": "pipeline.cli:main"} and project["name"] == cli.DISTRIBUTION
