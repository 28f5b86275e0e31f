"""What reruns, and what does not: the real dvc on the real dvc.yaml, smoke budgets, one test per row of the table.

The rows share one repository. Each puts its files back and leaves the pipeline as it is: the next row's `dvc repro`
goes back and makes its own change at once. So every row tests that going back comes from the run cache.
"""

import re
from contextlib import contextmanager

import pytest

from repository import Repository, ran, restored
from runs import content

pytestmark = pytest.mark.pipeline

# `multiscale` overrides model.norm, `full` overrides nothing.
CELLS = {"multiscale", "full"}
TRAININGS = {f"train@digits-{variant}-0" for variant in CELLS}


def cells(stage: str, *variants: str) -> set[str]:
    """Names of a stage for the variants, or for all."""
    return {f"{stage}@digits-{variant}-0" for variant in variants or CELLS}


def after_training(*variants: str) -> set[str]:
    """What follows a cell's new weights."""
    return cells("measure", *variants) | cells("illustrate", *variants) | cells("collect", *variants) | {"report"}


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    repository = Repository(tmp_path_factory.mktemp("repository"))
    repository.edit(profile="smoke", matrix__variants=["multiscale", "full"], matrix__seeds=[0])
    repository.commit("smoke")
    code, output = repository.dvc("repro")
    assert code == 0, output
    start = {"plan", "prepare@digits", "reference@digits", "collect_reference@digits"}
    assert ran(output) == start | TRAININGS | after_training()
    repository.commit("results")
    return repository


@contextmanager
def changed(repository, **values):
    """The pipeline's output after an edit of params.yaml, which is put back."""
    before = (repository.folder / "params.yaml").read_text()
    repository.edit(**values)
    try:
        code, output = repository.dvc("repro")
        assert code == 0, output
        yield output
    finally:
        (repository.folder / "params.yaml").write_text(before)


def back(repository):
    """Bring the pipeline back to the settings as they are: nothing but plan and report may run."""
    code, output = repository.dvc("repro")
    assert code == 0 and ran(output) <= {"plan", "report"}, output


def test_nothing_changed_nothing_runs(repository):
    code, output = repository.dvc("repro")
    assert code == 0 and not ran(output) and not restored(output)
    assert "up to date" in output


def test_a_variants_override_reruns_that_variant(repository):
    with changed(repository, variants__full__train__drift_weight=0.002) as output:
        assert ran(output) == {"plan", "train@digits-full-0"} | after_training("full")


def test_an_added_variant_runs_its_own_stages_and_a_removed_one_leaves_the_report(repository):
    with changed(repository, matrix__variants=["multiscale", "full", "no_norm"]) as output:
        assert ran(output) == {"plan", "train@digits-no_norm-0"} | after_training("no_norm")
        assert "no_norm" in (repository.folder / "reports/README.md").read_text()
        assert (repository.folder / "results/digits/no_norm/seed0.json").is_file()
    back(repository)
    assert "no_norm" not in (repository.folder / "reports/README.md").read_text()
    assert not (repository.folder / "results/digits/no_norm").exists()


def test_a_removed_variant_runs_plan_and_report_alone(repository):
    with changed(repository, matrix__variants=["full"]) as output:
        assert ran(output) == {"plan", "report"}
        assert "multiscale" not in (repository.folder / "reports/tables/cells.csv").read_text()
    back(repository)
    assert "multiscale" in (repository.folder / "reports/tables/cells.csv").read_text()


def test_a_report_setting_reruns_the_report(repository):
    with changed(repository, report__dpi=80) as output:
        assert ran(output) == {"report"}


def test_the_seed_of_the_samples_reruns_measuring_and_pictures(repository):
    with changed(repository, evaluate__seed=3) as output:
        assert ran(output) == {"plan"} | after_training()


def test_a_setting_of_one_metric_measures_and_draws_nothing(repository):
    with changed(repository, **{"conf/profile/smoke.yaml:evaluate.n_gen": 210}) as output:
        assert ran(output) == {"plan", *cells("measure"), *cells("collect"), "report"}


def test_an_evaluate_setting_about_real_images_reruns_the_reference_too(repository):
    with changed(repository, evaluate__neighbours=4) as output:
        assert ran(output) == {"plan", "reference@digits", "collect_reference@digits"} | after_training()


def test_a_setting_that_no_metric_reads_reruns_nothing_but_the_plan(repository):
    with changed(repository, evaluate__reference__weights="weights.pth") as output:
        assert ran(output) <= {"plan", "report"}


def test_the_base_norm_reruns_every_variant_that_does_not_override_it(repository):
    with changed(repository, model__norm="layer") as output:
        assert ran(output) == {"plan", "train@digits-full-0"} | after_training("full")


