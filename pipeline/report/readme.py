"""The project's README.md has one generated part: where it stands, written from the results.

    python -m pipeline.report.readme        after a run whose results are to stand in README.md

What stands between the two marks is replaced, nothing else.
"""

from collections import Counter
from pathlib import Path

import pandas as pd

from pipeline.base.errors import UserError, command_line
from pipeline.base.files import write_text
from pipeline.report import paper
from pipeline.report.comparisons import compared
from pipeline.report.content import markdown_rows
from pipeline.report.formats import NOT_RUN
from pipeline.report.published import Published, published_runs
from pipeline.report.results import Results

BEGIN, END = "<!-- measured: python -m pipeline.report.readme -->", "<!-- /measured -->"


def block(results: Results, published: list[Published]) -> str:
    """A Markdown table: data, what was trained here, and the outcome."""
    rows = [_of_dataset(results, dataset) for dataset in results.datasets]
    rows += [_of_published(run, results.confidence) for run in published]
    missing = [paper.name_of(name) for name in paper.MAIN_DATASETS if name not in results.datasets]
    if missing:
        rows.append({"data": ", ".join(missing), "trained here": "never", "outcome": "-"})
    return markdown_rows(pd.DataFrame(rows))


def _of_dataset(results: Results, dataset: str) -> dict[str, str]:
    done = results.of(dataset)[results.of(dataset).status == "ok"]
    kimg = pd.to_numeric(done.kimg).mean() if len(done) else 0
    kinds = Counter(str(o.verdict.kind) for o in compared(results, dataset) if o.comparison.rows)
    metric = results.main_metric(dataset)
    values = results.measurement(dataset, paper.MAIN_VARIANT, metric).text
    counts = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
    return {
        "data": paper.name_of(dataset),
        "trained here": f"{done.variant.nunique()} rows, {len(done)} trainings of {kimg:g} kimg"
        if len(done)
        else NOT_RUN,
        "outcome": f"`{paper.MAIN_VARIANT}` `{metric}` {values}; the paper's orders: {counts or 'none compared'}",
    }


def _of_published(run: Published, confidence: float) -> dict[str, str]:
    kimg = [cell.run["kimg"] for cell in run.cells if "kimg" in cell.run]
    text = run.sentence(confidence).partition("): ")[2]
    return {
        "data": f"[{run.title}]({run.folder.as_posix()})",
        "trained here": f"{len(run.cells)} training{'s' * (len(run.cells) > 1)}"
        + (f" of {max(kimg):g} kimg" if kimg else ""),
        "outcome": text or "-",
    }


def updated(text: str, measured: str) -> str:
    """README's text with `measured` between its two marks. Errors: `UserError` where a mark is missing."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise UserError(f"README.md: {BEGIN} and {END} are needed around its measured part")
    return f"{before}{BEGIN}\n{measured}\n{END}{after}"


@command_line
def main() -> None:
    path, measured = Path("README.md"), block(Results.load(), published_runs("published"))
    write_text(path, updated(path.read_text(encoding="utf-8"), measured))
    print(f"readme: {path}")


if __name__ == "__main__":
    main()
