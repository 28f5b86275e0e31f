"""The files of docs/cluster: syntax, and that what they call exists."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from pipeline.cli import COMMANDS
from pipeline.matrix import worker

RECIPES = Path(__file__).parent.parent.parent.parent / "docs/cluster"
SKYPILOT_KEYS = {"name", "workdir", "resources", "envs", "file_mounts", "setup", "run", "num_nodes", "service"}


def test_the_skypilot_recipe_has_known_keys_and_its_scripts_parse():
    task = yaml.safe_load((RECIPES / "skypilot.yaml").read_text())
    assert set(task) <= SKYPILOT_KEYS and task["resources"]["accelerators"]
    for script in (task["setup"], task["run"]):
        subprocess.run(["bash", "-n"], input=script, text=True, check=True)
    used = set(re.findall(r"\$([A-Z]+)", task["setup"] + task["run"]))
    assert used == set(task["envs"])


def test_the_ssh_recipe_parses():
    subprocess.run(["sh", "-n", str(RECIPES / "ssh.sh")], check=True)


def test_the_ssh_recipe_gives_each_cell_to_one_host(tmp_path):
    """Run, with an ssh that writes down what it was asked for."""
    (tmp_path / "ssh").write_text('#!/bin/sh\nshift 2\necho "$@" >> "$RECORD"\nsleep 0.05\n')
    (tmp_path / "ssh").chmod(0o755)
    cells = [f"digits/full/seed{seed}" for seed in range(6)]
    (tmp_path / "cells.txt").write_text("".join(f"{cell}\n" for cell in cells))
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "RECORD": str(tmp_path / "record")}
    command = ["sh", str(RECIPES / "ssh.sh"), str(tmp_path / "cells.txt"), "h1", "h2"]
    subprocess.run(command, env=environment, cwd=RECIPES, check=True, timeout=60)
    asked = (tmp_path / "record").read_text().splitlines()
    assert sorted(re.search(r"--cell (\S+)", line)[1] for line in asked) == cells
    assert {line.split()[0] for line in asked} == {"h1", "h2"}


def test_a_host_that_cannot_be_reached_takes_no_cells_and_a_failed_one_is_said(tmp_path):
    (tmp_path / "ssh").write_text(
        '#!/bin/sh\n[ "$3" = gone ] && exit 255\necho "$@" >> "$RECORD"\ncase "$*" in *seed1*) exit 1;; esac\n'
    )
    (tmp_path / "ssh").chmod(0o755)
    cells = [f"digits/full/seed{seed}" for seed in range(4)]
    (tmp_path / "cells.txt").write_text("\n".join(cells))  # no newline after the last
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "RECORD": str(tmp_path / "record")}

    def run(*hosts):
        command = ["sh", str(RECIPES / "ssh.sh"), str(tmp_path / "cells.txt"), *hosts]
        return subprocess.run(command, env=environment, cwd=RECIPES, capture_output=True, text=True, timeout=60)

    done = run("gone")
    assert done.returncode == 1 and "gone cannot be reached" in done.stderr
    assert all(f"not begun: {cell}" in done.stderr for cell in cells) and not (tmp_path / "record").exists()
    done = run("there")
    assert done.returncode == 1 and "failed: digits/full/seed1 on there" in done.stderr
    asked = (tmp_path / "record").read_text()
    assert all(f"--cell {cell}" in asked for cell in cells)


@pytest.mark.parametrize("recipe", ["skypilot.yaml", "ssh.sh"])
def test_the_options_of_the_worker_exist(recipe):
    text = (RECIPES / recipe).read_text()
    called = re.findall(r"transgan worker ([^\"'\n|]*)", text)
    options = {option for call in called for option in re.findall(r"--[a-z-]+", call)}
    known = {f"--{name.replace('_', '-')}" for name in vars(worker.parse(["--cell", "a/b/seed0"]))}
    assert "worker" in COMMANDS and options and options <= known
