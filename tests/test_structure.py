"""The structure of the code: every folder imports from those below it alone, and no imports go in a circle."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted([*ROOT.glob("pipeline/**/*.py"), *ROOT.glob("stages/*.py")])
}
# From the bottom up: a room imports from those before it alone. Nothing stands loose but the command, above everything.
ROOMS = [
    "base",
    "data",
    "networks",
    "training",
    "metrics",
    "plan",
    "runs",
    "released",
    "generators",
    "pictures",
    "matrix",
    "commands",
    "report",
]


def room(module: str) -> str:
    """The folder of pipeline/ that holds a module; the module's own name where it is loose."""
    return module.removeprefix("pipeline.").split(".")[0]


def floor(module: str) -> int:
    return ROOMS.index(room(module)) if room(module) in ROOMS else len(ROOMS)


def imports(module: str) -> set[str]:
    """The project's modules that a module imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(MODULES[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            whole = {alias.name: f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in MODULES else node.module for name in whole.values()}
    return found & MODULES.keys()


@pytest.mark.parametrize("module", MODULES)
def test_no_arrow_points_upwards(module):
    upward = {name for name in imports(module) if floor(name) > floor(module)}
    assert not upward, f"{module} is below {sorted(upward)}"


def test_the_rooms_are_all_there_and_nothing_is_loose():
    inside = {path.name for path in (ROOT / "pipeline").iterdir() if path.name != "__pycache__"}
    assert inside == {*ROOMS, "__init__.py", "cli.py"}


def test_no_imports_go_in_a_circle():
    order = list(TopologicalSorter({name: imports(name) for name in MODULES}).static_order())  # raises CycleError
    assert len(order) == len(MODULES) > 100
