"""What every cell needs: the plan, prepared images and references, made once by the head and pulled by the workers.

Prepared images are never pushed by `dvc push`: dvc.yaml says `push: false` for them, because several data sets must not
be passed on. The head pushes those that may be (SHAREABLE) by name. Workers prepare the others for themselves.
"""

from pathlib import Path

from pipeline.base.errors import UserError
from pipeline.base.files import read_json
from pipeline.base.schema import read_yaml
from pipeline.matrix.cluster.dvc_run import DvcRun, stage_environment
from pipeline.matrix.cluster.remote import opened

# Sources whose images may be passed on: the licence says so. All others are prepared by each worker for itself.
SHAREABLE = {"digits": "UCI Optical Recognition of Handwritten Digits, CC BY 4.0"}


def bring_inputs(root: Path) -> list[str]:
    """Make the plan, or bring it up to date, then images and references; returns the data sets.

    Errors: `UserError` where a stage fails.
    """
    _dvc(root, "repro", "plan")
    datasets: list[str] = read_json(root / "plan/index.json")["datasets"]
    _dvc(root, "repro", "--pull", *(f"reference@{dataset}" for dataset in datasets))
    return datasets


def push_inputs(root: Path, datasets: list[str]) -> list[str]:
    """Push references, and images that may be passed on; returns the data sets whose images were not pushed.

    Errors: `UserError` where the remote refuses.
    """
    held_back = [name for name in datasets if source_of(root, name) not in SHAREABLE]
    with opened(root) as repo:
        for dataset in sorted({*datasets} - {*held_back}):
            for stage in repo.stage.collect(f"prepare@{dataset}"):
                for odb, objects in stage.get_used_objs().items():
                    result = repo.cloud.push(objects, odb=odb)
                    if result.failed:
                        raise UserError(f"{dataset}: {len(result.failed)} files could not be pushed to the remote")
    for options in ((), ("--run-cache",)):
        _dvc(root, "push", *options, *(f"reference@{dataset}" for dataset in datasets))
    return held_back


def source_of(root: Path, dataset: str) -> str:
    """`source` of a data set in the plan."""
    return str(read_yaml(root / "plan/prepare" / f"{dataset}.yaml")["source"])


def _dvc(root: Path, *arguments: str) -> None:
    lines: list[str] = []
    ended = DvcRun(*arguments, root=root, environment=stage_environment()).wait(lines.append)
    if ended.code:
        print("\n".join(lines[-20:]), flush=True)
        raise UserError(f"dvc {' '.join(arguments[:3])} failed ({ended.error or 'see above'})")
