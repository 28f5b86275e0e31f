"""What reruns, and what does not: the real dvc on the real dvc.yaml, smoke budgets, one test per row of the table.

The rows share one repository. Each puts its files back and leaves the pipeline as it is: the next row's `dvc repro`
goes back and makes its own change at once. So every row tests that going back comes from the run cache. `collect` and
`summary` copy in no time, are never cached by DVC, and run again on the way back. A third of the rows is tested on
every run, the others nightly.
"""

import re
from contextlib import contextmanager

import pytest

from repository import ROOT, Repository, ran, restored
from runs import content

pytestmark = pytest.mark.pipeline
nightly = pytest.mark.nightly
DEPENDENCIES = ".*/|matrix.*|Created|(conf|measured|published|results)$"  # as in the Makefile

# `multiscale` overrides model.norm, `full` overrides nothing.
CELLS = {"multiscale", "full"}
TRAININGS = {f"train@digits-{variant}-0" for variant in CELLS}


def cells(stage: str, *variants: str) -> set[str]:
    """Names of a stage for the variants, or for all."""
    return {f"{stage}@digits-{variant}-0" for variant in variants or CELLS}


def after_training(*variants: str) -> set[str]:
    """What follows a cell's new weights."""
    stages = (cells(stage, *variants) for stage in ("measure", "illustrate", "collect"))
    return {"summary", "report"}.union(*stages)


def worked(output: str) -> set[str]:
    """Names of the stages that were run and do more than copy."""
    return {name for name in ran(output) if not name.startswith(("plan", "collect", "summary", "report"))}


def trained(*variants: str) -> set[str]:
    """The work of cells that are trained again."""
    return {name for stage in ("train", "measure", "illustrate") for name in cells(stage, *variants)}


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
    """The pipeline's output after an edit of params.yaml or of files of conf/, which are put back."""
    files = {repository.folder / key.partition(":")[0] for key in values if ":" in key}
    before = {path: path.read_bytes() for path in {*files, repository.folder / "params.yaml"}}
    repository.edit(**values)
    try:
        code, output = repository.dvc("repro")
        assert code == 0, output
        yield output
    finally:
        for path, content in before.items():
            path.write_bytes(content)


def back(repository):
    """Bring the pipeline back to the settings as they are: nothing but copying may run."""
    code, output = repository.dvc("repro")
    assert code == 0 and not worked(output), output


def test_nothing_changed_nothing_runs(repository):
    code, output = repository.dvc("repro")
    assert code == 0 and not ran(output) and not restored(output)
    assert "up to date" in output


def test_a_variants_override_reruns_that_variant(repository):
    with changed(repository, variants__full__train__drift_weight=0.002) as output:
        assert worked(output) == trained("full") and after_training("full") <= ran(output)


@nightly
def test_an_added_variant_runs_its_own_stages_and_a_removed_one_leaves_the_report(repository):
    with changed(repository, matrix__variants=["multiscale", "full", "no_norm"]) as output:
        assert worked(output) == trained("no_norm") and after_training("no_norm") <= ran(output)
        assert "no_norm" in (repository.folder / "reports/README.md").read_text()
        assert (repository.folder / "results/digits/no_norm/seed0.json").is_file()
        assert "no_norm" in repository.json("results/summary.json")
    back(repository)
    assert "no_norm" not in (repository.folder / "reports/README.md").read_text()
    assert not (repository.folder / "results/digits/no_norm").exists()
    assert not (repository.folder / "plan/train/digits/no_norm").exists()
    assert "no_norm" not in repository.json("results/summary.json")


@nightly
def test_a_removed_variant_runs_plan_and_report_alone(repository):
    with changed(repository, matrix__variants=["full"]) as output:
        assert not worked(output) and "report" in ran(output)
        assert "multiscale" not in repository.json("results/summary.json")
        assert not (repository.folder / "reports/tables/cells.csv").exists()  # one cell: the short report
    back(repository)
    assert "multiscale" in (repository.folder / "reports/tables/cells.csv").read_text()


@nightly
def test_a_report_setting_reruns_the_report(repository):
    with changed(repository, report__dpi=80) as output:
        assert not worked(output) and "report" in ran(output)


@nightly
def test_the_seed_of_the_samples_reruns_measuring_and_pictures(repository):
    with changed(repository, evaluate__seed=3) as output:
        assert worked(output) == cells("measure") | cells("illustrate") and after_training() <= ran(output)


