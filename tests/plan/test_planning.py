"""The plan: which files an edit of params.yaml changes, which results it removes, what it warns of."""

import shutil
import subprocess
from pathlib import Path

import pandas as pd
import pytest

from pipeline.base.errors import ConfigError
from pipeline.base.files import read_json, write_text
from pipeline.base.schema import bind, read_yaml
from pipeline.data.config import DataConfig
from pipeline.metrics.config import MeasurePlan, ReferencePlan
from pipeline.metrics.extractors.registry import IllustratePlan
from pipeline.plan.planning import COSTS, describe_plan, overridden_note, write_plan
from pipeline.training.config import TrainPlan
from settings_files import ROOT, copy_settings, edit_settings

START = {
    "profile": "smoke",
    "matrix": {"datasets": ["digits"], "variants": ["multiscale", "full", "no_augment"], "seeds": [0, 7]},
    "conf/dataset/digits.yaml:model.attention_from": 8,
    "conf/dataset/digits.yaml:model.window": 4,
    "conf/dataset/digits.yaml:train.lr": 0.001,
    "conf/dataset/digits.yaml:data.channels": 3,
}
NAMES = [f"digits/{variant}/seed{seed}" for variant in START["matrix"]["variants"] for seed in START["matrix"]["seeds"]]


KEPT = {
    "dataset": {"digits"},
    "variant": {"multiscale", "grid_attention", "full", "no_augment", "no_norm"},
    "profile": {"smoke", "paper"},
}


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """A folder with the repository's settings, of few variants and the digits alone."""
    folder = tmp_path_factory.mktemp("settings")
    copy_settings(folder, START, KEPT)
    return folder


@pytest.fixture
def plan(tmp_path, monkeypatch, original):
    """(edits: key -> value) -> index of the plan in a folder of its own; every call starts from the same settings."""
    monkeypatch.chdir(tmp_path)

    def make(edits=None):
        shutil.rmtree("conf", ignore_errors=True)
        shutil.copytree(original, tmp_path, dirs_exist_ok=True)
        edit_settings(tmp_path, edits or {})
        return write_plan()

    return make


def files():
    return {path.relative_to("plan").as_posix(): path.read_bytes() for path in Path("plan").rglob("*.*")}


@pytest.fixture(scope="module")
def unedited():
    """The plan's files before any edit, once made."""
    return {}


@pytest.fixture
def touched(plan, unedited):
    """(edits) -> plan files whose bytes an edit changes, index aside."""

    def compare(edits):
        if not unedited:
            plan()
            unedited.update(files())
        before = dict(unedited)
        plan(edits)
        after = files()
        assert set(before) == set(after)
        return {name for name in before if before[name] != after[name]} - {"index.json"}

    return compare


def of(stage, *variants):
    return {f"{stage}/{name}.yaml" for name in NAMES if not variants or name.split("/")[1] in variants}


def test_one_file_per_stage_and_cell_each_binding_to_its_schema(plan):
    index = plan()
    assert set(files()) == {
        "index.json",
        "prepare/digits.yaml",
        "reference/digits.yaml",
        *of("train"),
        *of("measure"),
        *of("illustrate"),
    }
    for pattern, schema in (
        ("prepare/*", DataConfig),
        ("reference/*", ReferencePlan),
        ("train/*/*/*", TrainPlan),
        ("measure/*/*/*", MeasurePlan),
        ("illustrate/*/*/*", IllustratePlan),
    ):
        for path in Path("plan").glob(f"{pattern}.yaml"):
            bound = bind(schema, read_yaml(path), file=str(path))
            assert schema is not TrainPlan or path.stem == f"seed{bound.seed}"
    assert read_json("plan/index.json") == index
    assert [f"{c['dataset']}/{c['variant']}/seed{c['seed']}" for c in index["cells"]] == NAMES


def test_the_same_settings_give_the_same_bytes(touched):
    assert touched({}) == set()
    assert touched({"train.beta1": 0, "train.clip_norm": 5}) == set()


