"""Which code a training's numbers depend on: a digest per numeric module, written into the training's plan file.

The modules are the import closure of the training loop, the networks of the cell's families, its loss and its penalty.
A digest is taken from the syntax tree without what cannot change a number (`pipeline.plan.numeric_syntax`). So a
training reruns if and only if its numbers can change.

What a module is read from is its text alone, which a dynamic import would fool: modules in the closure may not use one
(`UNSEEN`). The registries of families and objectives do, and are left out: what they name is in the closure by itself.
"""

import ast
import hashlib
from functools import cache
from pathlib import Path

from pipeline.base.errors import UserError
from pipeline.networks.families import load as load_family
from pipeline.networks.spec import NetworkSpec
from pipeline.plan.numeric_syntax import plain, stripped
from pipeline.training.config import TrainConfig
from pipeline.training.registry import LOSSES, PENALTIES

ROOT = Path(__file__).parent.parent.parent
PACKAGES = ("pipeline", "stages", "benchmarks", "tests")  # of this project; whatever else is imported is a library
LOOP = "pipeline.training.loop"
LEFT_OUT = {
    "pipeline.networks.families": "names modules; those of a cell are roots of its closure",
    "pipeline.training.registry": "names modules; those of a cell are roots of its closure",
}
# Ways of reaching code, or of computing from text or annotations, that the closure or the stripped tree would not show.
UNSEEN = {
    "importlib",
    "import_module",
    "__import__",
    "builtins",
    "__builtins__",
    "runpy",
    "pkgutil",
    "exec",
    "eval",
    "__doc__",
    "__annotations__",
    "get_type_hints",
    "singledispatch",
    "singledispatchmethod",
    "inspect",
}
DIGITS = 16  # hexadecimal, of a module's digest


def fingerprint(network: NetworkSpec, train: TrainConfig) -> dict[str, str]:
    """Module -> digest of every module that the numbers of this training depend on, sorted by name.

    Errors: `UserError` for a module that imports dynamically, which this could not follow.
    """
    return {name: digest(name) for name in sorted(closure(roots(network, train)))}


def roots(network: NetworkSpec, train: TrainConfig) -> set[str]:
    """The modules a training enters by name: the loop, and what the registries name for its families and objective."""
    named = [
        load_family(network.generator.family).GENERATOR,
        load_family(network.discriminator.family).DISCRIMINATOR,
        LOSSES[train.loss],
        *([PENALTIES[train.penalty]] if train.penalty in PENALTIES else []),
    ]
    return {LOOP, *(name.partition(":")[0] for name in named)}


def closure(names: set[str]) -> set[str]:
    """`names` and every module of the project that they import, directly or not, `LEFT_OUT` apart."""
    found: set[str] = set()
    waiting = set(names)
    while waiting:
        name = waiting.pop()
        found.add(name)
        waiting |= imported(name) - found - LEFT_OUT.keys()
    return found


@cache
def imported(name: str) -> frozenset[str]:
    """The modules of the project that module `name` imports for more than annotations, and packages that hold code."""
    packages = [name.rsplit(".", count)[0] for count in range(1, name.count(".") + 1)]
    found = {package for package in packages if _holds_code(package)}
    for node in ast.walk(tree(name)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if path(alias.name)}
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                raise UserError(
                    f"{name}: line {node.lineno}: a relative import is not allowed in code that trains; "
                    "name the module in full"
                )
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                found |= {module for module in (whole if path(whole) else str(node.module),) if path(module)}
    return frozenset(found)


@cache
def digest(name: str) -> str:
    """Hexadecimal digest of a module's numeric content; the same for every version of Python."""
    # A letter first: YAML would read one digest in a thousand as a number, such as 1234e56.
    return "x" + hashlib.sha256(repr(plain(tree(name))).encode()).hexdigest()[:DIGITS]


@cache
def tree(name: str) -> ast.Module:
    """The syntax tree of module `name` without what cannot change a number."""
    file = path(name)
    assert file is not None, name
    module = stripped(file.read_text(encoding="utf-8"))
    _refuse_unseen(name, module)
    return module


def path(name: str) -> Path | None:
    """The file of a module or package of the project; None for anything else."""
    if name.split(".")[0] not in PACKAGES:
        return None
    place = ROOT.joinpath(*name.split("."))
    return next((file for file in (place.with_suffix(".py"), place / "__init__.py") if file.is_file()), None)


def _holds_code(package: str) -> bool:
    return path(package) is not None and bool(tree(package).body)


def _refuse_unseen(name: str, module: ast.Module) -> None:
    if name in LEFT_OUT:
        return
    for node in ast.walk(module):
        words = {
            ast.Name: lambda n: [n.id],
            ast.Attribute: lambda n: [n.attr],
            ast.Import: lambda n: [alias.name.split(".")[0] for alias in n.names],
            ast.ImportFrom: lambda n: [str(n.module).split(".")[0], *(alias.name for alias in n.names)],
        }.get(type(node), lambda n: [])(node)
        for word in set(words) & UNSEEN:
            # `module.eval()` switches a network to evaluation; only the function of that name computes from text.
            if word == "eval" and isinstance(node, ast.Attribute):
                continue
            place = f"{name}: line {getattr(node, 'lineno', '?')}"
            raise UserError(f"{place}: {word} is not allowed in code that trains, it hides what is run")
