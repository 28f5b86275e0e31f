"""The variant `released`: a cell whose weights are imported, planned and refused like any other."""

from pathlib import Path

import official
import pytest
import torch

from pipeline.base.errors import ConfigError, UserError
from pipeline.base.files import read_json, write_json
from pipeline.base.schema import bind, read_yaml
from pipeline.generators.library import load_generator
from pipeline.plan import planning
from pipeline.released.checkpoint import import_run
from pipeline.report.results import Results
from pipeline.training.config import ImportPlan
from settings_files import GONE, copy_settings, edit_settings

WEIGHTS, NETWORKS = "conf/released/cifar10.yaml:weights", "conf/dataset/cifar10.yaml:model"


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A working folder with narrow CIFAR-10 networks, a checkpoint of them, and the variant beside `full`."""
    model = official.Official(**{**official.CIFAR.__dict__, "widths": (64, 16, 4), "d_widths": (48, 64), "latent": 16})
    upsamplings = ("none", "pixel_shuffle", "pixel_shuffle")
    generator = [
        {"upsample": upsample, "width": width, "depth": depth}
        for upsample, width, depth in zip(upsamplings, model.widths, model.depths, strict=True)
    ]
    discriminator = [
        {"width": width, "depth": depth} for width, depth in zip(model.d_widths, model.d_depths, strict=True)
    ]
    states = {
        "avg_gen_state_dict": official.random_state(official.generator_shapes(model), 1),
        "dis_state_dict": official.random_state(official.discriminator_shapes(model), 2),
    }
    torch.save({"epoch": 3, **states}, tmp_path / "cifar.pth")
    copy_settings(
        tmp_path,
        {
            WEIGHTS: "cifar.pth",
            f"{NETWORKS}.generator.transgan.stages": generator,
            f"{NETWORKS}.generator.transgan.latent_dim": model.latent,
            f"{NETWORKS}.discriminator.transgan.stages": discriminator,
            "matrix": {"datasets": ["cifar10"], "variants": ["full", "released"], "seeds": [4, 5]},
        },
    )
    monkeypatch.chdir(tmp_path)


def plan_of(seed):
    file = f"plan/train/cifar10/released/seed{seed}.yaml"
    return bind(ImportPlan, read_yaml(file), file=file)


def test_the_cell_is_planned_imported_and_one_row_of_the_report(project):
    index = planning.write_plan()
    own = [cell for cell in index["cells"] if cell["variant"] == "released"]
    assert [(cell["seed"], cell["kimg"], cell["repeats"]) for cell in own] == [(4, 0.0, False), (5, 0.0, True)]
    assert all("repeats" not in cell for cell in index["cells"] if cell["variant"] == "full")
    assert plan_of(4) == plan_of(5) and "trainings" in planning.describe_plan(index)[0]
    record = import_run(plan_of(4), Path("runs/cifar10/released/seed4"))
    assert (record["status"], record["kimg"], record["imported_from"]) == ("ok", None, "cifar.pth")
    assert load_generator("runs/cifar10/released/seed4").sample(2).shape == (2, 32, 32, 3)
    for cell in index["cells"]:
        folder = Path("results") / cell["dataset"] / cell["variant"] / f"seed{cell['seed']}"
        write_json(folder.with_suffix(".json"), {"status": "ok", "kimg": None, "fid50k_train_legacy": 9.3})
        write_json(folder / "run.json", record if cell["variant"] == "released" else {"status": "ok"})
    cells = Results(index, "plan", "results").cells
    assert list(zip(cells.variant, cells.seed, cells.state, strict=True)) == [
        ("full", 4, "ok"), ("full", 5, "ok"), ("released", 4, "imported")
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("edits", "said"),
    [
        ({WEIGHTS: GONE}, "conf/released/cifar10.yaml: weights: given None; allowed: the path"),
        ({WEIGHTS: "no.pth"}, "given 'no.pth'; allowed: the path"),
        ({"matrix.datasets": ["digits"]}, "given 'digits'; allowed: datasets with released weights"),
        ({"conf/variant/released.yaml:imports": "yes"}, "conf/variant/released.yaml: imports: given 'yes'"),
    ],
)
def test_what_cannot_be_imported_is_said_before_any_work(project, edits, said):
    edit_settings(Path(), edits)
    with pytest.raises(ConfigError, match=said) as error:
        planning.write_plan()
    assert "\n" not in str(error.value) and not Path("plan").exists()


def test_a_file_that_changed_since_the_plan_is_not_imported(project):
    planning.write_plan()
    Path("cifar.pth").write_bytes(b"another file")
    with pytest.raises(UserError, match="the file is damaged or was replaced"):
        import_run(plan_of(4), Path("runs/x"))
    assert not Path("runs").exists() and read_json("plan/index.json")["variants"] == ["full", "released"]
