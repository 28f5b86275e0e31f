"""Values of two protocols never share a column, measured or printed; what cannot be had is said in its place."""

import json

import pandas as pd
import pytest

from report_project import render, write_project


def read(report, name):
    return pd.read_csv(report / "tables" / f"{name}.csv", dtype=str, keep_default_na=False)


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


def test_another_methods_row_never_shows_transgans_training(report):
    main = read(report, "cifar10_main").set_index("method")["kimg behind the paper's value"]
    assert main["TransGAN"].startswith("128000 kimg") and main["WGAN-GP"].startswith("32000 kimg")
    others = main.drop("TransGAN")
    assert not others.str.contains("128000").any() and main["Progressive-GAN"] == "not known"


def test_a_cell_of_another_protocol_stays_out_of_the_column(tmp_path):
    folder = write_project(tmp_path, {"full": [10.0, 12.0, 14.0]})
    odd = folder / "results/digits/full/seed2/protocol.json"
    odd.write_text(odd.read_text().replace('"split": "all"', '"split": "test"'))
    value = read(render(folder), "digits_components").set_index("variant")["measured: fd_digits"]["full"]
    assert value.startswith("11.00 ± ") and "seed 2: other protocol" in value and "split test" in value


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
    report = render(inception_results(write_project(tmp_path, {"full": [10.0, 12.0, 14.0]}), {}))
    row = read(report, "digits_components").iloc[0]
    assert row["measured: is10k"] == "not available: these weights have no logits"
    assert row["measured: fid10k_train_legacy"].startswith("11.00 ± 2.48")
    assert set(read(report, "cells").is10k) == {"not available: these weights have no logits"}
    assert "not available: these weights have no logits" in (report / "README.md").read_text()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"extractor_sha256": "cd" * 32}, "extractor_sha256 cdcdcdcd, not abababab"),
        ({"n_real": 10000}, "n_real 10000, not 50000"),
        ({"resize": "cropped", "split": "all"}, "split all, not train, resize cropped, not none"),
    ],
)
def test_one_column_never_holds_two_protocols(tmp_path, change, said):
    report = render(inception_results(write_project(tmp_path, {"full": [10.0, 12.0, 14.0]}), {2: change}))
    row = read(report, "digits_components").iloc[0]
    assert (
        row["measured: fid10k_train_legacy"].startswith("10.50 ± ")
        and f"[seed 2: other protocol ({said})]" in row["measured: fid10k_train_legacy"]
    )
