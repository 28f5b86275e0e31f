"""Which modules a training's fingerprint holds, what is refused in them, and that nothing which computes is outside."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from copy import deepcopy
from pathlib import Path

import pytest

from pipeline import fingerprint as module
from pipeline.config import resolve_cell
from pipeline.errors import UserError
from pipeline.fingerprint import LEFT_OUT, UNSEEN, closure, digest, fingerprint, imported
from pipeline.model import families
from pipeline.schema import dump
from pipeline.training.objectives.registry import LOSSES, NO_PENALTY, PENALTIES

ROOT = Path(__file__).parent.parent
OBJECTIVES = "pipeline.training.objectives"
# Modules that a training process loads and whose text is no part of a fingerprint, and why none of their numbers count.
OUTSIDE = {
    "pipeline": "a docstring",
    "pipeline.errors": "words of errors",
    "pipeline.schema": "reads and checks settings; their values are in the plan",
    "pipeline.schema_errors": "words of errors",
    "pipeline.model": "empty",
    "pipeline.model.families": "names of modules, which are in the closure by themselves",
    "pipeline.model.spec": "settings; their values are in the plan",
    **{
        name: why
        for family in families.FAMILIES.values()
        if family.endswith(".family")  # a folder; a family of one file is in the closure whole
        for name, why in {
            family.removesuffix(".family"): "empty",
            family: "names of modules and schemas",
            family.replace(".family", ".config"): "settings; their values are in the plan",
            family.replace(".family", ".spec"): "settings; their values are in the plan",
        }.items()
        if module.path(name)
    },
    "pipeline.model.resnet.presets": "settings; their values are in the plan",
    "pipeline.model.stylegan2.resolve": "settings; their values are in the plan",
    "pipeline.training": "empty",
    "pipeline.training.config": "settings; their values are in the plan",
    "pipeline.training.objectives": "empty",
    "pipeline.training.objectives.registry": "names of modules, which are in the closure by themselves",
}
# Functions of those that run during a training: they find what the plan names.
FINDERS = {
    "pipeline.model.families": {"load", "generator_class", "discriminator_class", "_named"},
    "pipeline.training.objectives.registry": {"load"},
    "pipeline.model.transgan_oct2021.spec": {"plain"},  # two values of the plan, handed on as they are
}


@pytest.fixture(autouse=True)
def forgetful():
    """Every test reads the files anew, and leaves nothing it read behind."""

    def forget():
        for function in (module.imported, module.digest, module.tree):
            function.cache_clear()

    forget()
    yield forget
    forget()


@pytest.fixture
def project(tmp_path, monkeypatch):
    """(name=text of a module, ...) -> they are written as the only modules of a project; `_` for a dot."""
    monkeypatch.setattr(module, "ROOT", tmp_path)

    def write(**texts):
        for name, text in texts.items():
            path = tmp_path.joinpath("pipeline", *name.split("_")).with_suffix(".py")
            if name.endswith("_package"):
                path = path.parent / "__init__.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    return write


@pytest.fixture
def copy(tmp_path, monkeypatch, forgetful):
    """A copy of the project's modules: (file, text to append) -> the file is edited."""
    shutil.copytree(ROOT / "pipeline", tmp_path / "pipeline", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(module, "ROOT", tmp_path)

    def edit(file, text):
        path = tmp_path / file
        before = path.read_text()
        path.write_text(before + text)
        forgetful()
        return lambda: (path.write_text(before), forgetful())

    return edit


# ---- what is followed ----
def test_imports_are_followed_in_every_form_and_place(project):
    project(
        a="import pipeline.b\nfrom pipeline import c\nfrom pipeline.d import x\npipeline.b.y + c.z + x\n",
        b="def f():\n    from pipeline.e import g\n    return g\n",
        c="",
        d="x = 1",
        e="g = 2",
        f="unreached = 3",
    )
    assert closure({"pipeline.a"}) == {f"pipeline.{name}" for name in "abcde"}


def test_an_import_for_annotations_alone_is_not_followed_and_one_for_its_effect_is(project):
    project(
        a="from pipeline.b import B\nimport pipeline.c\nfrom pipeline.d import *\n\n\ndef f(x: B): ...\n",
        b="class B: ...",
        c="",
        d="",
    )
    assert closure({"pipeline.a"}) == {"pipeline.a", "pipeline.c", "pipeline.d"}


def test_packages_that_hold_code_are_seen_and_empty_ones_are_not(project):
    project(a_b_c="x = 1", a_package='"""Only words."""', a_b_package="import pipeline.d\nSCALE = 2.0", d="")
    assert closure({"pipeline.a.b.c"}) == {"pipeline.a.b.c", "pipeline.a.b", "pipeline.d"}


def test_a_name_of_a_package_is_its_module_or_else_in_the_package(project):
    project(a="from pipeline.b import inner, VALUE\ninner, VALUE\n", b_package="VALUE = 1", b_inner="x = 1")
    assert imported("pipeline.a") >= {"pipeline.b", "pipeline.b.inner"}


def test_libraries_are_not_followed_and_other_folders_of_the_project_are(project, tmp_path):
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks/machine.py").write_text("x = 1")
    project(a="import torch\nfrom benchmarks.machine import x\ntorch.tanh(x)\n")
    assert closure({"pipeline.a"}) == {"pipeline.a", "benchmarks.machine"}


# ---- what is refused ----
USES = {
    "importlib": "import importlib.util",
    "import_module": "from importlib import import_module as load",
    "__import__": "x = __import__('pipeline.b')",
    "builtins": "import builtins\nbuiltins.eval('1')",
    "__builtins__": "x = __builtins__['eval']",
    "runpy": "import runpy",
    "pkgutil": "from pkgutil import resolve_name",
    "exec": "exec('x = 1')",
    "eval": "def f():\n    return eval('1')",
    "__doc__": "def f():\n    return len(f.__doc__)",
    "__annotations__": "class A:\n    x: int\n\n\nn = len(A.__annotations__)",
    "get_type_hints": "from typing import get_type_hints",
    "singledispatch": "from functools import singledispatch",
    "singledispatchmethod": "import functools\nx = functools.singledispatchmethod",
    "inspect": "import inspect",
}


def test_every_refused_word_has_its_case():
    assert USES.keys() == UNSEEN


@pytest.mark.parametrize("word", sorted(USES))
def test_what_would_hide_code_is_refused_in_one_line_that_names_it(project, word):
    project(a="from pipeline.b import x\nx", b=f'"""Words."""\n\n{USES[word]}\n')
    with pytest.raises(UserError, match=r"pipeline\.b: line \d+: .* is not allowed in code that trains") as error:
        closure({"pipeline.a"})
    assert "\n" not in str(error.value)


def test_a_relative_import_is_refused(project):
    project(a="from . import b\nb", b="")
    with pytest.raises(UserError, match=r"pipeline\.a: line 1: a relative import .* name the module in full"):
        closure({"pipeline.a"})


def test_evaluation_mode_of_a_network_is_no_eval(project):
    project(a="def f(network):\n    return network.eval()\n")
    assert closure({"pipeline.a"}) == {"pipeline.a"}


# ---- the project's own modules ----
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("penalty", [*PENALTIES, NO_PENALTY])
def test_a_closure_holds_the_cells_own_objective_and_no_other(plan, loss, penalty):
    held = {name for name in plan(loss=loss, penalty=penalty).code if name.startswith(f"{OBJECTIVES}.")}
    own = {LOSSES[loss], *([PENALTIES[penalty]] if penalty != NO_PENALTY else [])}
    assert held == {f"{OBJECTIVES}.interface", f"{OBJECTIVES}.objective", *(name.partition(":")[0] for name in own)}


def test_a_closure_holds_the_cells_own_families_and_no_other(plan, monkeypatch):
    spec = plan().network
    held = {name for name in plan().code if name.startswith("pipeline.model.")}
    folders = {name.split(".")[2] for name in held if name.count(".") > 2}
    assert folders == {"transgan"}
    alone = {"GENERATOR": "pipeline.images:Generator", "DISCRIMINATOR": "pipeline.images:Discriminator"}
    monkeypatch.setattr(module, "load_family", lambda family: type("Family", (), alone))
    other = fingerprint(spec, plan().train)
    assert not [name for name in other if name.startswith("pipeline.model.transgan")] and "pipeline.images" in other


def test_what_shows_stores_or_measures_is_in_no_fingerprint(plan):
    for penalty in [*PENALTIES, NO_PENALTY]:
        for name in plan(penalty=penalty).code:
            assert not name.startswith(("pipeline.runtime", "pipeline.report", "pipeline.metrics", "pipeline.config"))


def test_a_new_family_or_objective_changes_no_fingerprint(plan, copy, monkeypatch):
    one = plan()
    before = fingerprint(one.network, one.train)
    assert before == one.code
    monkeypatch.setitem(families.FAMILIES, "toy", "pipeline.model.toy")
    monkeypatch.setitem(LOSSES, "toy", "pipeline.training.objectives.toy:Toy")
    copy("pipeline/model/families.py", '\nFAMILIES["toy"] = "pipeline.model.toy"\n')
    copy("pipeline/training/objectives/registry.py", '\nLOSSES["toy"] = "pipeline.training.objectives.toy:Toy"\n')
    assert fingerprint(one.network, one.train) == before


def files():
    return sorted(path.relative_to(ROOT).as_posix() for path in ROOT.glob("pipeline/**/*.py"))


def test_a_number_in_any_file_changes_the_fingerprints_that_hold_it_and_words_change_none(plan, copy):
    plans = [
        plan(),
        plan("nystrom_attention", loss="hinge", penalty="r1"),
        plan(loss="relativistic", penalty="finite_difference"),
    ]
    before = [fingerprint(one.network, one.train) for one in plans]
    held = {module.path(name).relative_to(module.ROOT).as_posix(): name for old in before for name in old}
    for file in files():
        copy(file, "\n# A comment.\n")
    assert [fingerprint(one.network, one.train) for one in plans] == before
    for file in files():
        if file not in held and not file.endswith("__init__.py"):
            copy(file, "\n_NEW_NUMBER = 1.5\n")
    assert [fingerprint(one.network, one.train) for one in plans] == before
    for file, name in held.items():
        undo = copy(file, "\n_NEW_NUMBER = 1.5\n")
        for one, old in zip(plans, before, strict=True):
            changed = {name for name, value in fingerprint(one.network, one.train).items() if old.get(name) != value}
            assert changed == ({name} & old.keys()), file
        undo()


def test_a_digest_is_text_in_yaml(plan):
    for value in plan().code.values():
        assert re.fullmatch(r"x[0-9a-f]{16}", value)


def test_a_digest_does_not_depend_on_the_python_that_reads_the_file(project):
    """The digest of a module with most kinds of syntax. Other versions of Python must find this very text."""
    project(a=EVERYTHING)
    assert digest("pipeline.a") == "xfadf02367f7df1a5"


EVERYTHING = '''
"""Words."""
import math as m
from functools import partial, cache

X: int = 3
Y = [1, 2.5, -0.0, 1e-8, "text", b"bytes", None, True, ..., {1: "a", **{}}, {1, 2}, 3j]


@cache
def f(a, /, b=2, *c, d: int = 4, **e) -> int:
    """Words."""
    global X
    for i, (j, *k) in enumerate([(1, 2)]):
        while i < 3 and not j or k is None:
            i += 1
            continue
        else:
            break
    try:
        with open(a) as file, open(b):
            yield f"{file!r:>{b}} {b:.2f}"
    except (OSError, ValueError) as error:
        raise KeyError("words") from error
    finally:
        del i
    return lambda q, *r: q if r else [z for z in r if z][1:2, ::3]


class A(dict, metaclass=type):
    field: float = 1.0

    def g(self):
        match self:
            case {"a": [1, *_], **rest} if rest:
                return (y := m.sqrt(2))
            case A(field=1.0) | None:
                return partial(f, *[1], **{})
        assert self, "words"
'''


# ---- the guard: nothing that computes is outside ----
GUARD = """
import json, os, sys, traceback
from pathlib import Path
import numpy as np
import torch, torch._dynamo, safetensors.torch, omegaconf, pydantic  # all but the project, once for every child
torch.set_num_threads(1)

def look(plan_file, found_file):
    from pipeline.schema import bind, read_yaml
    from pipeline.training.config import TrainPlan
    from pipeline.training.loop import Observer, train
    plan = bind(TrainPlan, read_yaml(plan_file), file=plan_file)
    images = np.random.default_rng(0).integers(0, 256, (16, 3, 8, 8), dtype=np.uint8)
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
    for loss in LOSSES
    for penalty in [*PENALTIES, NO_PENALTY]
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
        "generator": {"family": "resnet", "preset": "sngan", "width": 16},
        "discriminator": {"family": "resnet", "preset": "sngan", "width": 16},
    },
    "stylegan2": {
        "generator": {"family": "stylegan2", "preset": "small"},
        "discriminator": {"family": "stylegan2", "preset": "small"},
    },
    "transgan_oct2021": {
        "generator": {
            "family": "transgan_oct2021",
            "latent_dim": 16,
            "base_side": 2,
            "stages": [
                {"upsample": "none", "width": 64, "depth": 0},
                {"upsample": "bicubic", "width": 64, "depth": 1},
                {"upsample": "pixel_shuffle", "width": 16, "depth": 1, "smooth": True},
            ],
        },
        "discriminator": {
            "family": "transgan_oct2021",
            "patch": 2,
            "overlap": 1,
            "stages": [{"width": 16, "depth": 1}, {"width": 32, "depth": 1}],
            "cls_depth": 1,
            "relative_position": False,
        },
        "attention_from": 4,
        "window": 2,
    },
}
CELLS |= {family: (family, {"penalty": "r1"}) for family, networks in NETWORKS.items() if networks}


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
    content = deepcopy(params)
    content["variants"] |= {
        f"family_{family}": {"model": networks} for family, networks in NETWORKS.items() if networks
    }
    for name, (variant, changes) in CELLS.items():
        changes = {"snapshot_images": 4, "weight_snapshots": 1} | small | changes
        if variant in NETWORKS:
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


def test_what_is_left_out_says_why():
    assert LEFT_OUT.keys() <= OUTSIDE.keys() and all(LEFT_OUT.values())
