"""Every module of the project that a stage can import is among its deps in dvc.yaml, and no dep is without use.

A missing dep would keep stale results after a change of code; a needless one would run a stage again for nothing.
`train` is the exception: it depends on no code at all, as its plan file names the code its numbers depend on
(pipeline/plan/fingerprint.py). So `plan`, which writes those names, depends on every file that they are taken from.
"""

import ast
import re
from pathlib import Path

import pytest
import yaml

from pipeline.networks import families
from pipeline.plan import fingerprint
from pipeline.training.config import LOSSES, PENALTIES

ROOT = Path(__file__).parent.parent
STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]


def module_file(name: str) -> Path | None:
    path = ROOT / Path(*name.split("."))
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()), None)


def imports(file: Path) -> set[Path]:
    """Files of the project that `file` imports, anywhere in it, and those of the "module:attribute" it names."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Constant) and re.fullmatch(r"pipeline(\.\w+)+:\w+", str(node.value)):
            names = [node.value.partition(":")[0]]
        found |= {
            path for name in names if name.split(".")[0] in ("pipeline", "stages") and (path := module_file(name))
        }
    return found


def closure(file: Path) -> set[Path]:
    seen, waiting = set(), [file]
    while waiting:
        current = waiting.pop()
        if current not in seen:
            seen.add(current)
            waiting += imports(current)
    # Package files are empty but for their docstring: no stage depends on them.
    return {path for path in seen if path.name != "__init__.py"}


def code_deps(stage: str) -> list[str]:
    return [dep for dep in STAGES[stage]["deps"] if dep.startswith(("pipeline", "stages"))]


def fingerprinted() -> set[Path]:
    """Files whose text can be in a training's fingerprint: those of every family and every objective."""
    names = {fingerprint.LOOP}
    for family in families.FAMILIES:
        module = families.load(family)
        names |= {module.GENERATOR, module.DISCRIMINATOR}
    names |= {*LOSSES.values(), *PENALTIES.values()}
    roots = {name.partition(":")[0] for name in names}
    return {fingerprint.path(name) for root in roots for name in fingerprint.closure(root)}


@pytest.mark.parametrize("stage", [stage for stage in STAGES if stage != "train"])
def test_imports_and_deps_agree(stage):
    needed = closure(ROOT / "stages" / f"{stage}.py") | (fingerprinted() if stage == "plan" else set())
    deps = [ROOT / dep for dep in code_deps(stage)]
    missing = {
        str(path.relative_to(ROOT)) for path in needed if not any(path == dep or dep in path.parents for dep in deps)
    }
    assert not missing, f"{stage} imports these without depending on them"
    needless = {
        str(dep.relative_to(ROOT)) for dep in deps if not any(path == dep or dep in path.parents for path in needed)
    }
    assert not needless, f"{stage} depends on these without importing them"


def test_training_depends_on_its_plan_file_and_its_images_alone():
    assert STAGES["train"]["deps"] == [
        "plan/train/${item.dataset}/${item.variant}/seed${item.seed}.yaml",
        "data/${item.dataset}",
    ]


def test_training_imports_no_metric_and_no_report_code():
    assert not {
        path for path in closure(ROOT / "stages/train.py") if {"metrics", "report"} & set(path.relative_to(ROOT).parts)
    }


def test_package_files_hold_nothing_but_a_docstring():
    for file in ROOT.glob("pipeline/**/__init__.py"):
        assert all(isinstance(node, ast.Expr) for node in ast.parse(file.read_text()).body), file


def test_no_module_of_the_pipeline_uses_unsafe_loading():
    for file in [*ROOT.glob("pipeline/**/*.py"), *ROOT.glob("stages/*.py")]:
        text = file.read_text()
        assert "pickle.load" not in text and "yaml.load(" not in text and "allow_pickle=True" not in text, file
        assert "torch.load(" not in text or "weights_only=True" in text, file
