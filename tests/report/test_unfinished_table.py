"""A report that is rendered during a run shows what is at work; one that is rendered after it does not."""

import pytest

from pipeline.base.files import read_json, write_json
from pipeline.base.schema import dump
from pipeline.report.content import Section
from pipeline.report.results import Results
from pipeline.report.unfinished import unfinished_section
from pipeline.runs.checkpoint_schedule import CheckpointSchedule
from pipeline.runs.run import run_cell
from report_project import write_project

CELLS = {"full": [10.0, None, None], "multiscale": [None, None, None]}
NAME = "digits/full/seed1"


@pytest.fixture
def interrupted(tmp_path, monkeypatch, plan, data):
    """A project whose digits/full/seed1 is interrupted after two of its ticks, and the key of that training."""
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
    return project, saved


def shown(project) -> list[Section]:
    return unfinished_section(Results.load(project / "plan", project / "results"), project / "figures", 60)


def test_a_training_of_the_plan_is_shown_until_its_result_is_there(interrupted):
    project, key = interrupted
    (found,) = shown(project)
    text = found.markdown(project, whole=True)
    assert "</a>Unfinished trainings" in text and f"| {NAME} | interrupted | 0.0 | 0.1 |" in text
    assert "Curves of unfinished trainings" in text and (project / "figures/unfinished.png").is_file()
    record = read_json(project / "results/digits/full/seed0/run.json")
    write_json(project / "results" / NAME / "run.json", record | {"key": key})
    assert shown(project) == []


def test_a_training_of_another_plan_is_not_shown(interrupted):
    project, _ = interrupted
    plan = project / f"plan/train/{NAME}.yaml"
    plan.write_text(plan.read_text().replace("drift_weight: 0.001", "drift_weight: 0.002"))
    assert shown(project) == []
