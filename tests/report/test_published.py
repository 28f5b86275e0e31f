"""Runs that are kept in published/: shown as they are, whatever of them is there."""

import json

from PIL import Image

from pipeline.report.published import Published, published_runs
from pipeline.report.row_pairs import counted
from repository import ROOT

FACTS = {"n_gen": 4000, "n_real": 6000, "split": "train", "resize": "none", "dtype": "float32", "seed": 0}


def shown(folder) -> tuple[Published, str]:
    """The only run of the folder, and its part of a report that lies in reports/ beside it."""
    (run,) = published_runs(folder / "published")
    out = folder / "reports"
    return run, run.section(out, set()).markdown(out, whole=True)


def write_run(folder):
    run = folder / "published/cifar10_long"
    run.mkdir(parents=True)
    (folder / "published/README.md").write_text("# Published runs\n")
    (run / "README.md").write_text(
        "# CIFAR-10, 2,000 kimg\n\nTrained on\none [GPU](../../docs/gpu.md) ([card](https://a.example/card)).\n\nMore.\n"
    )
    (run / "run.json").write_text(
        json.dumps({"cells": {"cifar10/full/seed1": {"revision": "a" * 40, "kimg": 2000.0, "device": "a card"}}})
    )
    (run / "plan.yaml").write_text("train: {}\n")
    (run / "metrics.csv").write_text("cell,status,fid10k_train_legacy\ncifar10/full/seed1,ok,35.5\n")
    (run / "curve.csv").write_text("kimg,fid10k_train_legacy\n1000,50\n2000,35.5\n")
    Image.new("RGB", (900, 300)).save(run / "samples.png")


def test_a_published_run_is_shown_in_its_own_words_with_its_numbers(tmp_path):
    write_run(tmp_path)
    run, part = shown(tmp_path)
    assert '## <a id="published_cifar10_long"></a>CIFAR-10, 2,000 kimg' in part
    assert "Trained on one [GPU](../docs/gpu.md) ([card](https://a.example/card))." in part and "More." not in part
    assert "revision `aaaaaaaaaaaa`; 2,000 kimg; a card" in part
    assert "[plan.yaml](../published/cifar10_long/plan.yaml)" in part
    assert "| cifar10/full | 1 | 35.5 |" in part
    assert "](../published/cifar10_long/samples.png)" in part, "no copy of the picture"
    assert [path.name for path in tmp_path.glob("reports/figures/*")] == ["published_cifar10_long_curve.png"]
    assert run.best == "`cifar10/full` `fid10k_train_legacy` 35.5"


def test_floors_stand_beside_the_recorded_values(tmp_path):
    run = tmp_path / "published/cifar10_long"
    write_run(tmp_path)
    (run / "metrics.csv").write_text(
        "cell,status,fid1k_train_clean,precision1k3_inception\ncifar10/full/seed1,ok,35.5,0.5\n"
    )
    (run / "reference.json").write_text(json.dumps({"n_real": 6000, "n_rest": 1000, "fid_train_clean_rest": 12.25}))
    _, part = shown(tmp_path)
    assert "precision1k3_inception" in part and "| 12.25 |" in part.replace("| 12.2 |", "| 12.25 |")


def write_cells(folder):
    """A run of three cells as `make publish` leaves it."""
    run, cells = folder / "published/faces32", ["faces/full/seed1", "faces/no_augment/seed1", "faces/wgan_gp/seed1"]
    for place, cell in enumerate(cells):
        (run / cell).mkdir(parents=True)
        Image.new("RGB", (400, 400), (place, 0, 0)).save(run / cell / "samples.png")
        (run / cell / "curve.csv").write_text(f"kimg,seconds,kid500\n10,60,{9 - place}\n20,120,{5 - place}\n")
        (run / cell / "plan.yaml").write_text("train: {}\n")
    records = {cell: {"revision": f"{place}" * 40, "kimg": 40.0, "dirty": False} for place, cell in enumerate(cells)}
    (run / "run.json").write_text(json.dumps({**records[cells[0]], "cells": records}))
    (run / "metrics.csv").write_text(
        "cell,status,kimg,fid2k_train_clean,kid\n"
        + "".join(f"{c},ok,40,{50 + n},0.0{n}\n" for n, c in enumerate(cells))
    )
    (run / "settings.yaml").write_text("about: faces\n")
    return cells


def test_the_first_metric_of_the_results_is_the_main_one(tmp_path):
    run = tmp_path / "published/cifar10_long"
    write_run(tmp_path)
    for order in (["kid1k", "fid10k_train_legacy"], ["fid10k_train_legacy", "kid1k"]):
        (run / "metrics.csv").write_text(f"cell,status,{','.join(order)}\ncifar10/full/seed1,ok,1,2\n")
        (published,) = published_runs(tmp_path / "published")
        assert published.best.startswith(f"`cifar10/full` `{order[0]}` ")


def test_every_cell_of_a_published_run_has_samples_revision_settings_and_a_line(tmp_path):
    cells = write_cells(tmp_path)
    run, part = shown(tmp_path)
    for place, cell in enumerate(cells):
        assert f"- `{cell[:-6]}`, seed 1: revision `{str(place) * 12}`; 40 kimg" in part
        assert f"[plan.yaml](../published/faces32/{cell}/plan.yaml)" in part
        assert f"](../published/faces32/{cell}/samples.png)" in part
    assert (tmp_path / "reports/figures/published_faces32_curve.png").is_file()
    # The best of its settings by the first metric.
    assert run.best == "`faces/full` `fid2k_train_clean` 50.0"


