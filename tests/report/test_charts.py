"""Reference lines where the protocol is the paper's and nowhere else; curves and metrics over training."""

from contextlib import contextmanager

import numpy as np
import pandas as pd
import pytest
from matplotlib import rc_context, style
from matplotlib.figure import Figure
from PIL import Image

from pipeline.report import charts, cost, drawing
from pipeline.report.charts import CURVES, papers_number, progress, training_curves
from pipeline.report.drawing import BLOCKS, WIDTH, Panel, draw_panel, lines, summarised
from pipeline.report.results import Results
from report_project import write_project

FID = "fid50k_train_legacy"


@pytest.mark.parametrize(
    ("dataset", "metric", "expected"),
    [("cifar10", FID, True), ("cifar10", "fd_cifar10", False), ("digits", FID, False)],
)
def test_the_papers_number_is_a_line_under_its_protocol_alone(dataset, metric, expected):
    marks = papers_number(dataset, metric)
    assert marks == {"paper": 9.26} if expected else marks == {}
    axis = Figure().subplots()
    draw_panel(axis, {}, Panel("kimg", metric, "", "", marks=marks))
    assert [line.get_ydata()[0] for line in axis.get_lines()] == [9.26] * expected


def loaded(folder, rows, columns="kimg,seconds,fd_digits") -> Results:
    write_project(folder, {"full": [10.0, 12.0, None]})
    for seed in (0, 1):
        path = folder / f"results/digits/full/seed{seed}/progress.csv"
        path.write_text("\n".join([columns, *(",".join(map(str, row)) for row in rows)]) + "\n")
    return Results.load(folder / "plan", folder / "results")


def test_metrics_over_training_need_two_measurements(tmp_path):
    figure = progress(loaded(tmp_path, [(10, 60, 80), (20, 120, 40)]), "digits", tmp_path)
    assert figure.path.is_file() and "fd_digits of full" in figure.alt
    assert progress(loaded(tmp_path, [(30, 1, 40)]), "digits", tmp_path) is None


def test_the_time_on_the_way_comes_from_the_record_of_the_machine(tmp_path):
    results = loaded(tmp_path, [(10, 80), (20, 40)], columns="kimg,fd_digits")
    cell = {"dataset": "digits", "variant": "full", "seed": 0}
    assert "minutes" not in progress(results, "digits", tmp_path).alt
    (tmp_path / "results/digits/full/seed0/machine.csv").write_text("kimg,seconds\n5,30\n15,90\n25,150\n")
    assert list(results.series(cell, "progress").seconds) == [90, 150]
    assert "minutes" in progress(results, "digits", tmp_path).alt


def frame(**columns):
    return pd.DataFrame({name: np.asarray(values, dtype=float) for name, values in columns.items()})


def test_a_line_is_the_mean_and_its_band_the_extremes():
    curve = summarised([frame(kimg=[1, 2, 3], y=[1, 2, 3]), frame(kimg=[1, 2], y=[3, 6])], "kimg", "y")
    assert list(curve.y) == [2, 4] and list(curve.low) == [1, 2] and list(curve.high) == [3, 6]
    assert summarised([frame(kimg=[1])], "kimg", "y").empty


def test_a_spike_of_one_tick_is_not_lost_when_a_curve_is_thinned():
    norms = np.full(4000, 2.0)
    norms[1234] = 174134.0
    curve = summarised([frame(kimg=np.arange(4000), gradient_d=norms)], "kimg", "gradient_d")
    assert len(curve) <= BLOCKS and curve.high.max() == 174134.0 and curve.low.max() == 2.0


def with_history(folder, **columns) -> Results:
    write_project(folder, {"full": [10.0, None, None]})
    frame(kimg=[1, 2, 3], **columns).to_csv(folder / "results/digits/full/seed0/history.csv", index=False)
    return Results.load(folder / "plan", folder / "results")


def test_curves_are_the_same_bytes_and_fill_the_width(tmp_path):
    results = with_history(tmp_path, **{name: [1, 2, 4] for name in CURVES})
    with rc_context({"savefig.dpi": 60}):
        one, two = (training_curves(results, "digits", tmp_path / name) for name in "ab")
    assert one.path.read_bytes() == two.path.read_bytes() and all(words in one.alt for words in CURVES.values())
    with Image.open(one.path) as picture:
        assert picture.width == WIDTH * 60 and picture.mode == "P"


def test_a_curve_that_no_cell_has_gets_no_panel(tmp_path):
    figure = training_curves(with_history(tmp_path, penalty=[2, 3, 4]), "digits", tmp_path)
    assert figure.alt.startswith("gradient penalty, unweighted of full")
    assert training_curves(with_history(tmp_path), "digits", tmp_path) is None


def test_lines_differ_without_colour():
    """Among as many lines as a chart has, no two share dash pattern and marker; a row without values keeps its look."""
    runs = {str(index): [frame(kimg=[1, 2], y=[1, 2])] * (index != 3) for index in range(10)}
    with style.context(drawing.STYLE):
        axis = Figure().subplots()
        draw_panel(axis, runs, Panel("kimg", "y", "", ""))
    assert len({(line._unscaled_dash_pattern, line.get_marker()) for line in axis.get_lines()}) == 10


@pytest.fixture
def drawn(monkeypatch):
    """Figures that are drawn, in place of files."""
    figures = []

    @contextmanager
    def keep(path, height):
        figures.append(Figure())
        yield figures[-1]

    for module in (charts, drawing):
        monkeypatch.setattr(module, "page_wide", keep)
    return figures


def test_precision_and_recall_are_drawn_from_0_to_1_and_all_rows_share_an_axis(project, tmp_path, drawn):
    charts.ranking(Results.load(project / "plan", project / "results"), "digits", tmp_path)
    axes = drawn[0].axes
    assert [axis.get_xlim() for axis in axes[3:]] == [(0, 1), (0, 1)]
    rows = [label.get_text() for label in axes[0].get_yticklabels()]
    assert rows == ["axis_attention", "grid_attention", "token_norm", "full", "no_augment", "mine"]


def test_growth_is_drawn_for_every_kind_of_attention(tmp_path):
    figure = cost.growth(tmp_path)
    assert figure.path.is_file() and all(kind in figure.alt for kind in cost.KINDS)


@pytest.mark.parametrize(("count", "columns"), [(1, 2), (2, 2), (3, 2), (4, 3), (5, 3), (8, 2)])
def test_any_number_of_panels_fills_the_figure(tmp_path, drawn, count, columns):
    """Three panels in two columns once left a quarter of the figure blank."""
    panels = [Panel("kimg", "y", "", "")] * count
    lines(tmp_path / "a.png", {"full": [frame(kimg=[1, 2], y=[1, 2])]}, panels, "growth", columns=columns, needs="")
    places = [axis.get_subplotspec() for axis in drawn[0].axes]
    rows, cells = places[0].get_gridspec().get_geometry()
    assert rows == -(-count // columns) and len(places) == count
    assert sum(place.colspan.stop - place.colspan.start for place in places) == rows * cells
