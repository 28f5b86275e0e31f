"""Reference lines where the protocol is the paper's and nowhere else; curves and metrics over training."""

import numpy as np
import pandas as pd

from pipeline.report.charts import cost, growth, ranking
from pipeline.report.curves import CURVES, POINTS, _fewer, progress, training_curves
from pipeline.report.drawing import MARKERS, STYLES

FID = "fid50k_train_legacy"


def cells(dataset: str, metric: str) -> pd.DataFrame:
    rows = [
        {"dataset": dataset, "variant": "full", "seed": seed, "status": "ok", "state": "ok", metric: 9.0 + seed}
        for seed in (0, 1)
    ]
    return pd.DataFrame(rows)


def history(folder, text: str, dataset: str = "cifar10", name: str = "history") -> str:
    path = folder / "results" / dataset / f"full/seed0/{name}.csv"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    return str(folder / "results")


def test_the_papers_number_is_a_line_under_its_protocol_alone(tmp_path):
    for dataset, metric, expected in (("cifar10", FID, True), ("cifar10", "fd_cifar10", False), ("digits", FID, False)):
        chart = ranking(cells(dataset, metric), dataset, [metric], 0.95, tmp_path / "ranking.png", 60)
        assert (">paper</text>" in chart.panels[0]) == expected, (dataset, metric)


def test_metrics_over_training_need_two_measurements(tmp_path):
    first = cells("cifar10", FID).head(1)
    results = history(tmp_path, f"kimg,seconds,{FID}\n10,3600,80\n20,7200,\n30,10800,40\n", name="progress")
    chart = progress(first, "cifar10", results, ["full"], "all", tmp_path / "metrics.png", 60)
    assert len(chart.panels) == 2 and f"{FID} (lower is better)" in chart.panels[0]
    assert "kimg" in chart.panels[0] and "hours" in chart.panels[1]
    (tmp_path / "results/cifar10/full/seed0/progress.csv").write_text(f"kimg,seconds,{FID}\n30,1,40\n")
    assert progress(first, "cifar10", results, ["full"], "all", tmp_path / "metrics.png", 60) is None


def drawn(first, results, path):
    return training_curves(first, "digits", results, ["full"], "all", path, 60)


def test_curves_are_the_same_bytes_and_follow_the_theme(tmp_path):
    first = cells("digits", "fd_digits").head(1)
    columns = ["kimg", *CURVES]
    lines = [",".join(map(str, [kimg, *range(1, len(columns))])) for kimg in range(1, 4)]
    results = history(tmp_path, "\n".join([",".join(columns), *lines]) + "\n", "digits")
    one, two = (drawn(first, results, tmp_path / name / "curves.png") for name in ("a", "b"))
    assert one == two and (tmp_path / "a/curves.png").read_bytes() == (tmp_path / "b/curves.png").read_bytes()
    assert len(one.panels) == len(CURVES) and one.legend == [("full", 0)]
    for panel in one.panels:
        assert "var(--ink)" in panel and "var(--series0)" in panel and "#0072b2" not in panel and "#1b1b1b" not in panel


def test_a_curve_that_no_cell_has_gets_no_panel(tmp_path):
    results = history(tmp_path, "kimg,penalty\n1,2\n2,3\n", "digits")
    chart = drawn(cells("digits", "fd_digits").head(1), results, tmp_path / "curves.png")
    assert len(chart.panels) == 1 and "gradient penalty" in chart.alt and "images a second" not in chart.alt


def test_a_spike_of_one_tick_is_not_lost_when_a_curve_is_thinned():
    norms = np.full(4000, 2.0)
    norms[1234] = 174134.0
    shown = _fewer(pd.DataFrame({"kimg": np.arange(4000.0), "gradient_d": norms}), "gradient_d")
    assert len(shown) <= POINTS and shown.gradient_d.max() == 174134.0


def test_kinds_of_attention_differ_without_colour(tmp_path):
    """Every line of the cost charts has a dash pattern or a marker of its own."""
    for chart in (cost(tmp_path / "cost.png", 60), growth(tmp_path / "growth.png", 60)):
        indices = [index for _, index in chart.legend]
        assert [label for label, _ in chart.legend] == ["standard", "nystrom", "axis", "grid"]
        assert len({index % len(STYLES) for index in indices}) == 4
        assert len({MARKERS[index % len(MARKERS)] for index in indices}) == 4


def test_precision_and_recall_are_drawn_from_0_to_1(tmp_path):
    metric = "precision_digits"
    frame = cells("digits", metric)
    frame[metric] = [0.50, 0.51]
    (panel,) = ranking(frame, "digits", [metric], 0.95, tmp_path / "ranking.png", 60).panels
    assert ">0.0<" in panel and ">1.0<" in panel