def test_a_setting_of_one_metric_measures_and_draws_nothing(repository):
    with changed(repository, **{"conf/profile/smoke.yaml:evaluate.n_gen": 210}) as output:
        assert worked(output) == cells("measure") and cells("collect") | {"summary", "report"} <= ran(output)


@nightly
def test_an_evaluate_setting_about_real_images_reruns_the_reference_too(repository):
    with changed(repository, evaluate__splits=5) as output:
        assert worked(output) == {"reference@digits"} | cells("measure") | cells("illustrate")
        assert {"collect_reference@digits"} | after_training() <= ran(output)


@nightly
def test_a_setting_that_no_metric_reads_reruns_nothing_but_the_plan(repository):
    with changed(repository, evaluate__reference__weights="weights.pth") as output:
        assert not worked(output)


@nightly
def test_the_base_norm_reruns_every_variant_that_does_not_override_it(repository):
    with changed(repository, model__norm="layer") as output:
        assert worked(output) == trained("full") and after_training("full") <= ran(output)


@nightly
def test_a_base_key_that_every_cell_overrides_is_named_and_reruns_nothing_but_the_plan(repository):
    with changed(repository, train__lr=0.0002) as output:
        assert not worked(output)
        (note,) = [line for line in output.splitlines() if "without effect" in line]
        assert re.search(r"train\.lr: .*every selected cell overrides it in conf/dataset/digits\.yaml", note)


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


@nightly
def test_code_of_a_metric_measures_again_and_draws_and_trains_nothing(repository):
    with edited(repository, "pipeline/metrics/distances.py") as output:
        assert worked(output) == {"reference@digits"} | cells("measure")


@nightly
def test_code_of_a_feature_extractor_measures_and_draws_again(repository):
    with edited(repository, "pipeline/metrics/extractors/extractor.py") as output:
        assert worked(output) == {"reference@digits"} | cells("measure") | cells("illustrate")


@nightly
def test_code_of_a_picture_draws_again_and_never_measures(repository):
    files = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.glob("pipeline/pictures/[a-z]*.py"))
    with edited(repository, *files) as output:
        assert worked(output) == cells("illustrate")


@nightly
def test_a_picture_that_looks_different_reaches_the_report_without_measuring(repository):
    path = repository.folder / "pipeline/pictures/illustrate.py"
    before = path.read_text()
    path.write_text(before.replace("SAMPLES = 64 ", "SAMPLES = 63 "))
    code, output = repository.dvc("repro")
    path.write_text(before)
    assert code == 0 and worked(output) == cells("illustrate"), output
    assert cells("collect") | {"report"} <= ran(output)


@nightly
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
        ("pipeline/runs/checkpoint_schedule.py", "min left", "min to go"),
        ("pipeline/networks/resnet/networks.py", "", "SLOPE = 0.2\n"),
    ],
    ids=["a comment", "a docstring", "a progress line", "another family"],
)
def test_code_that_cannot_change_a_trainings_numbers_trains_nothing(repository, file, old, new):
    with planned(repository, file, old, new) as trainings:
        assert trainings == set()


@nightly
def test_a_numeric_line_retrains_the_cells_whose_code_holds_it_and_going_back_trains_nothing(repository):
    with changed(repository, matrix__variants=["full", "sngan"]) as output:
        assert {name for name in ran(output) if name.startswith("train")} == {"train@digits-sngan-0"}
        for file, expected in (
            ("pipeline/networks/resnet/networks.py", {"train@digits-sngan-0"}),
            ("pipeline/networks/transgan/blocks.py", {"train@digits-full-0"}),
            ("pipeline/training/state.py", {"train@digits-full-0", "train@digits-sngan-0"}),
        ):
            with planned(repository, file, "", "NEW = 1.0\n") as trainings:
                assert trainings == expected, file
        assert not re.findall(r"train@", repository.dvc("status")[1])


@nightly
def test_code_that_was_changed_and_changed_back_comes_from_the_run_cache(repository):
    file = repository.folder / "pipeline/training/state.py"
    before = file.read_text()
    file.write_text(before + "NEW = 1.0\n")
    code, output = repository.dvc("repro")
    assert code == 0 and ran(output) >= {"plan"} | TRAININGS, output
    file.write_text(before)
    code, output = repository.dvc("repro")
    assert code == 0 and not worked(output), output


