"""Tables of paper and measurement: protocols never share a column, and every row says what stands behind it."""

import json

import pandas as pd
import pytest

from pipeline.report import paper
from pipeline.report.appendix import every_cell
from pipeline.report.cost import flops_per_kimg
from pipeline.report.paper import PaperValue
from pipeline.report.results import Results
from pipeline.report.row_pairs import compared
from pipeline.report.tables import LAYOUTS, against_paper, main_results, row_table
from report_project import RECIPE, write_project

FID = "fid50k_train_legacy"


def read(report, name):
    return pd.read_csv(report / "tables" / f"{name}.csv", dtype=str, keep_default_na=False)


def component_row(folder) -> pd.Series:
    results = Results.load(folder / "plan", folder / "results")
    return row_table(results, "digits", "components", []).frame.set_index("variant").loc["full"]


def test_two_protocols_never_share_a_column_of_the_paper(report):
    for name, key in (("cifar10_main", "method"), ("digits_augmentation", "method")):
        table = read(report, name).set_index(key)
        column = next(c for c in table if c.startswith("paper: FID"))
        assert table[column]["StyleGAN-V2"] == "other protocol" and table[column]["WGAN-GP"].startswith("39.68")
        other = table["paper: under another protocol"]
        assert "FID 11.07" in other["StyleGAN-V2"] and "by fid10k" in other["StyleGAN-V2"]
        assert "by is10k" in other["StyleGAN-V2 + DiffAug"] and other["TransGAN"] == "-"
    main = read(report, "cifar10_main").set_index("method")
    other = main["paper: under another protocol"]["SN-GAN (AutoGAN's table)"]
    assert "21.7" in other and main["paper: FID"]["TransGAN"] == "9.26"
    verdicts = main[[c for c in main if c.startswith("verdict")]]
    assert not verdicts.loc["StyleGAN-V2"].str.contains("better|worse|agrees").any()


def test_another_methods_value_never_has_transgans_training():
    kimg = {row: value.kimg if (value := paper.paper_value("main", row, "cifar10", "FID")) else None
            for row in paper.paper_rows("main", "cifar10").row}  # fmt: skip
    assert kimg["TransGAN"] == 128_000 and kimg["WGAN-GP"] == 32_000 and kimg["Progressive-GAN"] is None
    assert list(kimg.values()).count(128_000) == 1


def test_a_cell_of_another_protocol_stays_out_of_the_column(tmp_path):
    folder = write_project(tmp_path, {"full": [10.0, 12.0, 14.0]})
    odd = folder / "results/digits/full/seed2/protocol.json"
    odd.write_text(odd.read_text().replace('"split": "all"', '"split": "test"'))
    value = component_row(folder)["measured: fd_digits"]
    assert value.startswith("10.0 to 12.0 [") and "seed 2: other protocol" in value and "split test" in value


def inception_results(folder, changes):
    """The project's results of `full` as those of an Inception dataset; `changes`: seed -> facts of its protocol."""
    for seed in (0, 1, 2):
        path = folder / f"results/digits/full/seed{seed}.json"
        values = {
            "fid10k_train_legacy": 10.0 + seed,
            "kid10k": 0.01,
            "kid10k_std": 0.001,
            "precision10k3": 0.5,
            "recall10k3": 0.25,
        }
        path.write_text(json.dumps({"status": "ok", "kimg": 192.0, **values, "n_gen": 10000, "n_real": 50000}))
        facts = {
            "extractor": "inception_legacy",
            "extractor_sha256": "ab" * 32,
            "dtype": "float32",
            "split": "train",
            "resize": "none",
            "n_real": 50000,
            "n_gen": 10000,
            "seed": 0,
        }
        own = {
            "metrics": dict.fromkeys([*values, "is10k"], facts | changes.get(seed, {})),
            "unavailable": {"is10k": "not available: these weights have no logits"},
        }
        path.with_suffix("").joinpath("protocol.json").write_text(json.dumps(own))
    return folder


