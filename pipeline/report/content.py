"""What all sections of the report are made from, read once."""

from pathlib import Path

from pipeline.plan.config import ReportConfig
from pipeline.report import paper
from pipeline.report.comparisons import Outcome, beyond_outcomes, outcomes
from pipeline.report.results import (
    families,
    load_cells,
    load_index,
    load_reference_answers,
    load_training_plan,
)


class Content:
    """What all sections are made from, read once."""

    def __init__(self, config: ReportConfig, plan: str, results: str, out: Path):
        self.config, self.results, self.figures = config, results, out / "figures"
        self.index = load_index(plan)
        self.datasets: list[str] = self.index["datasets"]
        self.cells = load_cells(self.index, results)
        self.answers = load_reference_answers(self.index, results)
        self.plans = {(c["dataset"], c["variant"]): load_training_plan(plan, c) for c in reversed(self.index["cells"])}
        self.outcomes: dict[str, list[Outcome]] = {
            dataset: outcomes(self.cells, dataset, config.confidence) for dataset in self.datasets
        }
        self.beyond: dict[str, list[Outcome]] = {
            dataset: beyond_outcomes(self.cells, dataset, config.confidence) for dataset in self.datasets
        }

    def cnns(self) -> set[str]:
        """Variants without a transformer, by their plans; those without a plan by the paper's names."""
        named = {v for model, pair in paper.MODELS.items() if model != "TransGAN" for v in pair}
        found = {variant: families(plan.get("network")) for (_, variant), plan in self.plans.items()}
        return {v for v, pair in found.items() if (not _transformer(pair) if pair else v in named)}


def _transformer(families: tuple[str, str]) -> bool:
    """Whether one of both networks at least is a transformer: several families are."""
    return any(name.startswith("transgan") for name in families)
