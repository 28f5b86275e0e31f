"""Which modules a training's fingerprint holds, what changes it, and what is refused in them."""

import re
import shutil
from pathlib import Path

import pytest

from pipeline.base.errors import UserError
from pipeline.networks import families
from pipeline.plan import fingerprint as module
from pipeline.plan.fingerprint import closure, digest, fingerprint
from pipeline.training.config import LOSSES, NO_PENALTY, PENALTIES

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(autouse=True)
def forgetful():
    """Every test reads the files anew, and leaves nothing it read behind."""

    def forget():
        for function in (module.closure, module.digest, module.tree):
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
            for folder in path.relative_to(tmp_path).parents:
                (tmp_path / folder / "__init__.py").touch()
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
        c="z = 1",
        d="x = 1",
        e="g = 2",
        f="unreached = 3",
    )
    assert closure("pipeline.a") == {f"pipeline.{name}" for name in "abcde"}


def test_an_import_for_its_effect_is_followed_and_settings_are_not(project):
    project(
        a="import pipeline.c\nfrom pipeline.d import *\nfrom pipeline.training.config import TrainConfig\nx = 1",
        c="x = 1",
        d="x = 1",
        training_config="class TrainConfig: ...",
    )
    assert closure("pipeline.a") == {"pipeline.a", "pipeline.c", "pipeline.d"}


def test_packages_that_hold_code_are_seen_and_empty_ones_are_not(project):
    project(a_b_c="x = 1", a_package='"""Only words."""', a_b_package="import pipeline.d\nSCALE = 2.0", d="x = 1")
    assert closure("pipeline.a.b.c") == {"pipeline.a.b.c", "pipeline.a.b", "pipeline.d"}


def test_a_name_of_a_package_is_its_module_or_else_in_the_package(project):
    project(a="from pipeline.b import inner, VALUE\ninner, VALUE\n", b_package="VALUE = 1", b_inner="x = 1")
    assert closure("pipeline.a") == {"pipeline.a", "pipeline.b", "pipeline.b.inner"}


def test_libraries_are_not_followed_and_other_folders_of_the_project_are(project, tmp_path):
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks/__init__.py").touch()
    (tmp_path / "benchmarks/machine.py").write_text("x = 1")
    project(a="import torch\nfrom benchmarks.machine import x\ntorch.tanh(x)\n")
    assert closure("pipeline.a") == {"pipeline.a", "benchmarks.machine"}


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
    "inspect": "import inspect",
}


@pytest.mark.parametrize("word", sorted(USES))
def test_what_would_hide_code_is_refused_in_one_line_that_names_it(project, word):
    project(a="from pipeline.b import x\nx", b=f'"""Words."""\n\n{USES[word]}\n')
    with pytest.raises(UserError, match=r"pipeline\.b: \w+ is not allowed in code that trains") as error:
        closure("pipeline.a")
    assert "\n" not in str(error.value)


def test_a_relative_import_is_refused(project):
    project(a="from . import b\nb", b="")
    with pytest.raises(UserError, match=r"pipeline\.a: from \. is not allowed"):
        closure("pipeline.a")


def test_evaluation_mode_of_a_network_is_no_eval(project):
    project(a="def f(network):\n    return network.eval()\n")
    assert closure("pipeline.a") == {"pipeline.a"}


