"""What the repository holds that is written from results and networks, without a run:

    python -m pipeline.report.generated        README's table of where it stands; pipeline/report/cost_geometry.csv

In README.md what stands between the two marks is replaced, nothing else. cost_geometry.csv has size and arithmetic of
every geometry in conf/: the report reads it, so that its tables need no torch; a test compares it with the networks.
"""

from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.base.errors import ConfigError, UserError, amount, command_line
from pipeline.base.files import write_text
from pipeline.generators.describe import describe
from pipeline.plan.compose import names
from pipeline.plan.config import load, resolve_cell
from pipeline.report import paper
from pipeline.report.document import markdown_rows
from pipeline.report.formats import NOT_RUN
from pipeline.report.published import Published, published_runs
from pipeline.report.results import Results
from pipeline.report.row_pairs import compared, counted

BEGIN, END = "<!-- measured: python -m pipeline.report.generated -->", "<!-- /measured -->"
GEOMETRIES = Path(__file__).with_name("cost_geometry.csv")
ATTENTION = ("standard_attention", "nystrom_attention", "axis_attention", "grid_attention")
PLAIN = [variant for variant, row in paper.rows_of("augmentation").items() if "+" not in row]  # without augmentation
# Each pair of networks once: a variant that changes the recipe alone has those of another row.
VARIANTS = dict.fromkeys((*ATTENTION, "full", *PLAIN, *paper.rows_of("hybrid_v1"), *paper.rows_of("scaling_v1")))


def standing(results: Results, published: list[Published]) -> str:
    """A Markdown table: data, what was trained here, and the outcome."""
    rows = []
    for dataset in results.datasets:
        done, metric = results.done(dataset), results.main_metric(dataset)
        value = results.measurement(dataset, paper.MAIN_VARIANT, metric).text
        orders = counted([found for found in compared(results, dataset) if found.comparison.of_paper])
        kimg = done.get("kimg", pd.Series(dtype=float)).astype(float).mean()
        trained = f"{done.variant.nunique()} rows, {len(done)} trainings of {kimg:g} kimg" if len(done) else NOT_RUN
        outcome = f"`{paper.MAIN_VARIANT}` `{metric}` {value}; the paper's orders: {orders or 'none compared'}"
        rows.append([paper.name_of(dataset), trained, outcome])
    for run in published:
        cells = run.results.cells
        trained = f"{amount(len(cells), 'training')} of {cells.kimg.max():g} kimg" if len(cells) else "-"
        rows.append([f"[{run.title}]({run.folder.as_posix()})", trained, run.best or "-"])
    if missing := [paper.name_of(name) for name in paper.datasets_of("main") if name not in results.datasets]:
        rows.append([", ".join(missing), "never", "-"])
    return markdown_rows(pd.DataFrame(rows, columns=["data", "trained here", "outcome"]))


def updated(text: str, measured: str) -> str:
    """README's text with `measured` between its two marks. Errors: `UserError` where a mark is missing."""
    begin, end = text.find(BEGIN), text.find(END)
    if not 0 <= begin < end:
        raise UserError(f"README.md: {BEGIN} and {END} are needed around its measured part")
    return f"{text[:begin]}{BEGIN}\n{measured}\n{text[end:]}"


def geometries(content: dict[str, Any]) -> pd.DataFrame:
    """A row per dataset and variant of conf/: parameters, and FLOPs (2 per multiply-add) of one image forward."""
    rows = []
    for dataset in names(content, "dataset"):
        for variant in (name for name in VARIANTS if name in names(content, "variant")):
            try:
                found = describe(resolve_cell(content, dataset, variant))
            except ConfigError:  # the data set's geometry does not allow the variant
                continue
            row = {"dataset": dataset, "resolution": found["resolution"], "variant": variant}
            for short, network in (("g", found["generator"]), ("d", found["discriminator"])):
                row |= {f"parameters_{short}": network["parameters"], f"flops_{short}": network["forward_flops"]}
            rows.append(row)
    return pd.DataFrame(rows)


@command_line
def main() -> None:
    readme, measured = Path("README.md"), standing(Results.load(), published_runs("published"))
    write_text(readme, updated(readme.read_text(encoding="utf-8"), measured))
    write_text(GEOMETRIES, geometries(load()).to_csv(index=False))
    print(f"generated: {readme}, {GEOMETRIES}")


if __name__ == "__main__":
    main()