EDITS = [
    # evaluation settings never reach a training
    ({"evaluate.seed": 5}, of("measure") | of("illustrate")),
    ({"evaluate.batch": 99}, of("measure") | of("illustrate")),
    ({"conf/profile/smoke.yaml:evaluate.n_gen": 300}, of("measure")),
    ({"conf/profile/smoke.yaml:evaluate.subsets": 6}, of("measure") | {"reference/digits.yaml"}),
    ({"conf/dataset/digits.yaml:evaluate.metrics": ["fd_digits"]}, of("measure") | {"reference/digits.yaml"}),
    ({"evaluate.reference.digits_classifier.seed": 9}, {"reference/digits.yaml"}),
    # what a network that is not used would read
    ({"evaluate.reference.weights": "weights.pth"}, set()),
    # nor training settings an evaluation
    ({"train.drift_weight": 0.5}, of("train")),
    ({"model.mlp_ratio": 2}, of("train")),
    ({"conf/variant/full.yaml:train.drift_weight": 0.5}, of("train", "full")),
    ({"conf/variant/full.yaml:evaluate.seed": 5}, of("measure", "full") | of("illustrate", "full")),
    ({"conf/dataset/digits.yaml:data.channels": 1}, of("train") | {"prepare/digits.yaml"}),
    # base keys reach the cells that do not override them; settings without effect on a network reach none
    ({"model.norm": "batch"}, of("train", "full", "no_augment")),
    ({"train.augment.policy": ["color"]}, of("train", "multiscale", "full")),
    ({"train.lr": 0.5}, set()),
    ({"conf/dataset/digits.yaml:model.landmarks": 7}, set()),
    # what is not selected, and what is only shown
    ({"conf/variant/no_norm.yaml:model.norm": "batch"}, set()),
    ({"conf/profile/paper.yaml:train.lr": 0.5}, set()),
    ({"report.dpi": 99}, set()),
]


@pytest.mark.parametrize(("edits", "expected"), EDITS, ids=[next(iter(edits)) for edits, _ in EDITS])
def test_only_files_whose_own_settings_changed(touched, edits, expected):
    assert touched(edits) == expected


def test_metrics_get_their_count_from_the_budget_and_the_reference_knows_none(plan):
    names = ["fid_train_legacy", "fid1k_test_clean", "is", "kid", "pr3_inception"]
    plan(
        {
            "conf/dataset/digits.yaml:evaluate.metrics": names,
            "conf/profile/smoke.yaml:evaluate.n_gen": 500,
            "evaluate.reference.weights": "w.pth",
        }
    )
    evaluate, reference = (read_yaml(f"plan/{name}.yaml") for name in ("measure/digits/full/seed0", "reference/digits"))
    assert (
        evaluate["metrics"] == ["fid500_train_legacy", "fid1k_test_clean", "is500", "kid500", "pr500_3_inception"]
        and evaluate["n_gen"] == 1000
    )
    assert reference["metrics"] == ["fid_train_legacy", "fid_test_clean", "is", "kid", "pr3_inception"]
    assert reference["weights"] == "w.pth" and reference["digits_classifier"] is None
    plan(
        {
            "conf/dataset/digits.yaml:evaluate.metrics": names,
            "conf/profile/smoke.yaml:evaluate.n_gen": 600,
            "evaluate.reference.weights": "w.pth",
        }
    )
    assert read_yaml("plan/reference/digits.yaml") == reference


def test_explicit_counts_alone_make_no_more_images_than_they_need(plan):
    plan({"conf/dataset/digits.yaml:evaluate.metrics": ["fid60_train_clean", "is50"]})
    assert read_yaml("plan/measure/digits/full/seed0.yaml")["n_gen"] == 60


def test_a_budget_in_steps_is_a_budget_in_kimg(touched, plan):
    plan()
    train = bind(TrainPlan, read_yaml(Path("plan/train/digits/full/seed0.yaml")), file="x").train
    steps = 10
    kimg = steps * train.critic_steps * train.batch_discriminator / 1000
    assert touched(
        {
            "conf/variant/full.yaml:train": {"kimg": None, "generator_steps": steps},
            "conf/variant/multiscale.yaml:train": {"kimg": kimg},
        }
    ) == of("train", "full", "multiscale")
    ours, theirs = (read_yaml(f"plan/train/digits/{variant}/seed0.yaml")["train"] for variant in ("full", "multiscale"))
    assert ours == theirs and ours["kimg"] == kimg and ours["generator_steps"] is None


