"""Transformer and CNN side by side, the arithmetic of a training, rows beyond the paper, any other row, the diagram."""

import numpy as np
import pandas as pd
import pytest

from pipeline.pictures.contact_sheet import write_sheet
from pipeline.report import architecture, paper, sample_figures
from pipeline.report.curves import MOST_LINES, curve_groups
from pipeline.report.model_tables import equal_cost_differences
from pipeline.report.training_flops import flops_per_kimg
from report_project import CNN, MODEL_CELLS, RECIPE, TRANSFORMER, render, write_project


def read(report, name):
    return pd.read_csv(report / "tables" / f"{name}.csv", dtype=str, keep_default_na=False)


def test_one_row_per_model_with_and_without_augmentation(models_report):
    table = read(models_report, "digits_models").set_index("model")
    row = table.loc["WGAN-GP"]
    assert row["measured: fd_digits, without augmentation"] == "16.17 ± 3.13"
    assert row["measured: fd_digits, with augmentation"].startswith("13.07 ± ")
    assert row["with minus without"].startswith("-3.10 ± ") and row.verdict.startswith("seen: better here")
    assert row["networks"] == "CNN" and row["parameters G / D"] == "1,000 / 200" and row["s/kimg"] == "37.50"
    assert table.loc["AutoGAN", "measured: fd_digits, with augmentation"] == "not run"


def test_rows_beyond_the_paper_have_a_table_of_their_own(models_report):
    table = read(models_report, "digits_beyond").set_index("variant")
    assert table.loc["lazy_penalty", "measured: fd_digits"].startswith("20.00 ± ")
    assert table.loc["lazy_penalty", "fd_digits minus `full`, at equal seconds"] == "not run"
    for name in ("ablation", "augmentation", "components", "off_full"):
        assert not any("lazy_penalty" in row for row in read(models_report, f"digits_{name}").to_numpy()), name


def test_any_other_variant_is_compared_with_the_full_model(models_report):
    table = read(models_report, "digits_off_full").set_index("variant")
    assert list(table.index) == ["gradients_kept"] and table["compared with"]["gradients_kept"] == "full"
    assert table.verdict["gradients_kept"] == "better here"


def test_curves_of_both_kinds_share_a_chart(models_report):
    assert (models_report / "figures/digits_curves_transformer_and_CNN.png").is_file()
    assert (models_report / "figures/digits_curves_beyond_the_paper.png").is_file()


def test_no_chart_of_curves_has_more_lines_than_there_are_colours():
    names = [f"variant{index}" for index in range(20)] + ["full", "a_attention", "wgan_gp"]
    groups = curve_groups(names, {"wgan_gp"})
    assert max(map(len, groups.values())) <= MOST_LINES
    assert {name for group in groups.values() for name in group} == set(names)


def test_the_arithmetic_of_the_released_recipe_agrees_with_what_was_measured():
    """CIFAR-10: 16 TFLOP a G step; penalty 27 %, G step 30 %, D on real and fake 26 %, fakes 17 %."""
    g, d = 10.788e9, 2.6925e9
    step = flops_per_kimg((g, d), RECIPE) * 4 * 64 / 1000
    assert step == pytest.approx(16e12, rel=0.03)
    without = flops_per_kimg((g, d), RECIPE | {"penalty": "none"}) * 4 * 64 / 1000
    assert (step - without) / step == pytest.approx(0.27, abs=0.02)
    lazy = flops_per_kimg((g, d), RECIPE | {"penalty_interval": 16}) * 4 * 64 / 1000
    assert step - lazy == pytest.approx((step - without) * 15 / 16)


def test_an_unknown_recipe_has_no_arithmetic():
    assert flops_per_kimg((1.0, 1.0), {}) is None and flops_per_kimg(None, RECIPE) is None
    assert flops_per_kimg((1.0, 1.0), RECIPE | {"penalty": "a new one"}) is None


def write_progress(folder, variant, rows):
    path = folder / f"results/digits/{variant}/seed0/progress.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows, columns=["kimg", "seconds", "fd_digits"]).to_csv(path, index=False)