def test_two_seeds_of_one_setting_are_a_range(tmp_path):
    run = tmp_path / "published/faces32"
    run.mkdir(parents=True)
    cells = ["faces/full/seed1", "faces/full/seed2", "faces/full/seed3", "faces/no_augment/seed1"]
    (run / "run.json").write_text(json.dumps({"cells": {cell: {"kimg": 40.0} for cell in cells}}))
    values = dict(zip(cells, (170.0, 180.0, "", 333.0), strict=True))
    lines = "".join(f"{cell},{'ok' if value else 'diverged'},{value}\n" for cell, value in values.items())
    (run / "metrics.csv").write_text("cell,status,fid1k_train_clean\n" + lines)
    found, part = shown(tmp_path)
    assert (
        "| faces/full | 1, 2, 3 | 170 to 180 [seed 3: diverged] |" in part and "| faces/no_augment | 1 | 333 |" in part
    )
    assert found.best == "`faces/full` `fid1k_train_clean` 170 to 180 [seed 3: diverged]"
    assert "- `faces/full`, seeds 1, 2, 3: revision `unknown`; 40 kimg." in part and not found.outcomes


def test_rows_of_several_seeds_get_verdicts_by_the_rule(tmp_path):
    """Five rows of four seeds: every pair is judged by the main metric, with the paper's order where it states one."""
    run = tmp_path / "published/glyphs_rows"
    run.mkdir(parents=True)
    means = {"standard_attention": 0.4, "nystrom_attention": 0.8, "axis_attention": 0.41, "grid_attention": 0.52,
             "wgan_gp": 0.1}  # fmt: skip
    cells = {f"glyphs/{name}/seed{k}": mean * (0.95, 1.0, 1.04, 1.02)[k - 1]
             for name, mean in means.items() for k in (1, 2, 3, 4)}  # fmt: skip
    (run / "run.json").write_text(json.dumps({"cells": {cell: {"kimg": 40.0, "seconds": 300.0} for cell in cells}}))
    lines = "".join(f"{cell},ok,40,{value},{value / 2},0.9,0.75,4000,6000\n" for cell, value in cells.items())
    header = "cell,status,kimg,kl4k_glyphs,kl4k_glyphs_hue,modes4k_glyphs,valid4k_glyphs_70,n_gen,n_real\n"
    (run / "metrics.csv").write_text(header + lines)
    for cell in cells:
        (run / cell).mkdir(parents=True)
        protocol = {"metrics": {"kl4k_glyphs": FACTS | {"extractor": "glyphs_decoder"}}}
        (run / cell / "protocol.json").write_text(json.dumps(protocol))
    found, part = shown(tmp_path)
    assert "| glyphs/standard_attention | 1, 2, 3, 4 | 0.401 ± 0.025 | 0.900 | 0.750 |" in part
    outcomes = {entry.comparison[:2]: entry for entry in found.outcomes["glyphs"]}
    assert len(outcomes) == 10
    answers = {
        ("nystrom_attention", "standard_attention"): "confirmed",  # worse, as in the paper
        ("axis_attention", "standard_attention"): "equivalent within 25 %",
        ("axis_attention", "nystrom_attention"): "confirmed",
        ("grid_attention", "axis_attention"): "reversed",
        ("wgan_gp", "grid_attention"): "better here; no order in the paper",
    }
    assert {pair: outcomes[pair].answer for pair in answers} == answers
    assert "| `grid_attention` better than `axis_attention` | better: 9.89 / 12.39, CelebA 64 (" in part
    assert "*Measured*: `kl4k_glyphs` (lower is better)" in part and "Protocol: 4,000 generated" in part
    assert (
        found.best == f"`glyphs/wgan_gp` `kl4k_glyphs` 0.1003 ± 0.0061; 10 pairs: {counted(found.outcomes['glyphs'])}"
    )


def test_an_open_pair_says_how_many_trainings_would_decide(tmp_path):
    run = tmp_path / "published/glyphs_rows"
    run.mkdir(parents=True)
    values = {
        "standard_attention": (1.0, 1.3, 0.8, 1.1),
        "grid_attention": (1.2, 1.5, 0.9, 1.6),
        "axis_attention": (1.0,),
    }
    rows = [f"glyphs/{name}/seed{k},ok,{value}\n" for name, row in values.items() for k, value in enumerate(row)]
    (run / "metrics.csv").write_text("cell,status,kl4k_glyphs\n" + "".join(rows))
    (run / "run.json").write_text(json.dumps({"cells": {row.split(",")[0]: {"kimg": 40.0} for row in rows}}))
    found, _ = shown(tmp_path)
    outcomes = {entry.comparison[:2]: entry.answer for entry in found.outcomes["glyphs"]}
    assert outcomes["grid_attention", "standard_attention"] == "open: 22 trainings a row would decide"
    assert outcomes["axis_attention", "standard_attention"] == "open: 1 of 3 trainings"


def test_a_folder_with_nothing_but_a_name_is_no_run(tmp_path):
    (tmp_path / "published/empty").mkdir(parents=True)
    assert published_runs(tmp_path / "published") == [] and published_runs(tmp_path / "nowhere") == []
    (tmp_path / "published/empty/README.md").write_text("Just words.\n")
    (run,) = published_runs(tmp_path / "published")
    assert run.title == "empty" and run.text == "Just words." and run.metrics.empty


def test_what_a_perfect_sampler_gets_stands_below_the_settings():
    (glyphs,) = [run for run in published_runs(ROOT / "published") if run.folder.name == "glyphs"]
    setting, perfect = glyphs.means().to_dict("records")
    assert setting["setting"] == "glyphs/full" and perfect["setting"] == "glyphs: as many perfect samples"
    assert perfect["kl4k_glyphs"] == "0.0613 ± 0.004" and perfect["memorised4k_glyphs"] == "0.5 ± 0.008"
