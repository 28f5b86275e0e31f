"""Tables about the results: every cell, its curves, where it comes from, known answers, cost, settings, deviations."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.plan.compose import group_files
from pipeline.report import paper
from pipeline.report.content import Table
from pipeline.report.formats import NOT_RUN, duration, interval
from pipeline.report.pictures import SPACES
from pipeline.report.published import Published, known_answers_table
from pipeline.report.results import Results

PROVENANCE = (
    "dataset", "variant", "seed", "state", "kimg", "kimg_planned", "seconds", "peak_memory_mib", "copied_from",
    "resumed_at_kimg", "processes", "key", "revision", "dirty", "python", "libraries", "device", "threads", "platform",
    "protocol", "detail",
)  # fmt: skip


def cost(results: Results, published: list[Published]) -> Table:
    """Size computed for every geometry; time and memory where the full model was trained, here or in published/."""
    computed, rows = paper.packaged("cost_geometry.csv"), []
    for _, entry in computed[computed.variant == paper.MAIN_VARIANT].iterrows():
        done = results.done(entry.dataset, paper.MAIN_VARIANT)
        runs = done.to_dict("records") or [
            cell.run
            for run in published
            for cell in run.cells
            if cell.name.startswith(f"{entry.dataset}/") and {"seconds", "kimg"} <= {*cell.run}
        ]
        paces = [run["seconds"] / run["kimg"] for run in runs if run.get("seconds") and run.get("kimg")]
        memory = [run["peak_memory_mib"] for run in runs if run.get("peak_memory_mib")]
        budget = paper.paper_kimg(entry.dataset)
        pace = float(np.mean(paces)) if paces else None
        rows.append(
            {
                "geometry": paper.name_of(entry.dataset),
                "pixels a side": int(entry.resolution),
                "parameters G": int(entry.parameters_g),
                "parameters D": int(entry.parameters_d),
                "GFLOP G, one image forward": float(entry.flops_g) / 1e9,
                "GFLOP D, one image forward": float(entry.flops_d) / 1e9,
                "measured: s/kimg": _range(paces),
                "measured: peak MiB": _range(memory),
                "time to the paper's budget": duration(pace * budget) if pace and budget else NOT_RUN,
                "hardware": "; ".join(sorted({run["device"] for run in runs if isinstance(run.get("device"), str)})),
            }
        )
    note = (
        "Parameters and FLOPs are computed from the networks' definitions (`python -m pipeline.report.geometry`), 2 "
        "FLOPs per multiply-add; time and memory are measured, here or in a published run, whose networks may differ."
    )
    return Table(name="cost", title="Cost per geometry", frame=pd.DataFrame(rows), note=note)


def _range(values: list[float]) -> str:
    """`1.2`, or `51 to 86`."""
    return " to ".join(dict.fromkeys(f"{value:,.3g}" for value in (min(values), max(values)))) if values else NOT_RUN


def known_answers(results: Results, dataset: str) -> Table:
    """What each metric says where the answer is known, a row a case."""
    title = "The evaluator's known answers"
    return known_answers_table(results.reference(dataset), name=f"{dataset}_evaluator", title=title)


def memorisation(results: Results, dataset: str) -> Table:
    """Distances of samples to their nearest training image against those among training images, a row a variant."""
    rows = []
    for _, cell in results.first_seed(dataset).iterrows():
        known = {space: sheet.facts for space in SPACES if (sheet := results.sheet(cell, f"neighbours_{space}"))}
        row: dict[str, Any] = {"variant": cell.variant}
        for space, facts in known.items():
            row |= {
                f"{space}: sample to nearest training image, median of {facts['samples']}": facts["median"],
                f"{space}: training image to nearest other, median": facts["real_median"],
                f"{space}: samples closer than 99 % of those": f"{facts['closer']:.1%}",
            }
        rows += [row] if len(known) == len(SPACES) else []
    note = (
        "About 1 % of the samples is expected to be that close if samples are spread like training images; a generator "
        "that copies has many. Pixel distances in grey levels (root mean square). First seed."
    )
    title = "Nearest training images, as numbers"
    return Table(name=f"{dataset}_memorisation", title=title, frame=pd.DataFrame(rows), note=note, folded=True)


def deviations() -> Table:
    title = "Where this departs from the paper or the released code"
    return Table(name="deviations", title=title, frame=paper.packaged("deviations.csv"), folded=True)


def sources() -> Table:
    """Every value of the paper and of its baselines with source, status, protocol and training."""
    note = f"*checked*: read in the paper or in the method's own publication; {'; '.join(paper.MEANINGS.values())}."
    title = "Where the paper's numbers come from"
    return Table(name="paper_values", title=title, frame=paper.packaged("paper_results.csv"), note=note, folded=True)


def scores_elsewhere() -> Table:
    """What others measured of the released program and its weights."""
    shown = paper.paper_rows("replication").drop(columns=["table", "std", "protocol", "paper_budget"], errors="ignore")
    return Table(name="replications", title="The released program, scored by others", frame=shown, folded=True)


def means(results: Results) -> Table:
    """Machine-readable: mean, half-width of the interval and count per dataset, variant and metric."""
    rows = []
    for dataset in results.datasets:
        for variant in results.variants(dataset):
            for metric in results.metrics(dataset):
                row = results.measurement(dataset, variant, metric)
                centre, half = interval(row.values, results.confidence) if len(row.values) else (None, None)
                # Ten digits: the last ones of a sum differ between machines.
                centre, half = (None if value is None else float(f"{value:.10g}") for value in (centre, half))
                trouble = row.trouble if row.troubles else ""
                rows.append([dataset, variant, metric, len(row.values), centre, half, results.confidence, trouble])
    columns = ["dataset", "variant", "metric", "n", "mean", "half_width", "confidence", "not_averaged"]
    frame = pd.DataFrame(rows, columns=columns)
    return Table(name="summary", title="Means and intervals, as numbers", frame=frame, folded=True)


def every_cell(results: Results) -> Table:
    """Every value of every cell, one row each, with its protocol's sample counts."""
    cells = results.cells
    metrics = list(dict.fromkeys(metric for dataset in results.datasets for metric in results.metrics(dataset)))
    columns = ["dataset", "variant", "seed", "state", "kimg", *metrics, "n_gen", "n_real"]
    frame = cells.reindex(columns=columns).astype({"n_gen": "Int64", "n_real": "Int64"})
    for metric in metrics:
        reasons = cells.apply(lambda cell, m=metric: (cell.get("unavailable") or {}).get(m)
                              if isinstance(cell.get("unavailable"), dict) else None, axis=1)  # fmt: skip
        if reasons.notna().any():
            frame[metric] = frame[metric].astype(object).where(reasons.isna(), reasons)
    note = "The values of a diverged training are those of its last finite weights; they enter no mean."
    return Table(name="cells", title="Every training, seed by seed", frame=frame, note=note, folded=True)


