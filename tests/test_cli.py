"""The command `transgan`: its table, its help, and that a subcommand gets its own arguments."""

import importlib
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from pipeline import cli
from stages import reference

ROOT = Path(__file__).parent.parent


def transgan(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["transgan", *arguments])
    cli.main()


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_subcommand_exists_and_explains_itself(monkeypatch, capsys, name):
    command = cli.COMMANDS[name]
    with pytest.raises(SystemExit) as end:
        transgan(monkeypatch, name, "--help")
    shown = capsys.readouterr().out
    assert end.value.code in (0, None) and shown.startswith(f"usage: transgan {name} ")
    assert shown.endswith(f"example:\n  transgan {name} {command.example}\n")


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_help_imports_nothing_large(name):
    """Importing torch takes seconds on a slow disk; pandas is half of what help may take."""
    code = f"import sys; sys.argv = ['transgan', {name!r}, '--help']\nfrom pipeline import cli\n"
    code += "try:\n    cli.main()\nexcept SystemExit:\n"
    code += "    assert not {'torch', 'matplotlib', 'scipy', 'pandas'} & set(sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True).returncode == 0


@pytest.mark.parametrize("name", [name for name, command in cli.COMMANDS.items() if not command.anywhere])
def test_outside_a_project_is_one_line(monkeypatch, capsys, tmp_path, name):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):
        transgan(monkeypatch, name, *cli.COMMANDS[name].example.split())
    error = capsys.readouterr().err
    assert error.startswith(f"error: transgan {name}: no project here: {tmp_path}") and error.count("\n") == 1


def test_a_folder_inside_the_project_will_do_and_paths_stay_those_of_the_user(monkeypatch, capsys, tmp_path):
    project = tmp_path / "project"
    (project / "inside/deeper").mkdir(parents=True)
    for name in ("params.yaml", "dvc.yaml"):
        (project / name).symlink_to(ROOT / name)
    if (ROOT / "conf").is_dir():
        (project / "conf").symlink_to(ROOT / "conf")
    monkeypatch.chdir(project / "inside/deeper")
    monkeypatch.setattr("pipeline.base.files._typed_in", None)
    transgan(monkeypatch, "generate", "--pretrained", "digits/full", "--n", "1", "--out", "grid.png")
    assert (project / "inside/deeper/grid.png").is_file()
    monkeypatch.chdir(project / "inside/deeper")
    transgan(monkeypatch, "list", "datasets")
    assert "cifar10" in capsys.readouterr().out


@pytest.mark.parametrize("what", ["variants", "datasets", "networks"])
def test_the_lists_have_a_line_a_name(monkeypatch, capsys, what):
    monkeypatch.chdir(ROOT)
    transgan(monkeypatch, "list", what)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 120
    known = {"variants": "full", "datasets": "cifar10", "networks": "digits/full"}[what]
    assert sum(line.split()[0] == known for line in lines) == 1


def test_the_stage_of_references_prints_a_few_numbers_and_not_every_known_answer(monkeypatch, capsys):
    known = {"accuracy": 0.97, "n_real": 1198, "n_halves": 299} | {f"fd_digits_case{case}": 1.0 for case in range(50)}
    monkeypatch.setattr(reference, "load_stage_plan", lambda *_, **__: (None, "digits", "digits"))
    monkeypatch.setattr(reference, "build_reference", lambda *_, **__: known)
    monkeypatch.setattr(reference, "restore", lambda _: False)
    reference.main()
    assert capsys.readouterr().out == (
        "reference: accuracy 0.97, n_real 1198, n_halves 299, fd_digits_case0 1 -> reference/digits/\n"
    )


@pytest.mark.parametrize("stage", sorted(path.stem for path in (ROOT / "stages").glob("[a-z]*.py")))
def test_the_help_of_a_stage_does_not_run_it(monkeypatch, capsys, stage, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [f"stages/{stage}.py", "--help"])
    with pytest.raises(SystemExit) as end:
        importlib.import_module(f"stages.{stage}").main()
    assert end.value.code == 0 and capsys.readouterr().out.startswith("usage: ") and not list(tmp_path.iterdir())


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
    assert message.startswith("error: transgan: given 'descrieb'; allowed: list | describe | ")
    assert "did you mean 'describe'?" in message


def test_a_subcommand_gets_its_arguments_and_its_errors_are_one_line(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    transgan(monkeypatch, "describe", "--dataset", "digits", "--variant", "full")
    assert capsys.readouterr().out.startswith("digits, full: images of 8 x 8")
    with pytest.raises(SystemExit):
        transgan(monkeypatch, "describe", "--dataset", "digit")
    assert capsys.readouterr().err.startswith("error: conf/: dataset: given 'digit'")
    with pytest.raises(SystemExit) as end:
        transgan(monkeypatch, "describe", "--datset", "digits")
    (line,) = capsys.readouterr().err.splitlines()
    assert end.value.code == 1 and line.startswith("error: transgan describe: ") and "required: --dataset;" in line


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