def test_seeds_differ_in_their_training_and_nothing_else(plan):
    plan()
    text = files()
    ours, theirs = (text[f"train/digits/full/seed{seed}.yaml"].decode() for seed in (0, 7))
    assert ours != theirs and ours.replace("seed: 0", "seed: 7") == theirs
    assert text["measure/digits/full/seed0.yaml"] == text["measure/digits/full/seed7.yaml"]


def test_twins_are_named_after_the_first_of_them_and_counted_once(plan):
    variants = ["full", "standard", "below_threshold", "one_window", "other"]
    index = plan(
        {
            "matrix.variants": variants,
            "variants.standard": {"model": {"attention": "standard"}},
            "variants.below_threshold": {"model": {"attention_from": 64}},
            "variants.one_window": {"model": {"window": 8, "landmarks": 3}},
            "variants.other": {"model": {"attention": "standard"}, "train": {"drift_weight": 0.5}},
        }
    )
    twins = {(cell["variant"], cell["seed"]): cell["twin_of"] for cell in index["cells"]}
    expected = dict(zip(variants, [None, None, "standard", "standard", None], strict=True))
    assert twins == {(variant, seed): twin for variant, twin in expected.items() for seed in (0, 7)}
    lines = describe_plan(index)
    assert "10 cells, 6 trainings" in lines[0]
    assert "note: digits: one_window (seed 7) is the same network and training as standard; it is trained once" in lines
    assert sum(" is the same network and training as " in line for line in lines) == 4


def test_evaluation_is_no_part_of_being_twins(plan):
    index = plan({"matrix.variants": ["full", "again"], "variants.again": {"evaluate": {"seed": 3}}})
    assert [cell["twin_of"] for cell in index["cells"]] == [None, None, "full", "full"]


def test_the_plan_says_what_it_costs(plan):
    lines = describe_plan(plan({"conf/profile/smoke.yaml:train.kimg": 1500.0}))
    assert lines[0] == "plan: profile smoke, 6 cells, 6 trainings of 9,000 kimg in all -> plan/"
    seconds = pd.read_csv(COSTS).set_index("dataset").loc["digits"].seconds_per_kimg
    assert f"plan: digits: 6 trainings, about {9000 * seconds / 3600:.1f} hours of one CPU core" in lines[1]
    assert set(pd.read_csv(COSTS).dataset) == {path.stem for path in ROOT.glob("conf/dataset/*.yaml")}


def test_a_changed_base_setting_that_every_cell_overrides_is_said_and_others_are_not(plan, tmp_path):
    plan({"matrix.variants": ["multiscale", "grid_attention"]})
    assert overridden_note() == []  # no repository
    for arguments in (
        ["init", "-q"],
        ["add", "."],
        ["-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", "x"],
    ):
        subprocess.run(["git", *arguments], check=True)
    assert overridden_note() == []
    edit_settings(tmp_path, {"train.drift_weight": 0.5, "model.scales": 2})
    assert overridden_note() == []
    edit_settings(tmp_path, {"train.lr": 0.5, "model.norm": "batch"})
    assert overridden_note() == [
        "note: params.yaml: model.norm: without effect, as every selected cell overrides it in "
        "conf/variant/grid_attention.yaml or conf/variant/multiscale.yaml",
        "note: params.yaml: train.lr: without effect, as every selected cell overrides it in conf/dataset/digits.yaml",
    ]


MOVED = {"share": 0.5, "penalty_weight": 10.0}
TWINS = [  # settings that mean the same training
    ({"ema_kimg": None, "ema_rampup": 0.1}, {"ema_kimg": None, "ema_rampup": None}),
    ({"ema_kimg": None, "ema_clock": "released"}, {"ema_kimg": None, "ema_clock": "real_images"}),
    ({"critic_steps": 1, "ema_clock": "released"}, {"critic_steps": 1, "ema_clock": "real_images"}),
    ({"anneal": {"share": 0.5}}, {"anneal": None}),
    ({"penalty": "none", "anneal": MOVED}, {"penalty": "none", "anneal": None}),
]


