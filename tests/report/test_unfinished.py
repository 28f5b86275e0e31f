"""A report that is rendered during a run shows what is at work; one that is rendered after it does not."""

import pytest

from pipeline.base.files import read_json, write_json
from pipeline.base.schema import dump
from pipeline.runs.checkpoint_schedule import CheckpointSchedule
from pipeline.runs.run import run_cell
from report_project import render, write_project

CELLS = {"full": [10.0, None, None], "multiscale": [None, None, None]}
NAME = "digits/full/seed1"


@pytest.fixture
def rendered(tmp_path, monkeypatch, plan, data):
    """A project, its report while digits/full/seed1 is interrupted after two of its ticks, and the key of that."""
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    project = write_project(tmp_path / "project", CELLS)
    training = plan(seed=1)
    (project / f"plan/train/{NAME}.yaml").write_text(dump(training))
    original = CheckpointSchedule.after_iteration

    def after_iteration(self, outcome):
        self.due = 0.0
        original(self, outcome)
        if outcome.step == 5:
            raise KeyboardInterrupt

    monkeypatch.setattr(CheckpointSchedule, "after_iteration", after_iteration)
    with pytest.raises(KeyboardInterrupt):
        run_cell(training, data=data, out=tmp_path / "runs" / NAME, name=NAME)
    (saved,) = {path.parent.name for path in (tmp_path / ".work").glob("*/step-*.json")}
    return project, render(project), saved


def test_a_training_of_the_plan_is_shown_until_its_result_is_there(rendered):
    project, report, key = rendered
    text = (report / "README.md").read_text()
    assert "## Unfinished trainings" in text and "[Curves of unfinished trainings](figures/unfinished.png)" in text
    table = (report / "tables/unfinished.csv").read_text().splitlines()
    assert len(table) == 2 and table[1].startswith(f"{NAME},interrupted,0.0,0.1,")
    assert (report / "figures/unfinished.png").is_file()
    record = read_json(project / "results/digits/full/seed0/run.json")
    write_json(project / "results" / NAME / "run.json", record | {"key": key})
    assert "Unfinished" not in (render(project) / "README.md").read_text()


def test_a_training_of_another_plan_is_not_shown(rendered):
    project, report, _ = rendered
    plan = project / f"plan/train/{NAME}.yaml"
    plan.write_text(plan.read_text().replace("drift_weight: 0.001", "drift_weight: 0.002"))
    again = render(project)
    assert "Unfinished" not in (again / "README.md").read_text()
    assert "unfinished" not in (again / "index.html").read_text().lower()
