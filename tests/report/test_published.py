"""Runs that are kept in published/: shown as they are, whatever of them is there."""

import json

from PIL import Image

from pipeline.report.content import Section
from pipeline.report.published import Published, published_runs


def shown(folder) -> tuple[Published, str]:
    """The only run of the folder, and its part of a report that lies in reports/ beside it."""
    (run,) = published_runs(folder / "published")
    out = folder / "reports"
    return run, Section(title="P", anchor="p", content=run.content(out, 60, 0.95)).markdown(out, whole=True)


def write_run(folder):
    run = folder / "published/cifar10_long"
    run.mkdir(parents=True)
    (folder / "published/README.md").write_text("# Published runs\n")
    (run / "README.md").write_text(
        "# CIFAR-10, 2,000 kimg\n\nTrained on\none [GPU](../../docs/gpu.md) ([card](https://a.example/card)).\n\nMore.\n"
    )
    (run / "run.json").write_text(json.dumps({"revision": "a" * 40, "kimg": 2000.0, "device": "a card"}))
    (run / "settings.yaml").write_text("train: {}\n")
    (run / "metrics.json").write_text(json.dumps({"fid10k_train_legacy": 35.5, "facts": {"n": 1}}))
    (run / "curve.csv").write_text("kimg,fid10k_train_legacy\n1000,50\n2000,35.5\n")
    Image.new("RGB", (900, 300)).save(run / "samples.png")


def test_a_published_run_is_shown_in_its_own_words_with_its_numbers(tmp_path):
    write_run(tmp_path)
    run, part = shown(tmp_path)
    assert '### <a id="published_cifar10_long"></a>CIFAR-10, 2,000 kimg' in part
    assert "Trained on one [GPU](../docs/gpu.md) ([card](https://a.example/card))." in part and "More." not in part
    assert "revision `aaaaaaaaaaaa`; 2,000 kimg; a card" in part
    assert "[settings.yaml](../published/cifar10_long/settings.yaml)" in part
    assert "| fid10k_train_legacy |\n| --- |\n| 35.5 |" in part and "facts" not in part
    assert "](../published/cifar10_long/samples.png)" in part, "no copy of the picture"
    assert [path.name for path in tmp_path.glob("reports/figures/*")] == ["published_cifar10_long_curve.png"]
    assert run.sentence(0.95) == "[CIFAR-10, 2,000 kimg](#published_cifar10_long): `fid10k_train_legacy` 35.5"


def test_floors_and_todays_names_stand_beside_the_recorded_values(tmp_path):
    """Precision by the Inception network was recorded without its name; with VGG-16's facts it keeps the short one."""
    run = tmp_path / "published/cifar10_long"
    write_run(tmp_path)
    (run / "metrics.csv").write_text("fid1k_train_clean,precision1k3,recall1k3\n35.5,0.5,0.25\n")
    (run / "reference.json").write_text(json.dumps({"n_real": 6000, "n_rest": 1000, "fid_train_clean_rest": 12.25}))
    _, part = shown(tmp_path)
    assert "precision1k3_inception" in part and "| 12.25 |" in part.replace("| 12.2 |", "| 12.25 |")
    (run / "protocol.json").write_text(json.dumps({"metrics": {"precision1k3": {"extractor": "vgg16"}}}))
    _, part = shown(tmp_path)
    assert "precision1k3_inception" not in part and "precision1k3" in part and "recall1k3_inception" in part


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
        "cell,status,kimg,kid,fid2k_train_clean\n"
        + "".join(f"{c},ok,40,0.0{n},{50 + n}\n" for n, c in enumerate(cells))
    )
    (run / "settings.yaml").write_text("about: faces\n")
    return cells


def test_every_cell_of_a_published_run_has_samples_revision_settings_and_a_line(tmp_path):
    cells = write_cells(tmp_path)
    run, part = shown(tmp_path)
    for place, cell in enumerate(cells):
        assert f"- `{cell}`: revision `{str(place) * 12}`; 40 kimg" in part
        assert f"[plan.yaml](../published/faces32/{cell}/plan.yaml)" in part
        assert f"](../published/faces32/{cell}/samples.png)" in part
    assert (tmp_path / "reports/figures/published_faces32_curve.png").is_file()
    # The best of its settings by the first metric.
    assert run.sentence(0.95) == "[faces32](#published_faces32): `faces/full` `fid2k_train_clean` 50.0, `kid` 0"


def test_two_seeds_of_one_setting_are_a_range(tmp_path):
    run = tmp_path / "published/faces32"
    run.mkdir(parents=True)
    cells = ["faces/full/seed1", "faces/full/seed2", "faces/full/seed3", "faces/no_augment/seed1"]
    (run / "run.json").write_text(json.dumps({"cells": {cell: {"kimg": 40.0} for cell in cells}}))
    values = dict(zip(cells, (170.0, 180.0, "", 333.0), strict=True))
    lines = "".join(f"{cell},{'ok' if value else 'diverged'},{value}\n" for cell, value in values.items())
    (run / "metrics.csv").write_text("cell,status,fid1k_train_clean\n" + lines)
    found, part = shown(tmp_path)
    assert "| faces/full | 1, 2, 3 | 170 to 180 |" in part and "| faces/no_augment | 1 | 333 |" in part
    assert found.sentence(0.95).endswith(": `faces/full` `fid1k_train_clean` 170 to 180")


def test_a_folder_with_nothing_but_a_name_is_no_run(tmp_path):
    (tmp_path / "published/empty").mkdir(parents=True)
    assert published_runs(tmp_path / "published") == [] and published_runs(tmp_path / "nowhere") == []
    (tmp_path / "published/empty/README.md").write_text("Just words.\n")
    (run,) = published_runs(tmp_path / "published")
    assert run.title == "empty" and run.text == "Just words." and run.metrics.empty
