"""CONTRIBUTING.md holds: a family, an objective, a metric are one file and one line each, and nothing trains again."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from pipeline.plan.planning import write_plan
from settings_files import copy_settings, edit_settings

ROOT = Path(__file__).parent.parent
EXAMPLES = Path(__file__).parent / "contributed"
FAMILIES, OBJECTIVES = "pipeline/networks/families.py", "pipeline/training/config.py"
METRICS = "pipeline/metrics/registry.py"
NEW_FILES = {
    "mlp.py": "pipeline/networks/mlp.py",
    "least_squares.py": "pipeline/training/least_squares.py",
    "logit_drift.py": "pipeline/training/logit_drift.py",
    "mean_shift.py": "pipeline/metrics/mean_shift.py",
}
NEW_LINES = {
    FAMILIES: ("FAMILIES = {\n", '    "mlp": "pipeline.networks.mlp",\n'),
    OBJECTIVES: ("LOSSES = {\n", '    "least_squares": "pipeline.training.least_squares:LEAST_SQUARES",\n'),
    METRICS: ("METRICS = {\n", '    "shift<n>_digits": ("pipeline.metrics.mean_shift:MEAN_SHIFT", DIGITS, "test"),\n'),
}
PENALTY_LINE = ("PENALTIES = {\n", '    "logit_drift": "pipeline.training.logit_drift:LOGIT_DRIFT",\n')
VARIANT = {
    "model": {
        "generator": {"family": "mlp", "mlp": {"hidden": 32, "noise_dim": 8}},
        "discriminator": {"family": "mlp", "mlp": {"hidden": 16, "leak": 0.2}},
    },
    "train": {
        "loss": "least_squares",
        "penalty": "logit_drift",
        "kimg": None,
        "generator_steps": 2,
        "snapshot_images": 4,
        "weight_snapshots": 0,
    },
}
# In a process of its own: the project it imports is the copy.
USE = """
import sys
from pathlib import Path
import numpy as np, torch
import pipeline
from pipeline.plan.planning import write_plan
from pipeline.base.schema import bind, read_yaml
from pipeline.metrics.config import MeasurePlan
from pipeline.metrics.extractors.extractor import Features
from pipeline.metrics.registry import column
from pipeline.metrics.suite import measure
from pipeline.training.config import TrainPlan
from pipeline.training.loop import Observer, train

assert Path(pipeline.__file__).parent.parent == Path.cwd()
write_plan()
name = "plan/train/digits/perceptrons/seed1.yaml"
plan = bind(TrainPlan, read_yaml(name), file=name)
images = np.random.default_rng(0).integers(0, 256, (128, 1, 8, 8), dtype=np.uint8)
outcome = train(plan, images, torch.device("cpu"), Observer())
torch.manual_seed(plan.seed)
fresh = type(outcome.networks.generator)(plan.network).state_dict()
moved = [name for name, value in outcome.networks.generator.state_dict().items() if not torch.equal(value, fresh[name])]
print(outcome.status, outcome.step, *sorted(moved))

name = "plan/measure/digits/perceptrons/seed1.yaml"
plan = bind(MeasurePlan, read_yaml(name) | {"metrics": ["shift50_digits"]}, file=name)
real = {("digits_classifier", "test"): Features(np.zeros((60, 4)))}
values, _ = measure(plan, real, {"digits_classifier": Features(np.full((50, 4), 3.0))})
print(values, column("shift50_digits"))
"""


def plan_files(folder: Path) -> dict[str, bytes]:
    """What the plan of `folder` holds by name, the index of all cells apart."""
    paths = (path for path in (folder / "plan").rglob("*.yaml"))
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


@pytest.fixture(scope="module")
def extended(tmp_path_factory):
    """A copy of the project after the additions: its plan files before and after, and what the new training printed."""
    folder = tmp_path_factory.mktemp("project")
    shutil.copytree(ROOT / "pipeline", folder / "pipeline", ignore=shutil.ignore_patterns("__pycache__"))
    copy_settings(folder, {"matrix.datasets": ["digits"], "matrix.seeds": [1]})
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_plan()
    before = plan_files(folder)
    for example, place in NEW_FILES.items():
        shutil.copyfile(EXAMPLES / example, folder / place)
    for file, (after, line) in [*NEW_LINES.items(), (OBJECTIVES, PENALTY_LINE)]:
        text = (folder / file).read_text()
        assert text.count(after) == 1
        (folder / file).write_text(text.replace(after, after + line))
    rows = yaml.safe_load((folder / "params.yaml").read_text())["matrix"]["variants"]
    edit_settings(folder, {"conf/variant/perceptrons.yaml:": VARIANT, "matrix.variants": [*rows, "perceptrons"]})
    done = subprocess.run(
        [sys.executable, "-c", USE],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return before, plan_files(folder), done.stdout


def test_a_family_and_an_objective_are_a_file_and_a_line_each_and_train(extended):
    status, steps, *moved = extended[2].splitlines()[0].split()
    assert (status, steps) == ("ok", "2")
    assert moved == ["first.bias", "first.weight", "last.bias", "last.weight"]


def test_a_metric_is_a_file_and_a_line_has_a_name_with_its_count_and_a_column_of_the_report(extended):
    values = "{'shift50_digits': 6.0} Column(label='distance between the mean features', lower=True)"
    assert extended[2].splitlines()[1] == values


def test_no_other_training_runs_again(extended):
    """The plan files of all other cells are the same bytes."""
    before, after, _ = extended
    assert len(before) > 20
    assert {name: after[name] for name in before} == before


def test_the_plan_of_the_new_cell_names_the_new_modules_and_no_other_family(extended):
    _, after, _ = extended
    code = yaml.safe_load(after["plan/train/digits/perceptrons/seed1.yaml"])["code"]
    assert {"pipeline.networks.mlp", "pipeline.training.least_squares", "pipeline.training.logit_drift"} <= code.keys()
    assert not [name for name in code if name.count(".") > 2 and name.startswith("pipeline.networks")]
    others = [yaml.safe_load(text).get("code", {}) for name, text in after.items() if "perceptrons" not in name]
    assert not any("mlp" in module or "least_squares" in module for code in others for module in code)
