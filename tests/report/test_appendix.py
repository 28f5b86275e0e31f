"""Tables about the results: cost, settings."""

import json

from pipeline.report.appendix import settings as settings_table
from pipeline.report.cost import cost
from pipeline.report.published import published_runs
from pipeline.report.results import Results


def test_a_geometry_that_only_a_published_run_has_trained_has_its_cost(project, tmp_path):
    run = tmp_path / "published/faces"
    run.mkdir(parents=True)
    records = {f"faces/full/seed{k}": {"kimg": 10.0, "seconds": 500.0 + 100 * k, "device": "a card"} for k in (1, 2)}
    (run / "run.json").write_text(json.dumps({"cells": records}))
    results = Results.load(project / "plan", project / "results")
    table = cost(results, [run.results for run in published_runs(tmp_path / "published")]).frame.set_index("geometry")
    assert table["measured: s/kimg"]["Faces 32 (CelebA)"] == "60 to 70"
    assert table.hardware["Faces 32 (CelebA)"] == "a card" and table["measured: s/kimg"]["CIFAR-10"] == "not run"
    assert table["measured: s/kimg"]["Digits 8 (demo)"] == "37.5"


def test_the_settings_of_an_experiment_are_in_its_report(tmp_path):
    for name, text in (("variant/mine", "train: {loss: hinge}"), ("variant/other", "a: 1"), ("dataset/digits", "b: 2")):
        file = tmp_path / f"conf/{name}.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"# @package _global_\n{text}\n")
    params = {"profile": "demo", "matrix": {"variants": ["mine"], "datasets": ["digits"]}, "model": {"norm": "token"}}
    table = settings_table(params | {"report": {"dpi": 1}, "conf": str(tmp_path / "conf")}).frame.set_index("key").value
    assert table["model.norm"] == "token" and table["conf/variant/mine.yaml:train.loss"] == "hinge"
    assert table["conf/dataset/digits.yaml:b"] == "2" and not any("other" in k or "dpi" in k for k in table.index)
