"""The first screen: sentences made from the numbers, and the state of every claim."""

import re

import pandas as pd
import pytest

from pipeline.report import claims, paper
from report_project import MODEL_CELLS, render, write_project
from repository import ROOT


def section(report, title):
    text = (report / "README.md").read_text()
    return text[text.index(f"## {title}") :].split("\n## ")[0]


def test_the_report_begins_with_what_was_found(report):
    assert (report / "README.md").read_text().index("## Findings") < 500
    page = (report / "index.html").read_text()
    assert page.index('id="findings"') < min(page.index("<img"), page.index("<table"))


def test_what_was_trained_and_what_was_not_is_said(report):
    text = section(report, "Findings")
    assert "9 variants, seeds 0, 1, 2; 27 trainings: " in text and "1 not run" not in text and "diverged at 3.5" in text
    assert "none of the paper's data sets has a result in this matrix" in text and "CIFAR-10" in text


def test_an_order_against_the_paper_is_called_contradicted(models_report):
    # full - no_augment: 10, 9.5, 10: mean 9.83, s 0.289, half-width 0.717
    text = section(models_report, "Findings")
    contradicted = text[text.index("**Contradicted") :].split("\n\n")[1]
    assert (
        "- DiffAug for TransGAN: `full` 21.00 ± 2.48 against `no_augment` 11.17 ± 2.59, difference +9.83 ± 0.717 "
        "(3 seeds). The paper has it better, weak." in contradicted
    )
    seen = text[text.index("**Seen") :].split("\n\n")[1]
    assert "DiffAug for WGAN-GP" in seen and "DiffAug for TransGAN" not in seen


def test_seeds_that_could_turn_an_order_round_state_none(models_report):
    text = section(models_report, "Findings")
    undecided = text[text.index("**Cannot be decided") :].split("\n\n")[1]
    assert "TransGAN against StyleGAN-V2, without augmentation" in undecided


def test_one_seed_gives_no_finding(tmp_path):
    cells = {variant: [values[0], None, None] for variant, values in MODEL_CELLS.items()}
    text = section(render(write_project(tmp_path, cells)), "Findings")
    assert (
        "**Seen" not in text
        and "**Contradicted" not in text
        and "(1 seed, one seed)" not in text
        and "(1 seed)" in text
    )


def test_the_training_dynamics_of_both_kinds_are_counted(tmp_path):
    folder = write_project(tmp_path, MODEL_CELLS | {"wgan_gp": [15.0, "diverged", 17.5]})
    lines = ["kimg,step,gradient_d,gradient_g"] + [f"{k},{k},{100 if k == 7 else 1},1" for k in range(1, 41)]
    for path in (folder / "results/digits").glob("*/seed*/history.csv"):
        path.write_text("\n".join(lines) + "\n")
    report = render(folder)
    text = section(report, "Findings")
    answer = text[text.index("**Are transformer GANs less stable here?") :].split("\n\n")[0]
    assert "9 trainings of transformers against 9 of CNNs" in answer  # without the row beyond the paper
    assert "By these counts no" in answer
    assert "hare of trainings that diverged: 0.0% against 11.1%" in answer
    assert "D's ticks that are gradient spikes: 2.5% against 2.5%" in answer and "Equal" not in answer.split(".")[0]
    table = pd.read_csv(report / "tables/digits_dynamics.csv").set_index("networks")
    assert table["share of trainings that diverged"]["CNNs"] == "11.1%" and table.trainings["transformers"] == 9
    # Standard deviation over mean: full 1/21, no_augment .1041/.1117, kept .0514; the median of three.
    assert table["spread of the main metric over seeds"]["transformers"] == "5.1%"


def test_without_both_kinds_nothing_is_said_about_stability(report):
    assert "less stable" not in section(report, "Findings")
    assert not (report / "tables/digits_dynamics.csv").exists()


def test_a_cnn_far_behind_says_how_long_it_was_trained(tmp_path):
    text = section(render(write_project(tmp_path, MODEL_CELLS | {"wgan_gp": [60.0, 61.0, 62.0]})), "Findings")
    assert "`wgan_gp` 2.90 times (trained for 192 kimg; its published training on CIFAR-10 is 32,000 kimg" in text
    assert "`stylegan2` 0.81 times;" in text or "`stylegan2` 0.81 times." in text


def test_rows_beyond_the_paper_stand_apart_from_its_own(models_report):
    text = section(models_report, "Findings")
    beyond = text[text.index("**Beyond the paper**") :]
    assert "Gradient penalty every 16 steps of D: `lazy_penalty` 20.00 ± " in beyond and "Undecided." in beyond
    assert "lazy_penalty" not in text[: text.index("**Beyond the paper**")]
    assert "lazy_penalty" not in (models_report / "tables/digits_decisions.csv").read_text()


def test_the_seed_that_the_settings_were_chosen_on_is_named(report):
    assert "chosen by the main metric of `full`, seed 0; that seed is among the seeds" in section(report, "Findings")


def test_every_claim_of_the_reading_has_code_that_exists_and_a_state(report):
    entries = paper.packaged("claims.csv")
    assert list(entries.number.astype(int)) == list(range(1, 37))
    for code in entries.code:
        for path in code.split():
            assert path == "-" or (ROOT / path).exists(), path
    table = pd.read_csv(report / "tables/claims.csv").set_index("no.")
    assert table.state.notna().all() and (table.state != "").all()
    assert table.state[27] == "undecided" and table.state[34] == "not run" and table.state[30] == "built"
    assert table.state[21] == "built; shown" and table.state[25] == "built"


def test_the_state_of_a_claim_follows_the_seeds(models_report):
    table = pd.read_csv(models_report / "tables/claims.csv").set_index("no.")
    assert table.state[23] == "built; contradicted" and "+9.83" in table.evidence[23]
    assert table.state[27] == "not run"  # token_norm is not in this matrix
    assert "[dynamics](#digits)" in table.evidence[8]


def test_a_measured_data_set_of_the_paper_changes_the_state():
    cells = pd.DataFrame([{"dataset": "cifar10", "variant": "full", "seed": 0, "status": "ok", "is50k": 9.0}])
    assert claims.state(["data:cifar10"], cells, {}, set()) == "measured"
    assert claims.state(["code", "metric:is50k"], cells, {}, set()) == "built; measured"
    assert claims.state(["data:stl10"], cells, {}, set()) == "not run"


@pytest.mark.parametrize("rule", sorted({word for text in paper.packaged("claims.csv").rule for word in text.split()}))
def test_every_rule_of_the_claims_is_known(rule):
    kind, _, name = rule.partition(":")
    assert kind in ("code", "pair", "pairs", "data", "metric", "picture", "test")
    if kind == "test":
        assert (ROOT / name).exists()
    if kind == "picture":
        assert name in claims.PICTURES
    if kind == "pair":
        assert re.fullmatch(r"\w+>\w+", name)
    if kind == "data":
        assert paper.in_paper(name)