def test_a_base_key_that_every_cell_overrides_is_named_and_reruns_nothing_but_the_plan(repository):
    with changed(repository, train__lr=0.0002) as output:
        assert ran(output) <= {"plan", "report"}
        (note,) = [line for line in output.splitlines() if "base settings without effect" in line]
        assert re.search(r"train\.lr[ ,][^;]*set in datasets\.digits", note)


@contextmanager
def edited(repository, *files):
    """The pipeline's output after a change of code alone, which is put back."""
    back(repository)
    before = {file: (repository.folder / file).read_text() for file in files}
    for file in files:
        repository.append(file)
    try:
        code, output = repository.dvc("repro")
        assert code == 0, output
        yield output
    finally:
        for file, text in before.items():
            (repository.folder / file).write_text(text)


def test_code_of_a_metric_measures_again_and_neither_trains_nor_draws(repository):
    with edited(repository, "pipeline/metrics/kernel.py") as output:
        assert ran(output) == {"reference@digits", *cells("measure")}


def test_code_of_a_picture_draws_again_and_never_measures(repository):
    names = ("contact_sheet", "attention_maps", "nearest_images")
    with edited(repository, *(f"pipeline/pictures/{name}.py" for name in names)) as output:
        assert ran(output) == cells("illustrate")


def test_a_picture_that_looks_different_reaches_the_report_without_measuring(repository):
    path = repository.folder / "pipeline/pictures/illustrate.py"
    before = path.read_text()
    path.write_text(before.replace("SAMPLES = 64 ", "SAMPLES = 63 "))
    code, output = repository.dvc("repro")
    path.write_text(before)
    assert code == 0 and ran(output) == cells("illustrate") | cells("collect") | {"report"}, output


def test_code_of_the_report_reruns_the_report(repository):
    with edited(repository, "pipeline/report/tables.py", "stages/report.py") as output:
        assert ran(output) == {"report"}


@contextmanager
def planned(repository, file, old, new):
    """The trainings that dvc finds changed after an edit of code, once plan has run; then everything is put back."""
    path = repository.folder / file
    before = path.read_text()
    assert old in before
    path.write_text(before.replace(old, new) if old else before + new)
    try:
        code, output = repository.dvc("repro", "plan")
        assert code == 0, output
        code, output = repository.dvc("status")
        yield set(re.findall(r"train@[\w-]+", output))
    finally:
        path.write_text(before)
        code, output = repository.dvc("repro", "plan")
        assert code == 0, output


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("pipeline/training/step.py", "", "# a comment\n"),
        ("pipeline/training/loop.py", "Train one cell on images", "Train a cell on images"),
        ("pipeline/runs/progress.py", "min left", "min to go"),
        ("pipeline/networks/resnet/blocks.py", "", "SLOPE = 0.2\n"),
        ("pipeline/training/objectives/hinge.py", "", "MARGIN = 1.0\n"),
    ],
    ids=["a comment", "a docstring", "a progress line", "another family", "another objective"],
)
def test_code_that_cannot_change_a_trainings_numbers_trains_nothing(repository, file, old, new):
    with planned(repository, file, old, new) as trainings:
        assert trainings == set()


def test_a_numeric_line_retrains_the_cells_whose_code_holds_it_and_going_back_trains_nothing(repository):
    with changed(repository, matrix__variants=["full", "sngan"]) as output:
        assert {name for name in ran(output) if name.startswith("train")} == {"train@digits-sngan-0"}
        for file, expected in (
            ("pipeline/networks/resnet/blocks.py", {"train@digits-sngan-0"}),
            ("pipeline/networks/transgan/blocks.py", {"train@digits-full-0"}),
            ("pipeline/training/ema.py", {"train@digits-full-0", "train@digits-sngan-0"}),
        ):
            with planned(repository, file, "", "NEW = 1.0\n") as trainings:
                assert trainings == expected, file
        assert not re.findall(r"train@", repository.dvc("status")[1])


def test_code_that_was_changed_and_changed_back_comes_from_the_run_cache(repository):
    file = repository.folder / "pipeline/training/ema.py"
    before = file.read_text()
    file.write_text(before + "NEW = 1.0\n")
    code, output = repository.dvc("repro")
    assert code == 0 and ran(output) >= {"plan"} | TRAININGS, output
    file.write_text(before)
    code, output = repository.dvc("repro")
    assert code == 0 and ran(output) <= {"plan", "report"}, output


