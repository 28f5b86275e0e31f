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
# From the bottom up: a folder, or modules of pipeline/ itself. What is not listed is a command, above everything.
LAYERS = [
    {"errors", "schema_errors", "schema", "files", "images", "tiling", "download", "numeric_syntax"},
    {"data"},
    {"model"},
    {"training"},
    {"fingerprint", "provenance", "revision"},
    {"runtime"},
    {"replicas"},
    {"sampling"},
    {"metrics"},
    {"report.config", "layers", "checks", "network_settings", "config"},  # settings of everything, merged and checked
    {"illustrations", "released", "report"},
]


def unit(module: str) -> str:
    """The folder of pipeline/ that holds a module, or the module's own name; of the report its settings stand apart."""
    name = module.removeprefix("pipeline.")
    return name if name == "report.config" else name.split(".")[0]


def layer(module: str) -> int:
    found = [height for height, units in enumerate(LAYERS) if unit(module) in units]
    return found[0] if found else len(LAYERS)


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


@pytest.mark.parametrize("module", [name for name in MODULES if layer(name) < len(LAYERS)])
def test_no_arrow_points_upwards(module):
    upward = {name for name in imports(module) if layer(name) > layer(module)}
    assert not upward, f"{module} is below {sorted(upward)}"


def test_folders_of_one_layer_do_not_import_each_other():
    folders = LAYERS[-1]
    across = {(name, other) for name in MODULES if unit(name) in folders for other in imports(name)}
    assert not {(a, b) for a, b in across if unit(b) in folders and unit(a) != unit(b)}


def test_no_imports_go_in_a_circle():
    order = list(TopologicalSorter({name: imports(name) for name in MODULES}).static_order())  # raises CycleError
    assert len(order) == len(MODULES) > 150


def test_every_layer_exists():
    """A folder that was renamed would leave its layer empty and its arrows unseen."""
    units = {unit(name) for name in MODULES}
    assert {name for units_ in LAYERS for name in units_} - units <= {"revision"}