@pytest.mark.parametrize(
    ("override", "key"),
    [
        pytest.param("+model.nrm=layer", "model.nrm", marks=nightly),
        ("model.norm=laye", "model.norm"),
        pytest.param("model.mlp_ratio=four", "model.mlp_ratio", marks=nightly),
        ("+variants.full.train.augmnt.policy=[]", "variants.full.train.augmnt"),
        pytest.param("train.beta2=1.5", "train.beta2", marks=nightly),
        pytest.param("profile=smok", "profile", marks=nightly),
        ("+report.dpy=80", "report.dpy"),
        pytest.param("+repot.dpi=80", "repot", marks=nightly),
        pytest.param("matrix.variants=[fll]", "matrix.variants", marks=nightly),
        pytest.param("matrix.variants=[full-1]", "matrix.variants", marks=nightly),
        pytest.param("matrix.datasets=[mnist]", "matrix.datasets", marks=nightly),
        ("conf/dataset/digits.yaml:model.window=3", "model.window"),
        pytest.param("conf/dataset/digits.yaml:model.heads=5", "model.heads", marks=nightly),
    ],
)
def test_a_mistake_ends_in_one_line_before_any_work_and_the_tree_stays(repository, override, key):
    back(repository)
    repository.commit("before a mistake")
    files = [repository.folder / "params.yaml", repository.folder / "conf/dataset/digits.yaml"]
    before = {path: path.read_bytes() for path in files}
    try:
        code, output = repository.dvc("exp", "run", "-S", override)
        assert code != 0
        (line,) = [line for line in output.splitlines() if line.startswith("error: ")]
        file = override.partition(":")[0] if ":" in override else "params.yaml"
        assert file in line and key in line and "given" in line and "allowed" in line
        assert "Traceback" not in output and ran(output) <= {"plan"}
        assert repository.git("status", "--porcelain").split() in ([], ["M", file])
    finally:
        repository.git("reset", "--hard")
        for path, content in before.items():  # a refused experiment leaves what -S wrote
            path.write_bytes(content)


@nightly
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
    assert code == 0 and "fd200_digits" in output and "results/summary.json" in output and len(output.splitlines()) < 6
    code, output = repository.dvc("exp", "show", "--only-changed", "--drop", DEPENDENCIES)
    assert code == 0 and max(map(len, output.splitlines())) <= 140, output
    code, output = repository.dvc("plots", "diff", "HEAD", "--json")
    assert code == 0 and '"rev": "HEAD"' in output and '"row": "full"' in output
    repository.git("checkout", "--", ".")
    back(repository)


@nightly
def test_two_runs_of_one_cell_give_the_same_bytes(repository):
    run, result = repository.folder / "runs/digits/full/seed0", repository.folder / "results/digits/full/seed0.json"
    before = content(run) | {"result": result.read_bytes()}
    for stage in ("train", "measure", "illustrate", "collect"):
        code, output = repository.dvc("repro", "--force", "--single-item", f"{stage}@digits-full-0")
        assert code == 0 and f"{stage}@digits-full-0" in ran(output)
    after = content(run) | {"result": result.read_bytes()}
    assert before == after


@nightly
def test_a_clone_without_cache_renders_its_report_again(repository, tmp_path):
    repository.dvc("repro")
    repository.commit("everything")
    clone = tmp_path / "clone"
    repository.git("clone", "--quiet", str(repository.folder), str(clone))
    there = Repository.__new__(Repository)
    there.folder = clone
    there.edit(report__dpi=70)
    there.append("pipeline/metrics/distances.py")
    there.append("pipeline/data/prepare.py")
    code, output = there.dvc("repro", "--single-item", "report")  # make report
    assert code == 0 and ran(output) == {"report"}, output
    assert not (clone / "runs").exists()
    assert "digits_training.png" in (clone / "reports/README.md").read_text()


@nightly
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
    assert worked(output) <= {"prepare@digits"}, output
    files = [path.relative_to(repository.folder) for path in (repository.folder / "results").rglob("*.*")]
    assert len(files) > 20
    same = [
        file for file in files if file.name not in ("run.json", "machine.csv")
    ]  # records of this machine's trainings
    changed = [file for file in same if (head.folder / file).read_bytes() != (repository.folder / file).read_bytes()]
    assert not changed and all((head.folder / file).is_file() for file in same)