def test_what_is_not_available_is_said_in_every_cell_and_is_no_number(tmp_path):
    folder = inception_results(write_project(tmp_path, {"full": [10.0, 12.0, 14.0]}), {})
    row = component_row(folder)
    assert row["measured: is10k"] == "not available: these weights have no logits"
    assert row["measured: fid10k_train_legacy"] == "11.0 ± 2.5"
    cells = every_cell(Results.load(folder / "plan", folder / "results")).frame
    assert set(cells.is10k) == {"not available: these weights have no logits"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"extractor_sha256": "cd" * 32}, "extractor_sha256 cdcdcdcd, not abababab"),
        ({"n_real": 10000}, "n_real 10000, not 50000"),
        ({"resize": "cropped", "split": "all"}, "split all, not train, resize cropped, not none"),
    ],
)
def test_one_column_never_holds_two_protocols(tmp_path, change, said):
    row = component_row(inception_results(write_project(tmp_path, {"full": [10.0, 12.0, 14.0]}), {2: change}))
    assert (
        row["measured: fid10k_train_legacy"].startswith("10.0 to 11.0 [")
        and f"[seed 2: other protocol ({said})]" in row["measured: fid10k_train_legacy"]
    )


def test_what_happened_instead_is_a_value(report):
    fd = read(report, "digits_ablation").set_index("variant")["measured: fd_digits"]
    assert fd["standard_attention"] == "oom" and fd["multiscale"] == "not run"
    assert fd["nystrom_attention"] == "diverged at 3.5 kimg" and fd["axis_attention"] == "22.0 ± 5.0"
    assert fd["token_norm"] == "30.0 [seed 1: not run; seed 2: not run]"


def test_a_diverged_runs_numbers_enter_no_mean_and_are_kept_in_the_list_of_cells(report):
    cells = read(report, "cells").set_index(["variant", "seed"])
    assert float(cells.fd_digits["nystrom_attention", "0"]) == 99
    assert "99" not in read(report, "digits_ablation")["measured: fd_digits"].str.cat()


def test_rows_are_compared_with_the_row_they_are_meant_for(report):
    table = read(report, "digits_ablation").set_index("variant")
    assert list(table.against) == ["-", *["standard_attention"] * 3, "grid_attention", "multiscale", "token_norm", "-"]
    assert (
        table.ratio["grid_attention"] == "-" and table["as in the paper?"]["grid_attention"] == "open: 0 of 3 trainings"
    )
    row = read(report, "digits_off_full").set_index("variant").loc["mine"]
    assert row.against == "full" and row["as in the paper?"] == "the same training"


def test_the_source_of_a_paper_value_stands_beside_it(report):
    table = read(report, "digits_ablation")
    assert (table.source.str.len() > 3).all()
    main = read(report, "cifar10_main").set_index("method")
    assert main["protocol of the paper's value"]["StyleGAN-V2"] == "fid10k; is10k"
    assert main["paper: FID"]["WGAN-GP (mimicry's table)"].endswith("(quoted)")
    values = read(report, "paper_values")
    assert (values.source != "").all()


def test_no_paper_value_fills_a_measured_cell(report):
    for path in report.glob("tables/*_main.csv"):
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
        measured = table[[column for column in table if column.startswith("measured")]]
        assert (measured == "not run").all(axis=None), path
    row = read(report, "digits_ablation").set_index("paper's row").loc["(E) converge"]
    assert (row[[column for column in row.index if column.startswith("measured")]] == "not run").all()
    assert row["paper: FID CelebA 128"].startswith("5.28")


def test_a_model_is_shown_with_its_size_without_and_with_augmentation(models):
    table = row_table(models, "digits", "augmentation", compared(models, "digits")).frame.set_index("method")
    plain, augmented = table.loc["WGAN-GP"], table.loc["WGAN-GP + DiffAug"]
    assert plain["measured: fd_digits"] == "16.2 ± 3.1" and augmented["measured: fd_digits"] == "13.1 ± 2.7"
    assert augmented["ratio"].startswith("0.81 (") and plain["parameters G / D"] == "1,000 / 200"
    # Augmentation leaves the networks as they are.
    assert plain["s/kimg"] == "38" and plain["GFLOP G / D, one image"] == augmented["GFLOP G / D, one image"] != "-"
    assert table.loc["AutoGAN + DiffAug", "measured: fd_digits"] == "not run"


def test_rows_beyond_the_paper_have_a_table_of_their_own(models):
    outcomes = compared(models, "digits")
    tables = {name: row_table(models, "digits", name, outcomes).frame.set_index("variant") for name in LAYOUTS}
    beyond = tables.pop("beyond").loc["lazy_penalty"]
    assert beyond["measured: fd_digits"] == "20.0 ± 3.3" and beyond["s/kimg, share of `full`"] == "100%"
    assert beyond["FLOP/kimg, share of `full`"] == "73%"
    assert not any("lazy_penalty" in table.index for table in tables.values())