# ---- what an edit changes ----
MODULE = '''"""A module."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

SCALE: float = 2.0


@dataclass
class Settings:
    """Settings."""

    rate: float = 0.5
    count: int = 3


class Layer:
    def __init__(self, width: int, eps: float = 1e-8) -> None:
        """A layer."""
        self.width, self.eps = width, eps

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim != 2:
            raise ValueError(f"two dimensions are needed, these are {x.ndim}")
        assert self.width > 0, "no width"
        scaled: Tensor = x * SCALE
        return torch.tanh(scaled) + math.sqrt(self.eps)
'''
# What is replaced by what; the numbers stay what they are.
SAME = {
    "a comment": ("SCALE: float = 2.0", "# a comment\nSCALE: float = 2.0  # another"),
    "blank lines and brackets": ("return torch.tanh(scaled)", "\n        return (torch.tanh(scaled))"),
    "the module's docstring": ('"""A module."""', '"""Something else."""'),
    "a class's docstring": ('"""Settings."""', '"""Values."""'),
    "a function's docstring": ('"""A layer."""\n', '"""Something\n\n        longer."""\n'),
    "the words of an exception": ("two dimensions are needed, these are", "not two dimensions but"),
    "an exception without its number": ('f"two dimensions are needed, these are {x.ndim}"', '"wrong dimensions"'),
}
OTHER = {
    "a number": ("SCALE: float = 2.0", "SCALE: float = 2.5"),
    "a default argument": ("eps: float = 1e-8", "eps: float = 1e-6"),
    "a field's default": ("rate: float = 0.5", "rate: float = 0.25"),
    "a field without its default": ("    count: int = 3\n", "    count: int\n"),
    "a field's name": ("count: int", "number: int"),
    "a field of another kind": ("count: int = 3", "count: ClassVar[int] = 3"),
    "fields in another order": (
        "    rate: float = 0.5\n    count: int = 3\n",
        "    count: int = 3\n    rate: float = 0.5\n",
    ),
    "a decorator": ("@dataclass\n", "@dataclass(frozen=True)\n"),
    "an operator": ("x * SCALE", "x / SCALE"),
    "an import under another name": ("import math\n", "import cmath as math\n"),
    "an import that nothing uses": ("import math\n", "import math\nimport pipeline.base.images\n"),
    "the kind of an exception": ("raise ValueError", "raise KeyError"),
}


@pytest.fixture
def digest_of(project, forgetful):
    """(text in MODULE, what replaces it) -> the digest of the module."""

    def edit(old="", new=""):
        assert old in MODULE
        forgetful()
        project(a=MODULE.replace(old, new, 1))
        return digest("pipeline.a")

    return edit


@pytest.mark.parametrize(("old", "new"), SAME.values(), ids=SAME)
def test_what_changes_no_number_changes_no_digest(digest_of, old, new):
    assert digest_of(old, new) == digest_of()


@pytest.mark.parametrize(("old", "new"), OTHER.values(), ids=OTHER)
def test_what_may_change_a_number_changes_the_digest(digest_of, old, new):
    assert digest_of(old, new) != digest_of()


# ---- the project's own modules ----
@pytest.mark.parametrize(("registry", "setting", "name"), [(LOSSES, "loss", "hinge"), (PENALTIES, "penalty", "r1")])
def test_a_closure_holds_the_module_of_the_cells_own_objective_and_no_other(plan, monkeypatch, registry, setting, name):
    monkeypatch.setitem(registry, name, "pipeline.base.cell:Toy")
    for other in registry:
        assert ("pipeline.base.cell" in plan(**{setting: other}).code) == (other == name)


def test_a_closure_holds_the_cells_own_families_and_no_other(plan, monkeypatch):
    spec = plan().network
    held = {name for name in plan().code if name.startswith("pipeline.networks.")}
    folders = {name.split(".")[2] for name in held if name.count(".") > 2}
    assert folders == {"transgan"}
    alone = {"GENERATOR": "pipeline.base.images:Generator", "DISCRIMINATOR": "pipeline.base.images:Discriminator"}
    monkeypatch.setattr(module, "load_family", lambda family: type("Family", (), alone))
    other = fingerprint(spec, plan().train)
    assert (
        not [name for name in other if name.startswith("pipeline.networks.transgan")]
        and "pipeline.base.images" in other
    )


def test_what_shows_stores_or_measures_is_in_no_fingerprint(plan):
    for penalty in [*PENALTIES, NO_PENALTY]:
        for name in plan(penalty=penalty).code:
            assert not name.startswith(("pipeline.runs", "pipeline.report", "pipeline.metrics", "pipeline.plan.config"))


def test_a_new_family_or_objective_changes_no_fingerprint(plan, copy, monkeypatch):
    one = plan()
    before = fingerprint(one.network, one.train)
    assert before == one.code
    monkeypatch.setitem(families.FAMILIES, "toy", "pipeline.networks.toy")
    monkeypatch.setitem(LOSSES, "toy", "pipeline.training.toy:Toy")
    copy("pipeline/networks/families.py", '\nFAMILIES["toy"] = "pipeline.networks.toy"\n')
    copy("pipeline/training/config.py", '\nLOSSES["toy"] = "pipeline.training.toy:Toy"\n')
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
    assert digest("pipeline.a") == "x869ab82bc04efa3c"


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
