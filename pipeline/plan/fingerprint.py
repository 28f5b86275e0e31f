"""Which code a training's numbers depend on: a digest per numeric module, written into the training's plan file.

The modules are the import closure of the training loop, the networks of the cell's families, its loss and its penalty;
a digest is that of the syntax tree without docstrings, annotations and the words of errors. So a training reruns only
where its numbers can change. A dynamic import would hide a module: modules of the closure may not use one (`UNSEEN`).
"""

import ast
import hashlib
import re
from functools import cache
from pathlib import Path

from pipeline.base.errors import UserError
from pipeline.networks.families import load as load_family
from pipeline.networks.spec import NetworkSpec
from pipeline.training.config import LOSSES, PENALTIES, TrainConfig

ROOT = Path(__file__).parent.parent.parent
PACKAGES = ("pipeline", "stages", "benchmarks", "tests")  # of this project; whatever else is imported is a library
LOOP = "pipeline.training.loop"
LEFT_OUT = {"pipeline.networks.families", "pipeline.training.config"}  # what they name is in by itself
UNSEEN = {
    *("importlib", "import_module", "__import__", "builtins", "__builtins__", "runpy", "pkgutil", "exec", "eval"),
    *("__doc__", "__annotations__", "get_type_hints", "singledispatch", "singledispatchmethod", "inspect"),
}


def fingerprint(network: NetworkSpec, train: TrainConfig) -> dict[str, str]:
    """Module -> digest of every module that the numbers of this training depend on, sorted by name.

    Errors: `UserError` for a module that imports dynamically, which this could not follow.
    """
    named = [
        load_family(network.generator.family).GENERATOR,
        load_family(network.discriminator.family).DISCRIMINATOR,
        LOSSES[train.loss],
        *([PENALTIES[train.penalty]] if train.penalty in PENALTIES else []),
    ]
    return {name: digest(name) for name in sorted(closure({LOOP, *(name.partition(":")[0] for name in named)}))}


def closure(names: set[str]) -> set[str]:
    """`names` and every module of the project that they import, directly or not, `LEFT_OUT` apart."""
    found: set[str] = set()
    waiting = set(names)
    while waiting:
        found.add(name := waiting.pop())
        waiting |= imported(name) - found - LEFT_OUT
    return found


@cache
def imported(name: str) -> frozenset[str]:
    """The modules of the project that module `name` imports for more than annotations, and packages that hold code."""
    packages = [name.rsplit(".", count)[0] for count in range(1, name.count(".") + 1)]
    found = {package for package in packages if path(package) and tree(package).body}
    for node in ast.walk(tree(name)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if path(alias.name)}
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                found |= {module for module in [whole if path(whole) else str(node.module)] if path(module)}
    return frozenset(found)


@cache
def digest(name: str) -> str:
    """Hexadecimal digest of a module's numeric content; the same for every version of Python.

    Newer versions leave out empty fields. A letter first: YAML would read one digest in a thousand as a number.
    """
    text = re.sub(r"\b\w+=\[\](, )?", "", ast.dump(tree(name))).replace(", )", ")")
    return "x" + hashlib.sha256(text.encode()).hexdigest()[:16]


@cache
def tree(name: str) -> ast.Module:
    """The syntax tree of a module without docstrings, annotations, imports for those alone, and words of errors.

    Errors: `UserError` for a word of `UNSEEN` and for a relative import.
    """
    file = path(name)
    assert file is not None, name
    module, annotated = ast.parse(file.read_text(encoding="utf-8")), set()
    for node in ast.walk(module):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            node.body[:1] = [] if len(node.body) > 1 or isinstance(node, ast.Module) else [ast.Pass()]
        elif isinstance(node, ast.JoinedStr):  # Python 3.12 has empty texts among its parts
            node.values = [part for part in node.values if getattr(part, "value", None) != ""]
        elif isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            node.exc.args = []
        for key in ("annotation", "returns"):
            if (annotation := getattr(node, key, None)) is not None:
                words = set(re.findall(r"\w+", ast.unparse(annotation)))
                special = sorted(words & {"ClassVar", "InitVar", "KW_ONLY"})  # change what a dataclass is
                annotated |= words - set(special)
                setattr(node, key, ast.Constant(value="".join(special)) if isinstance(node, ast.AnnAssign) else None)
    needless = annotated - {node.id for node in ast.walk(module) if isinstance(node, ast.Name)}
    for line in [node for node in module.body if isinstance(node, ast.Import | ast.ImportFrom)]:
        line.names = [alias for alias in line.names if (alias.asname or alias.name.split(".")[0]) not in needless]
        if not line.names:
            module.body.remove(line)
    for node in ast.walk(module) if name not in LEFT_OUT else ():
        _refuse_unseen(name, node)
    return module


def _refuse_unseen(name: str, node: ast.AST) -> None:
    words = {getattr(node, "id", None), getattr(node, "attr", None)}
    if isinstance(node, ast.Import | ast.ImportFrom):
        modules = [*(alias.name for alias in node.names), getattr(node, "module", None) or ""]
        words = {part for module in modules for part in module.split(".")}
    elif isinstance(node, ast.Attribute):  # `network.eval()` switches a network to evaluation; it computes from no text
        words -= {"eval"}
    refused = [f"{word} is not allowed in code that trains, it hides what is run" for word in words & UNSEEN]
    if getattr(node, "level", 0):
        refused = ["a relative import is not allowed in code that trains"]
    if refused:
        raise UserError(f"{name}: line {getattr(node, 'lineno', '?')}: {refused[0]}")


def path(name: str | None) -> Path | None:
    """The file of a module or package of the project; None for anything else."""
    if name is None or name.split(".")[0] not in PACKAGES:
        return None
    place = ROOT.joinpath(*name.split("."))
    return next((file for file in (place.with_suffix(".py"), place / "__init__.py") if file.is_file()), None)
