"""Which code a training's numbers depend on: a digest per numeric module, written into the training's plan file.

The modules are those that the training loop, the networks of the cell's families, its loss and its penalty import,
directly or not; a digest is that of the syntax tree without docstrings and the words of errors. So a training reruns
only where its numbers can change. A dynamic import would hide a module: modules that train may not have one.
"""

import ast
import hashlib
import re
from functools import cache
from modulefinder import ModuleFinder
from pathlib import Path

from pipeline.base.errors import UserError
from pipeline.networks.families import FAMILIES
from pipeline.networks.families import load as load_family
from pipeline.networks.spec import NetworkSpec
from pipeline.training.config import LOSSES, PENALTIES, TrainConfig

ROOT = Path(__file__).parent.parent.parent
LOOP = "pipeline.training.loop"
# Not followed: words of errors, settings, whose values are in the plan, and names of modules that are looked up here.
LEFT_OUT = {
    *("pipeline.base.errors", "pipeline.base.schema", "pipeline.networks.families", "pipeline.networks.spec"),
    *("pipeline.training.config", *(f"pipeline.networks.{family}.spec" for family in FAMILIES)),
}
HIDING = r"\b(importlib|import_module|__import__|_*builtins_*|runpy|pkgutil|inspect|__doc__)\b|(?<!\.)\b(exec|eval)\b"
HIDING += r"|from \.+"


def fingerprint(network: NetworkSpec, train: TrainConfig) -> dict[str, str]:
    """Module -> digest of every module that the numbers of this training depend on, sorted by name.

    Errors: `UserError` for a module that imports dynamically, which this could not follow.
    """
    classes = [load_family(network.generator.family).GENERATOR, load_family(network.discriminator.family).DISCRIMINATOR]
    classes += [LOSSES[train.loss], *([PENALTIES[train.penalty]] if train.penalty in PENALTIES else [])]
    roots = {LOOP, *(name.partition(":")[0] for name in classes)}
    return {name: digest(name) for name in sorted(frozenset().union(*map(closure, roots)))}


@cache
def closure(root: str) -> frozenset[str]:
    """Module `root` and every module of the project that it imports, directly or not; without empty packages."""
    finder = ModuleFinder(path=[str(ROOT)], excludes=LEFT_OUT)
    finder.import_hook(root)
    files = {name: module.__file__ for name, module in finder.modules.items()}  # type: ignore[attr-defined]
    return frozenset(name for name, file in files.items() if file and tree(name).body)


@cache
def digest(name: str) -> str:
    """Hexadecimal digest of a module's numeric content; the same for every version of Python.

    Newer versions leave out empty fields. A letter first: YAML would read one digest in a thousand as a number.
    """
    text = re.sub(r"\b\w+=\[\](, )?", "", ast.dump(tree(name))).replace(", )", ")")
    return "x" + hashlib.sha256(text.encode()).hexdigest()[:16]


@cache
def tree(name: str) -> ast.Module:
    """The syntax tree of a module without docstrings and words of errors.

    Errors: `UserError` for a word of `HIDING`, and for a relative import.
    """
    module = ast.parse(path(name).read_text(encoding="utf-8"))
    for node in ast.walk(module):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            del node.body[0]
        elif isinstance(node, ast.JoinedStr):  # Python 3.12 has empty texts among its parts
            node.values = [part for part in node.values if getattr(part, "value", None) != ""]
        elif isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            node.exc.args = []
    if hides := re.search(HIDING, ast.unparse(module)):
        raise UserError(f"{name}: {hides[0]} is not allowed in code that trains, it hides what is run")
    return module


def path(name: str) -> Path:
    """The file of a module or package of the project."""
    place = ROOT.joinpath(*name.split("."))
    return file if (file := place.with_suffix(".py")).is_file() else place / "__init__.py"
