"""The guard of the fingerprint: nothing that computes in a training is outside of it.

A small training of every kind runs in a process of its own. What that process loads and calls is compared with the
modules that the plan names.
"""

import ast
import importlib
import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from october import DISCRIMINATOR, GENERATOR
from pipeline.base.schema import dump
from pipeline.networks import families
from pipeline.plan import fingerprint as module
from pipeline.plan.config import resolve_cell
from pipeline.plan.fingerprint import LEFT_OUT, fingerprint
from pipeline.training.config import LOSSES, NO_PENALTY, PENALTIES

ROOT = Path(__file__).parent.parent.parent
# Modules that a training process loads and whose text is no part of a fingerprint, and why none of their numbers count.
OUTSIDE = {
    "pipeline": "a docstring",
    "pipeline.base": "empty",
    "pipeline.base.errors": "words of errors",
    "pipeline.base.schema": "reads and checks settings; their values are in the plan",
    "pipeline.networks": "empty",
    "pipeline.networks.families": "names of modules, which are in the closure by themselves",
    "pipeline.networks.spec": "settings; their values are in the plan",
    **{
        name: why
        for family in families.FAMILIES.values()
        if family.endswith(".spec")  # a folder; a family of one file is in the closure whole
        for name, why in {
            family.removesuffix(".spec"): "empty",
            family: "settings; their values are in the plan",
        }.items()
        if module.path(name)
    },
    "pipeline.training": "empty",
    "pipeline.training.config": "settings; their values are in the plan",
}
# Functions of those that run during a training: they find what the plan names, or say again what is in it.
FINDERS = {
    "pipeline.networks.families": {"load", "load_attribute"},
    "pipeline.training.config": {"parts"},  # a value of the plan, where it is a number
    # Whether a norm is batch norm: tests/networks/transgan compares it with the modules that the network has.
    **dict.fromkeys(["pipeline.networks.spec", *families.FAMILIES.values()], {"batch_statistics"}),
}
GUARD = """
import json, os, sys, traceback
from pathlib import Path
import numpy as np
import torch, torch._dynamo, safetensors.torch, omegaconf, pydantic  # all but the project, once for every child
torch.set_num_threads(1)

def look(plan_file, found_file):
    from pipeline.base.schema import bind, read_yaml
    from pipeline.training.config import TrainPlan
    from pipeline.training.loop import Observer, train
    plan = bind(TrainPlan, read_yaml(plan_file), file=plan_file)
    images = np.random.default_rng(0).integers(0, 256, (16, 1, 8, 8), dtype=np.uint8)
    device = torch.device("cpu")
    train(plan, images, device, Observer())
    loaded = sorted(name for name in sys.modules if name.split(".")[0] == "pipeline")
    root, ran = str(Path(sys.modules["pipeline"].__file__).parent.parent) + os.sep, set()

    def profile(frame, event, _):
        code = frame.f_code
        function = code.co_flags & 1  # not the body of a class
        if event == "call" and function and code.co_filename.startswith(root + "pipeline" + os.sep):
            ran.add((code.co_filename[len(root):-3].replace(os.sep, "."), code.co_name))

    sys.setprofile(profile)
    train(plan, images, device, Observer())
    sys.setprofile(None)
    Path(found_file).write_text(json.dumps({"loaded": loaded, "ran": sorted(ran)}))

for plan_file in sys.argv[1:]:
    child = os.fork()  # a process of its own, which has loaded none of the project yet
    if not child:
        status = 1
        try:
            look(plan_file, plan_file + ".json")
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    if os.waitpid(child, 0)[1]:
        sys.exit(f"{plan_file}: failed")
"""
# Every objective, every kind of attention and norm, every way to compute a step: name -> variant, changed settings.
CELLS = {
    f"{loss}-{penalty}": ("full", {"loss": loss, "penalty": penalty})
    for loss, penalty in zip(itertools.cycle(LOSSES), [*PENALTIES, NO_PENALTY], strict=False)
} | {
    "nystrom": ("nystrom_attention", {"recompute": True, "accumulate": 2}),
    "axis": ("axis_attention", {"precision": "bf16"}),
    "batch_norm": ("batch_norm", {"ema_clock": "released", "lr_decay": True}),
    "instance_norm": ("instance_norm", {"critic_steps": 2, "keep_generator_gradients": True}),
    "no_norm": ("no_norm", {"clip_norm": None, "ema_kimg": None, "penalty_interval": 2}),
}


