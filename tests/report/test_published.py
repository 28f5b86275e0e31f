"""Runs that are kept in published/: shown as they are, whatever of them is there."""

import json

from PIL import Image

from pipeline.report.published import published_runs
from report_project import render, write_project


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


def test_a_published_run_has_a_section_of_its_own(tmp_path):
    folder = write_project(tmp_path, {"full": [10.0, 12.0, 14.0]})
    write_run(folder)
    report = render(folder)
    text = (report / "README.md").read_text()
    part = text[text.index("## Published run: CIFAR-10, 2,000 kimg") :].split("\n## ")[0]
    assert (
        "Trained on one [GPU](../docs/gpu.md) ([card](https://a.example/card))." in part
        and "revision `aaaaaaaaaaaa`; 2,000 kimg; device: a card" in part
    )
    assert "[settings.yaml](../published/cifar10_long/settings.yaml)" in part and "More." not in part
    assert "| fid10k_train_legacy |\n| --- |\n| 35.5 |" in part and "facts" not in part
    assert (report / "figures/published_cifar10_long_samples.png").is_file()
    assert (report / "figures/published_cifar10_long_curve.png").is_file()
    findings = text[text.index("## Findings") :].split("\n## ")[0]
    assert "[CIFAR-10, 2,000 kimg](#published_cifar10_long): `fid10k_train_legacy` 35.50." in findings
    assert "35.5" not in text.replace(part, "").replace(findings, ""), "it enters no other table"


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
    folder = write_project(tmp_path, {"full": [10.0, 12.0, 14.0]})
    cells = write_cells(folder)
    report = render(folder)
    text = (report / "README.md").read_text()
    part = text[text.index("## Published run: faces32") :].split("\n## ")[0]
    for place, cell in enumerate(cells):
        assert f"- `{cell}`: revision `{str(place) * 12}`; 40 kimg" in part
        assert f"[plan.yaml](../published/faces32/{cell}/plan.yaml)" in part
        assert (report / f"figures/published_faces32_{cell.replace('/', '_')}_samples.png").is_file()
    assert "no interval can be given" in part and (report / "figures/published_faces32_curve.png").is_file()
    findings = text[text.index("## Findings") :].split("\n## ")[0]
    assert "`faces/wgan_gp/seed1` `fid2k_train_clean` 52.00, `kid` 0.0200." in findings


def test_several_seeds_of_one_setting_are_a_mean_with_an_interval(tmp_path):
    folder = write_project(tmp_path, {"full": [10.0, 12.0, 14.0]})
    run = folder / "published/faces32"
    run.mkdir(parents=True)
    cells = ["faces/full/seed1", "faces/full/seed2", "faces/full/seed3", "faces/no_augment/seed1"]
    (run / "run.json").write_text(json.dumps({"cells": {cell: {"kimg": 40.0} for cell in cells}}))
    values = dict(zip(cells, (170.0, 180.0, "", 333.0), strict=True))
    lines = "".join(f"{cell},{'ok' if value else 'diverged'},{value}\n" for cell, value in values.items())
    (run / "metrics.csv").write_text("cell,status,fid1k_train_clean\n" + lines)
    text = (render(folder) / "README.md").read_text()
    part = text[text.index("## Published run: faces32") :].split("\n## ")[0]
    # t of one degree of freedom at 97.5 %: 12.7062; the standard error of 170 and 180 is 5.
    assert "| faces/full | 1, 2 | 175.0 ± 63.53 |" in part and "| faces/no_augment |" not in part
    assert "no interval can be given" not in part
    findings = text[text.index("## Findings") :].split("\n## ")[0]
    assert "`faces/full, 2 seeds` `fid1k_train_clean` 175.0 ± 63.53; `faces/full/seed3` not measured;" in findings


def test_a_folder_with_nothing_but_a_name_is_no_run(tmp_path):
    (tmp_path / "published/empty").mkdir(parents=True)
    assert published_runs(tmp_path / "published") == [] and published_runs(tmp_path / "nowhere") == []
    (tmp_path / "published/empty/README.md").write_text("Just words.\n")
    (run,) = published_runs(tmp_path / "published")
    assert run.title == "empty" and run.text == ["Just words."] and run.metrics.empty
