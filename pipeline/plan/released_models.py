"""The models that were released, by dataset, and what a cell that imports one of them needs. Without torch."""

from pathlib import Path
from typing import Any

from pipeline.base.errors import ConfigError, UserError, choices
from pipeline.base.files import sha256
from pipeline.networks.spec import NetworkSpec
from pipeline.plan.config import resolve_cell
from pipeline.plan.import_plan import ImportPlan

# The networks: variants of params.yaml, and whether the dataset's `released` settings are laid over them.
DATASETS = {
    "cifar10": (("full", True),),
    "stl10": (("full", True),),
    "celebahq256": (("full", True), ("celebahq_october", False)),  # of June and of October 2021
    "church256": (("full", True),),
}


def released_specs(content: dict[str, Any], dataset: str) -> list[NetworkSpec]:
    """Both networks of every model that was released for `dataset`; `content`: params.yaml.

    Errors: `UserError` for a dataset without released weights; those of params.yaml.
    """
    if dataset not in DATASETS:
        raise UserError(f"--dataset: given {dataset!r}; allowed: {choices(DATASETS, dataset)}")
    return [resolve_cell(content, dataset, variant, released=own).network for variant, own in DATASETS[dataset]]


def import_plan(content: dict[str, Any], dataset: str, variant: str, *, file: str) -> ImportPlan:
    """What the train stage of a cell needs whose variant imports released weights.

    Errors: `ConfigError` for a dataset without released models, and where the file is not named or not there.
    """
    if dataset not in DATASETS:
        allowed = f"datasets with released weights beside the variant {variant}: {choices(DATASETS)}"
        raise ConfigError(file, "matrix.datasets", dataset, allowed)
    given = content["datasets"][dataset].get("released", {}).get("weights")
    path = None if given is None else Path(given).expanduser()
    if path is None or not path.is_file():
        key = f"datasets.{dataset}.released.weights"
        raise ConfigError(file, key, given, f"the path of a checkpoint of the released code, for the variant {variant}")
    networks = released_specs(content, dataset)
    return ImportPlan(dataset=dataset, weights=given, sha256=sha256(path), networks=networks)
