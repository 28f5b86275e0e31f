"""Reference lines appear where the protocol is the paper's and nowhere else; metrics over training where there are any."""

import pandas as pd

from pipeline.report.charts import CURVES, curves, metric_history, ranking

FID = "fid50k_train_legacy"


def cells(dataset: str, metric: str) -> pd.DataFrame:
    rows = [{"dataset": dataset, "variant": "full", "seed": seed, "status": "ok", "state": "ok", metric: 9.0 + seed} for seed in (0, 1)]
    return pd.DataFrame(rows)


def history(folder, text: str, dataset: str = "cifar10") -> str:
    path = folder / "results" / dataset / "full/seed0/history.csv"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    return str(folder / "results")


def test_the_papers_number_is_a_line_under_its_protocol_alone(tmp_path):
    for dataset, metric, expected in (("cifar10", FID, True), ("cifar10", "fd_cifar10", False), ("digits", FID, False)):
        chart = ranking(cells(dataset, metric), dataset, [metric], 0.95, tmp_path / "ranking.png", 60)
        assert (">paper</text>" in chart.panels[0]) == expected, (dataset, metric)


def test_metrics_over_training_need_two_measurements(tmp_path):
    first = cells("cifar10", FID).head(1)
    results = history(tmp_path, f"kimg,penalty,{FID}\n10,1,80\n20,1,\n30,1,40\n")
    chart = metric_history(first, "cifar10", results, tmp_path / "metrics.png", 60)
    assert len(chart.panels) == 1 and f"{FID} (lower is better)" in chart.panels[0] and "kimg" in chart.panels[0]
    (tmp_path / "results/cifar10/full/seed0/history.csv").write_text(f"kimg,penalty,{FID}\n10,1,\n30,1,40\n")
    assert metric_history(first, "cifar10", results, tmp_path / "metrics.png", 60) is None


def test_curves_are_the_same_bytes_and_follow_the_theme(tmp_path):
    first = cells("digits", "fd_digits").head(1)
    results = history(tmp_path, "kimg," + ",".join(CURVES) + "\n" + "\n".join(f"{k}," + ",".join(map(str, range(1, len(CURVES) + 1))) for k in range(1, 4)) + "\n", "digits")
    one, two = (curves(first, "digits", results, tmp_path / name / "curves.png", 60) for name in ("a", "b"))
    assert one == two and (tmp_path / "a/curves.png").read_bytes() == (tmp_path / "b/curves.png").read_bytes()
    assert len(one.panels) == len(CURVES) and one.legend == [("full", 0)]
    for panel in one.panels:
        assert "var(--ink)" in panel and "var(--series0)" in panel and "#0072b2" not in panel and "#1b1b1b" not in panel


def test_a_curve_that_no_cell_has_gets_no_panel(tmp_path):
    results = history(tmp_path, "kimg,penalty\n1,2\n2,3\n", "digits")
    chart = curves(cells("digits", "fd_digits").head(1), "digits", results, tmp_path / "curves.png", 60)
    assert len(chart.panels) == 1 and "gradient penalty" in chart.alt and "images a second" not in chart.alt