# Small networks of every family (`model` of a variant), for the digits. A new family has its entry here.
NETWORKS = {
    "transgan": None,  # in the cells above
    "resnet": {
        "generator": {"family": "resnet", "resnet": {"preset": "sngan"}},
        "discriminator": {"family": "resnet", "resnet": {"preset": "sngan"}},
    },
    "stylegan2": {
        "generator": {"family": "stylegan2", "stylegan2": {"preset": "small"}},
        "discriminator": {"family": "stylegan2", "stylegan2": {"preset": "small"}},
    },
}
OCTOBER = {  # what only its networks have: cross-attention, smoothing, overlapping patches
    "generator": {"transgan": GENERATOR},
    "discriminator": {"transgan": DISCRIMINATOR},
    "attention_from": 4,
    "window": 2,
}
MODELS = {**NETWORKS, "october": OCTOBER}
CELLS |= {family: (family, {"penalty": "r1"}) for family, networks in MODELS.items() if networks}


def test_every_family_is_looked_at():
    assert NETWORKS.keys() == families.FAMILIES.keys()


@pytest.fixture(scope="module")
def trainings(params, plan, augmentation, tmp_path_factory):
    """Cell -> (its plan, what its training loaded and ran), from a process per cell. The policy has every operation."""
    folder, plans = tmp_path_factory.mktemp("plans"), {}
    augment = augmentation(policy=["translation", "cutout", "color", "erase", "hue", "filter"])
    small = {
        "kimg": 0.008,
        "batch_discriminator": 4,
        "batch_generator": 4,
        "ticks": 2,
        "snapshots": 1,
        "augment": augment,
    }
    rows = {f"family_{family}": {"model": networks} for family, networks in MODELS.items() if networks}
    content = {**params, "variants": rows}
    for name, (variant, changes) in CELLS.items():
        changes = {"snapshot_images": 4, "weight_snapshots": 1} | small | changes
        if variant in MODELS:
            network, train = resolve_cell(content, "digits", f"family_{variant}").network, plan(**changes).train
            plans[name] = plan().model_copy(
                update={"network": network, "train": train, "code": fingerprint(network, train)}
            )
        else:
            plans[name] = plan(variant, **changes)
        (folder / f"{name}.yaml").write_text(dump(plans[name]))
    done = subprocess.run(
        [sys.executable, "-c", GUARD, *(str(folder / f"{name}.yaml") for name in plans)],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return {name: (one, json.loads((folder / f"{name}.yaml.json").read_text())) for name, one in plans.items()}


@pytest.mark.parametrize("name", CELLS)
def test_every_module_that_a_training_loads_is_in_its_fingerprint_or_holds_no_number(trainings, name):
    one, found = trainings[name]
    outside = set(found["loaded"]) - one.code.keys()
    assert outside <= OUTSIDE.keys(), f"loaded, not in the fingerprint: {sorted(outside - OUTSIDE.keys())}"
    never_loaded = one.code.keys() - set(found["loaded"])
    assert not never_loaded, f"in the fingerprint, never loaded: {sorted(never_loaded)}"


@pytest.mark.parametrize("name", CELLS)
def test_every_function_that_a_training_runs_is_in_its_fingerprint(trainings, name):
    one, found = trainings[name]
    strangers = {
        (module, function)
        for module, function in map(tuple, found["ran"])
        if module not in one.code and function not in FINDERS.get(module, ())
    }
    assert not strangers and ("pipeline.training.loop", "train") in set(map(tuple, found["ran"]))


@pytest.mark.parametrize("name", OUTSIDE)
def test_loading_a_module_outside_only_defines(name):
    """A module outside that acts when loaded, say by setting torch's precision, would change numbers unseen."""
    body = ast.parse(module.path(name).read_text()).body
    allowed = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef, ast.Assign, ast.AnnAssign)
    for statement in body:
        docstring = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
        assert docstring or isinstance(statement, allowed), f"{name}: line {statement.lineno}"


def test_what_code_that_trains_takes_from_outside_is_no_number(trainings):
    """Classes, functions and names: a number in a module that is left out would change a training unseen."""
    taken = {
        (node.module, alias.name)
        for name in {name for one, _ in trainings.values() for name in one.code}
        for node in ast.walk(module.tree(name))
        if isinstance(node, ast.ImportFrom) and node.module in LEFT_OUT
        for alias in node.names
    }
    assert ("pipeline.training.config", "LOSSES") in taken
    for file, name in taken:
        value = getattr(importlib.import_module(file), name)
        values = value.values() if isinstance(value, dict) else [value]
        assert callable(value) or all(isinstance(one, str) for one in values), f"{name} of {file}"


def test_what_is_left_out_says_why():
    assert OUTSIDE.keys() >= LEFT_OUT and all(OUTSIDE.values())