def test_any_other_variant_is_compared_with_the_full_model(models):
    table = row_table(models, "digits", "off_full", compared(models, "digits")).frame.set_index("variant")
    assert list(table.index) == ["gradients_kept"] and table.against["gradients_kept"] == "full"


def test_the_arithmetic_of_the_released_recipe_agrees_with_what_was_measured():
    """CIFAR-10: 16 TFLOP a G step; penalty 27 %, G step 30 %, D on real and fake 26 %, fakes 17 %."""
    g, d = 10.788e9, 2.6925e9
    step = flops_per_kimg((g, d), RECIPE) * 4 * 64 / 1000
    assert step == pytest.approx(16e12, rel=0.03)
    without = flops_per_kimg((g, d), RECIPE | {"penalty": "none"}) * 4 * 64 / 1000
    assert (step - without) / step == pytest.approx(0.27, abs=0.02)
    lazy = flops_per_kimg((g, d), RECIPE | {"penalty_interval": 16}) * 4 * 64 / 1000
    assert step - lazy == pytest.approx((step - without) * 15 / 16)
    assert flops_per_kimg((1.0, 1.0), {}) is None and flops_per_kimg(None, RECIPE) is None
    assert flops_per_kimg((1.0, 1.0), RECIPE | {"penalty": "a new one"}) is None


def judged(values, value=None, troubles=None, metric=FID, kimg=100.0, splits=10):
    """The verdict of a row `full` with these values against a paper value of 9.0 trained for 100 kimg."""
    results = Results({"datasets": ["x"], "cells": []}, "", "")
    rows = [{"seed": seed, "status": "ok", "state": "ok", metric: v, "kimg": kimg} for seed, v in enumerate(values)]
    rows += [{"seed": seed, "status": state, "state": state} for seed, state in (troubles or {}).items()]
    columns = ["dataset", "variant", "seed", "status", "state", "protocols", metric, "kimg"]
    results.cells = pd.DataFrame(rows, columns=columns).assign(dataset="x", variant="full")
    results.cells["protocols"] = [{metric: {"splits": splits}}] * len(results.cells)
    return against_paper(results, "x", "full", metric, value or paper_value())


def paper_value(value=9.0, mark="", protocol=FID, budget="100 kimg (a script)"):
    return PaperValue(value=value, text=str(value), mark=mark, protocol=protocol, budget=budget)


def test_the_papers_value_is_met_missed_or_left_open():
    assert judged([8.9, 9.0, 9.2]) == "equivalent (+0.03)"
    assert judged([8.9, 9.0, 9.2], paper_value(mark="recalled")) == "equivalent (+0.03), paper value recalled"
    assert judged([5.0, 5.1, 5.2]) == "better (-3.90)" and judged([6.0, 9.0, 13.0]).startswith("open")
    assert judged([5.0, 5.1, 5.2], paper_value(protocol="is50k or is20k"), metric="is50k") == "worse (-3.90)"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"values": [9.0, 9.1]}, "2 of 3 trainings"),
        ({"values": [9.0, 9.1], "kimg": 50.0}, "50.0% of the paper's training"),
        ({"values": [9.0, 9.1], "value": paper_value(budget="")}, "not known"),
        ({"values": [9.0, 9.1], "metric": "fd_digits"}, "fd_digits is not the paper's protocol"),
        ({"values": [9.0, 9.1], "value": paper_value(protocol="fid10k")}, "is not the paper's protocol"),
        ({"values": [9.0, 9.1], "splits": 5}, "is not the paper's protocol"),
    ],
)
def test_no_verdict_says_why(changes, reason):
    text = judged(**changes)
    assert text.startswith("no verdict") and reason in text


def test_out_of_memory_is_a_result():
    oom = paper_value(None)
    assert judged([], oom, {0: "oom", 1: "oom"}) == "as in the paper"
    assert judged([], troubles={0: "oom"}) == "oom" and judged([]) == "not run"
    assert judged([9.0, 9.1], oom) == "contrary to the paper: it ran out of memory"


@pytest.mark.parametrize(("dataset", "count"), [("cifar10", "50k"), ("stl10", "20k")])
def test_each_data_set_is_judged_by_the_papers_own_number_of_images(project, dataset, count):
    frame = main_results(Results.load(project / "plan", project / "results"), dataset).frame
    measured = {name.removeprefix("measured: ") for name in frame if name.startswith("measured: ")}
    assert measured == {f"fid{count}_train_legacy", f"is{count}"}