@pytest.mark.parametrize(("one", "other"), TWINS)
def test_settings_that_nothing_reads_make_twins(plan, one, other):
    rows = {name: {"train": changes} for name, changes in (("one", one), ("other", other))}
    index = plan({"matrix.variants": ["one", "other"], "matrix.seeds": [0], "variants": rows})
    assert [cell["twin_of"] for cell in index["cells"]] == [None, "one"]


def test_a_penalty_that_grows_from_nothing_is_kept(plan):
    plan({"variants.full.train": {"penalty_weight": 0.0, "anneal": MOVED}})
    train = read_yaml("plan/train/digits/full/seed0.yaml")["train"]
    assert (train["penalty"], train["penalty_weight"], train["penalty_interval"]) == ("gradient_norm", 0.0, 1)
    assert train["anneal"]["penalty_weight"] == 10.0


def result(name):
    write_text(f"results/{name}.json", "{}")
    write_text(f"results/{name}/history.csv", "kimg\n")


def results():
    return {path.relative_to("results").as_posix() for path in Path("results").rglob("*") if path.is_file()}


def test_results_of_removed_cells_are_removed_and_others_kept(plan):
    plan()
    for name in [*NAMES, "digits/fulls/seed0", "digits/ful/seed0", "digits/full/seed70", "other/full/seed0"]:
        result(name)
    for dataset in ("digits", "other"):
        write_text(f"results/{dataset}/reference.json", "{}")
    plan()
    kept = {f"{name}{end}" for name in NAMES for end in (".json", "/history.csv")} | {"digits/reference.json"}
    assert results() == kept
    assert not Path("results/other").exists() and not Path("results/digits/fulls").exists()
    plan({"matrix.variants": ["full"], "matrix.seeds": [7]})
    assert results() == {"digits/full/seed7.json", "digits/full/seed7/history.csv", "digits/reference.json"}
    plan({"matrix.seeds": [70]})
    assert results() == {"digits/reference.json"}


def test_a_refused_plan_removes_and_writes_nothing(plan):
    plan()
    result("digits/full/seed0")
    before, kept = files(), results()
    for edits in (
        {"matrix.variants": ["multiscale"], "model.norm": "nrom"},
        {"matrix.variants": ["multiscale"], "conf/dataset/digits.yaml:model.window": 3},
    ):
        with pytest.raises(ConfigError):
            plan(edits)
        assert files() == before and results() == kept


def test_variants_may_not_disagree_about_the_real_images(plan):
    with pytest.raises(
        ConfigError,
        match=r"^conf/variant/full\.yaml: evaluate: given .*multiscale.*; allowed: one reference per dataset",
    ):
        plan({"conf/variant/full.yaml:evaluate": {"subsets": 6}})
    assert not Path("plan").exists()


UNUSED = [
    ("splits", ["fd_digits", "kd_digits", "pr_digits"]),
    ("subsets", ["fd_digits", "is_digits", "pr_digits"]),
    ("subset_size", ["fd_digits", "is_digits", "pr_digits"]),
]


@pytest.mark.parametrize(("setting", "metrics"), UNUSED, ids=[f"{name}-{names[-1]}" for name, names in UNUSED])
def test_a_setting_that_no_metric_reads_is_in_no_plan_file(plan, setting, metrics):
    start = {"conf/dataset/digits.yaml:evaluate.metrics": metrics, f"conf/profile/smoke.yaml:evaluate.{setting}": 6}
    plan(start)
    before = files()
    assert read_yaml("plan/measure/digits/full/seed0.yaml")[setting] is None
    assert read_yaml("plan/reference/digits.yaml")[setting] is None
    plan(start | {f"conf/profile/smoke.yaml:evaluate.{setting}": 7})
    assert files() == before