@pytest.mark.parametrize(
    ("override", "key"),
    [
        ("+model.nrm=layer", "model.nrm"),
        ("model.norm=laye", "model.norm"),
        ("model.mlp_ratio=four", "model.mlp_ratio"),
        ("+variants.full.train.augmnt.policy=[]", "variants.full.train.augmnt"),
        ("train.beta2=1.5", "train.beta2"),
        ("profile=smok", "profile"),
        ("+report.dpy=80", "report.dpy"),
        ("+repot.dpi=80", "repot"),
        ("matrix.variants=[fll]", "matrix.variants"),
        ("matrix.variants=[full-1]", "matrix.variants"),
        ("matrix.datasets=[mnist]", "matrix.datasets"),
        ("datasets.digits.model.window=3", "datasets.digits.model.window"),
        ("datasets.digits.model.heads=5", "datasets.digits.model.heads"),
    ],
)
def test_a_mistake_ends_in_one_line_before_any_work(repository, override, key):
    before = (repository.folder / "params.yaml").read_text()
    lock = (repository.folder / "dvc.lock").read_text()
    try:
        code, output = repository.dvc("exp", "run", "-S", override)
        assert code != 0
        (line,) = [line for line in output.splitlines() if line.startswith("error: ")]
        assert "params.yaml" in line and key in line and "given" in line and "allowed" in line
        assert "Traceback" not in output
        assert ran(output) <= {"plan"} or ran(output) == {"report"}
        assert not [
            name for name in ran(output) if name.startswith(("prepare", "reference", "train", "measure", "illustrate"))
        ]
    finally:
        (repository.folder / "params.yaml").write_text(before)
        (repository.folder / "dvc.lock").write_text(lock)
        repository.git("checkout", "--", "plan", "results", "reports")


def test_an_unknown_key_without_plus_is_refused_by_dvc(repository):
    code, output = repository.dvc("exp", "run", "-S", "model.nrm=layer")
    assert code != 0 and "nrm" in output and not ran(output)


def test_an_experiment_is_one_command_and_shows_up(repository):
    code, output = repository.dvc("exp", "run", "--name", "layer", "-S", "model.norm=layer")
    assert code == 0, output
    assert {name for name in ran(output) if name.startswith("train")} <= {"train@digits-full-0"}
    code, output = repository.dvc("exp", "show", "--csv")
    assert code == 0 and "layer" in output
    code, output = repository.dvc("metrics", "show", "--md")
    assert code == 0 and "fd_digits" in output and "results/digits/full/seed0.json" in output
    repository.git("checkout", "--", ".")
    back(repository)


def test_two_runs_of_one_cell_give_the_same_bytes(repository):
    run, result = repository.folder / "runs/digits/full/seed0", repository.folder / "results/digits/full/seed0.json"
    before = content(run) | {"result": result.read_bytes()}
    for stage in ("train", "measure", "illustrate", "collect"):
        code, output = repository.dvc("repro", "--force", "--single-item", f"{stage}@digits-full-0")
        assert code == 0 and f"{stage}@digits-full-0" in ran(output)
    after = content(run) | {"result": result.read_bytes()}
    assert repository.json("runs/digits/full/seed0/run.json")["copied_from"] is None
    assert before == after


def test_a_clone_without_cache_renders_its_report_again(repository, tmp_path):
    repository.dvc("repro")
    repository.commit("everything")
    clone = tmp_path / "clone"
    repository.git("clone", "--quiet", str(repository.folder), str(clone))
    there = Repository.__new__(Repository)
    there.folder = clone
    there.edit(report__dpi=70)
    code, output = there.dvc("repro", "--allow-missing")
    assert code == 0 and ran(output) == {"report"}, output
    assert not (clone / "runs").exists()
    assert "digits_full_training.png" in (clone / "reports/README.md").read_text()


def test_another_machine_restores_everything_but_images_and_runs_nothing_but_collecting(repository, tmp_path):
    """A head that has the settings and the shared run cache, but no results: the workers' numbers reach its git.

    Prepared images are never pushed (`push: false`), so it prepares its own.
    """
    repository.dvc("repro")
    repository.git("clone", "--quiet", str(repository.folder), str(tmp_path / "head"))
    head = Repository.__new__(Repository)
    head.folder = tmp_path / "head"
    smoke = head.git("log", "--format=%H", "--grep=^smoke$").strip()
    head.git("checkout", "--quiet", smoke)
    for machine in (repository, head):
        machine.dvc("remote", "add", "--local", "--default", "shared", str(tmp_path / "shared"))
    try:
        # A cell that was trained twice has two entries in the run cache. Both need their files: push all commits.
        code, output = repository.dvc("push", "--run-cache", "--all-commits")
        assert code == 0, output
        head.dvc("pull", "--run-cache")
        code, output = head.dvc("repro", "--pull")
    finally:
        repository.dvc("remote", "remove", "--local", "shared")
    assert code == 0, output
    assert ran(output) <= {"plan", "prepare@digits", "collect_reference@digits", *cells("collect"), "report"}, output
    files = [path.relative_to(repository.folder) for path in (repository.folder / "results").rglob("*.*")]
    assert len(files) > 20
    # A cell that was trained twice has two entries in the run cache, which differ in seconds. Either may be restored.
    same = [file for file in files if file.name not in ("run.json", "machine.csv")]
    changed = [file for file in same if (head.folder / file).read_bytes() != (repository.folder / file).read_bytes()]
    assert not changed and all((head.folder / file).is_file() for file in files)