def provenance(results: Results) -> Table:
    """Where every cell's numbers come from. What all cells share is said once, above the rows; the CSV has it all."""
    cells = results.cells
    frame = cells.reindex(columns=[column for column in PROVENANCE if column in cells])
    if "libraries" in frame:
        frame["libraries"] = frame.libraries.map(
            lambda value: ", ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, dict) else ""
        )
    shared = {
        column: str(frame[column].iloc[0])
        for column in frame
        if column not in ("dataset", "variant", "seed") and len(set(frame[column].astype(str))) == 1
    }
    said = "; ".join(f"{column.replace('_', ' ')}: {value}" for column, value in shared.items() if value != "nan")
    note = "`key`: hash of all that a training depends on. `dirty`: code or parameters differed from the revision."
    note = f"Shared by all: {said}. {note}" if said else note
    return Table(
        name="provenance", title="Provenance", frame=frame, note=note, hidden=(*shared, "protocol"), folded=True
    )


def settings(params: dict[str, Any]) -> Table:
    """What an experiment was run with, key by key."""
    rows = [{"key": key, "value": str(value)} for key, value in settings_of(params, params.get("conf")).items()]
    note = "As it was for this report. What each cell was trained with is in plan/train/."
    return Table(name="settings", title="Settings", frame=pd.DataFrame(rows), note=note, folded=True)


def settings_of(params: dict[str, Any], conf: str | Path | None) -> dict[str, Any]:
    """Dotted keys of params.yaml (the report's own left out), and `conf/variant/full.yaml:train.lr` for the files of
    conf/ that its matrix selects.
    """
    found = flat({key: value for key, value in params.items() if key not in ("report", "file", "conf")})
    matrix = params.get("matrix", {})
    chosen = {*matrix.get("datasets", []), *matrix.get("variants", []), params.get("profile")}
    for name, content in group_files(Path(conf)) if conf else ():
        if set(Path(name).with_suffix("").parts[2::2]) <= chosen:
            found |= {f"{name}:{key}": value for key, value in flat(content).items() if key}
    return found


def flat(content: Any, prefix: str = "") -> dict[str, Any]:
    """Nested mappings as dotted keys; lists stay whole."""
    if not isinstance(content, dict) or not content:
        return {prefix: content}
    return {
        key: value
        for name, inner in content.items()
        for key, value in flat(inner, f"{prefix}.{name}" if prefix else str(name)).items()
    }
