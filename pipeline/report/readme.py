"""The project's README.md has one generated part: where it stands, written from the results.

    python -m pipeline.report.readme        after a run whose results are to stand in README.md

What stands between the two marks is replaced, nothing else.
"""

from pathlib import Path

import pandas as pd

from pipeline.base.errors import UserError, command_line
from pipeline.base.files import write_text
from pipeline.report import paper
from pipeline.report.comparisons import compared, counted
from pipeline.report.content import markdown_rows
from pipeline.report.formats import NOT_RUN
from pipeline.report.published import Published, published_runs
from pipeline.report.results import Results

BEGIN, END = "<!-- measured: python -m pipeline.report.readme -->", "<!-- /measured -->"


def block(results: Results, published: list[Published]) -> str:
    """A Markdown table: data, what was trained here, and the outcome."""
    rows = []
    for dataset in results.datasets:
        done = results.of(dataset)[results.of(dataset).status == "ok"]
        metric = results.main_metric(dataset)
        value = results.measurement(dataset, paper.MAIN_VARIANT, metric).text
        orders = counted([found for found in compared(results, dataset) if found.comparison.of_paper])
        kimg = done.get("kimg", pd.Series(dtype=float)).astype(float).mean()
        trained = f"{done.variant.nunique()} rows, {len(done)} trainings of {kimg:g} kimg" if len(done) else NOT_RUN
        outcome = f"`{paper.MAIN_VARIANT}` `{metric}` {value}; the paper's orders: {orders or 'none compared'}"
        rows.append([paper.name_of(dataset), trained, outcome])
    for run in published:
        cells = run.results.cells
        trained = f"{len(cells)} training{'s' * (len(cells) > 1)} of {cells.kimg.max():g} kimg" if len(cells) else "-"
        rows.append([f"[{run.title}]({run.folder.as_posix()})", trained, run.best or "-"])
    if missing := [paper.name_of(name) for name in paper.MAIN_DATASETS if name not in results.datasets]:
        rows.append([", ".join(missing), "never", "-"])
    return markdown_rows(pd.DataFrame(rows, columns=["data", "trained here", "outcome"]))


def updated(text: str, measured: str) -> str:
    """README's text with `measured` between its two marks. Errors: `UserError` where a mark is missing."""
    begin, end = text.find(BEGIN), text.find(END)
    if not 0 <= begin < end:
        raise UserError(f"README.md: {BEGIN} and {END} are needed around its measured part")
    return f"{text[:begin]}{BEGIN}\n{measured}\n{text[end:]}"


@command_line
def main() -> None:
    path, measured = Path("README.md"), block(Results.load(), published_runs("published"))
    write_text(path, updated(path.read_text(encoding="utf-8"), measured))
    print(f"readme: {path}")


if __name__ == "__main__":
    main()