def test_at_equal_cost_both_are_read_where_the_cheaper_one_ended(tmp_path):
    cell = {"dataset": "digits", "seed": 0}
    own, base = (pd.DataFrame([cell | {"variant": name}]) for name in ("lazy_penalty", "full"))
    write_progress(tmp_path, "lazy_penalty", [(0, 0, 100), (100, 50, 40)])
    write_progress(tmp_path, "full", [(0, 0, 100), (100, 100, 20)])
    found = equal_cost_differences(own, base, "fd_digits", str(tmp_path / "results"), "seconds")
    assert found == [40 - 60]  # at 50 s the base is half way from 100 to 20
    # A kimg of the variant costs half a kimg of the base.
    found = equal_cost_differences(own, base, "fd_digits", str(tmp_path / "results"), "kimg", 0.5)
    assert found == [40 - 60]
    assert equal_cost_differences(own, base, "is_digits", str(tmp_path / "results"), "kimg") == []


def test_optional_files_become_charts(tmp_path):
    folder = write_project(tmp_path, {"full": [10.0, 12.0, 14.0], "lazy_penalty": [9.0, 11.0, 13.5]})
    for variant in ("full", "lazy_penalty"):
        write_progress(folder, variant, [(0, 0, 100), (96, 50, 40), (192, 100, 20)])
    sizes = folder / "results/digits/full/seed0/sample_size.csv"
    sizes.write_text("n_gen,fd_digits\n100,30\n1000,12\n")
    report = render(folder)
    assert (report / "figures/digits_progress_beyond_the_paper.png").is_file()
    assert (report / "figures/digits_sample_sizes_the_other_components.png").is_file()
    table = read(report, "digits_beyond").set_index("variant")
    assert table.loc["lazy_penalty", "fd_digits minus `full`, at equal seconds"] == "+0.000"
    # Its kimg cost less, so at equal FLOP `full` is read at an earlier, worse moment.
    assert table.loc["lazy_penalty", "fd_digits minus `full`, at equal FLOP"].startswith("-")


def test_the_diagram_is_drawn_from_the_plan_for_transformers_alone(tmp_path):
    boxes = architecture.generator_boxes(TRANSFORMER)
    assert [heading for heading, _ in boxes] == ["noise", "linear", "8 x 8, width 24", "8 x 8, width 24", "linear"]
    assert "grid 4 attention" in boxes[2][1] and "pixel shuffle" in boxes[3][1]
    assert architecture.discriminator_boxes(TRANSFORMER)[2] == ("[cls] token first", "2 blocks")
    assert architecture.diagram(CNN, "a CNN", tmp_path / "no.png", 60) is None
    assert architecture.diagram(None, "nothing", tmp_path / "no.png", 60) is None
    assert architecture.diagram(TRANSFORMER, "full", tmp_path / "yes.png", 60) and (tmp_path / "yes.png").is_file()


def test_real_images_are_shown_beside_the_samples(tmp_path):
    folder = write_project(tmp_path, {"full": [10.0, None, None]})
    cells = [(pd.Series({"dataset": "digits", "variant": "full", "seed": 0}), None)]
    found, origin = sample_figures.real_images(cells, str(folder / "results"), 16)
    assert "nearest" in origin and len(found) == 9  # a square of the memorisation check's
    images = np.full((2, 10, 3, 8, 8), 7, dtype=np.uint8)
    write_sheet(folder / "results/digits/full/seed0/real", images[:1], rows=["real"])
    write_sheet(folder / "results/digits/full/seed0/augment", images, rows=["as they are", "cutout"])
    found, origin = sample_figures.real_images(cells, str(folder / "results"), 16)
    assert origin == "real images" and found.shape == (10, 8, 8, 3) and (found == 7).all()
    report = render(folder)
    assert "Augmentation preview" in (report / "README.md").read_text()
    assert (report / "figures/digits_augment.png").is_file()


def test_every_variant_of_the_models_has_its_place():
    assert len(MODEL_CELLS) == 7 and set(paper.BEYOND).isdisjoint(paper.ABLATION)
    assert set(paper.METHODS.values()) <= {v for pair in paper.MODELS.values() for v in pair}
