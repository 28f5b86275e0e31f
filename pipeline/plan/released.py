"""The models that were released, by data set, and the plan of a cell that imports one of them. Without torch."""

from collections.abc import Mapping
from typing import Any

from pipeline.base.errors import ConfigError, UserError, choices
from pipeline.base.files import expand_home, sha256
from pipeline.networks.spec import NetworkSpec
from pipeline.plan.config import ResolvedCell, resolve_cell
from pipeline.training.config import ImportPlan

# The networks: variants, and whether conf/released/<dataset>.yaml is laid below them.
DATASETS = {
    "cifar10": (("full", True),),
    "stl10": (("full", True),),
    "celebahq256": (("full", True), ("celebahq_october", False)),  # of June and of October 2021
    "church256": (("full", True),),
}


def released_specs(content: Mapping[str, Any], dataset: str) -> list[NetworkSpec]:
    """Both networks of every model that was released for `dataset`; `content`: params.yaml.

    Errors: `UserError` for a dataset without released weights; those of params.yaml.
    """
    if dataset not in DATASETS:
        raise UserError(f"--dataset: given {dataset!r}; allowed: {choices(DATASETS, dataset)}")
    return [resolve_cell(content, dataset, variant, released=own).network for variant, own in DATASETS[dataset]]


def import_plan(content: Mapping[str, Any], cell: ResolvedCell) -> ImportPlan:
    """What the train stage of a cell needs whose variant imports released weights.

    Errors: `ConfigError` for a dataset without released models, and where the file is not named or not there.
    """
    if cell.dataset not in DATASETS:
        allowed = f"datasets with released weights beside the variant {cell.variant}: {choices(DATASETS)}"
        raise ConfigError(content["file"], "matrix.datasets", cell.dataset, allowed)
    given = cell.composed.content.get("weights")
    path = None if given is None else expand_home(given)
    if given is None or path is None or not path.is_file():
        allowed = f"the path of a checkpoint of the released code, for the variant {cell.variant}"
        raise ConfigError(f"conf/released/{cell.dataset}.yaml", "weights", given, allowed)
    networks = released_specs(content, cell.dataset)
    return ImportPlan(dataset=cell.dataset, weights=given, sha256=sha256(path), networks=networks)
