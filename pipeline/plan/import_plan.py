"""The plan of a cell whose weights are imported instead of trained."""

from pipeline.base.schema import Strict
from pipeline.networks.spec import NetworkSpec


class ImportPlan(Strict):
    """All that an import depends on: the content of plan/train/<cell>.yaml in place of a `TrainPlan`."""

    dataset: str
    weights: str  # path of the checkpoint
    sha256: str  # of the file, as `plan` found it
    networks: list[NetworkSpec]  # those that were released for the dataset; the file is one of them
