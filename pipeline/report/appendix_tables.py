"""Tables about the results: cost per geometry, the evaluator's known answers, deviations, every cell, provenance."""

from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.report import paper
from pipeline.report.curve_summary import NOTE, summary
from pipeline.report.metrics import metrics_among
from pipeline.report.results import cells_of, load_history, measurement, why_not
from pipeline.report.statistics import NOT_RUN, interval, number
from pipeline.report.tables import Table, peak_memory, seconds_per_kimg, trained_cells

CASES = {
    "halves": "training images, one half against the other (the floor)",
    "test": "the test split's images",
    "round_trip": "training images through the networks' number range and back (no distance)",
    "one_image": "one training image over and over (collapse: precise, no recall)",
    "constant": "a grey area",
    "noise": "uniform noise",
}
PROVENANCE = (
    "dataset",
    "variant",
    "seed",
    "state",
    "kimg",
    "kimg_planned",
    "seconds",
    "peak_memory_mib",
    "copied_from",
    "resumed_at_kimg",
    "processes",
    "key",
    "revision",
    "dirty",
    "python",
    "libraries",
    "device",
    "threads",
    "platform",
    "protocol",
    "detail",
)


def cost(cells: pd.DataFrame) -> Table:
    """Size computed for every geometry; time and memory where the full model was trained, `not run` elsewhere."""
    computed = paper.packaged("cost_geometry.csv")
    rows = []
    for _, entry in computed[computed.variant == paper.MAIN_VARIANT].iterrows():
        done = cells_of(cells, entry.dataset, paper.MAIN_VARIANT)
        done = done[done.status == "ok"]
        trained = trained_cells(done)
        pace, budget = seconds_per_kimg(done), paper.paper_kimg(entry.dataset)
        rows.append(
            {
                "geometry": paper.name_of(entry.dataset),
                "pixels a side": int(entry.resolution),
                "parameters G": int(entry.parameters_g),
                "parameters D": int(entry.parameters_d),
                "GFLOP G, one image forward": float(entry.flops_g) / 1e9,
                "GFLOP D, one image forward": float(entry.flops_d) / 1e9,
                "measured: s/kimg": number(pace) if pace else NOT_RUN,
                "measured: peak memory": peak_memory(done),
                "hours to the paper's budget": _hours(pace, budget, entry.dataset),
                "hardware": "; ".join(sorted(set(trained.device))) if len(trained) and "device" in trained else NOT_RUN,
            }
        )
    note = (
        "Parameters and FLOPs are computed from the networks (`python -m pipeline.report.geometry`), 2 FLOPs "
        "per multiply-add; time and memory are measured."
    )
    return Table(name="cost", title="Cost per geometry", frame=pd.DataFrame(rows), note=note)


def _hours(pace: float | None, budget: float | None, dataset: str) -> str:
    if pace is None:
        return NOT_RUN
    if budget is None:
        return "the paper's budget is not known" if paper.in_paper(dataset) else "no such experiment in the paper"
    return number(pace * budget / 3600)


def known_answers(answers: dict[str, float], dataset: str) -> Table:
    """What each metric says where the answer is known, a row a case."""
    names = metrics_among(
        {key.removesuffix(f"_{case}") for key in answers for case in CASES if key.endswith(f"_{case}")}
    )
    rows = [
        {
            "compared with the real images": meaning,
            "n": answers.get(f"n_{case}", NOT_RUN),
            **{name: answers.get(f"{name}_{case}", NOT_RUN) for name in names},
        }
        for case, meaning in CASES.items()
        if not answers or f"n_{case}" in answers
    ]
    accuracy = answers.get("accuracy")
    note = (
        "The reference stage has not run."
        if not answers
        else f"The evaluator's held-out accuracy is {accuracy:.1%}."
        if accuracy is not None
        else ""
    )
    return Table(
        name=f"{dataset}_evaluator",
        title="The evaluator's known answers",
        frame=pd.DataFrame(rows),
        note=note,
        folded=True,
    )


def deviations() -> Table:
    return Table(
        name="deviations",
        title="Where this departs from the paper or the released code",
        frame=paper.packaged("deviations.csv"),
        folded=True,
    )


def means(cells: pd.DataFrame, confidence: float) -> Table:
    """Machine-readable: mean, half-width of the interval and count per dataset, variant and metric."""
    rows = []
    for dataset, variant in cells[["dataset", "variant"]].drop_duplicates().itertuples(index=False):
        for metric in metrics_among(cells.columns):
            row = measurement(cells, dataset, variant, metric)
            centre, half = interval(row.values, confidence) if len(row.values) else (None, None)
            # Ten digits: the last ones of a sum differ between machines.
            centre, half = (None if value is None else float(f"{value:.10g}") for value in (centre, half))
            rows.append(
                [
                    dataset,
                    variant,
                    metric,
                    len(row.values),
                    centre,
                    half,
                    confidence,
                    row.trouble if row.troubles else "",
                ]
            )
    columns = ["dataset", "variant", "metric", "n", "mean", "half_width", "confidence", "not_averaged"]
    frame = pd.DataFrame(rows, columns=columns)
    return Table(name="summary", title="Means and intervals, as numbers", frame=frame, folded=True)


def every_cell(cells: pd.DataFrame) -> Table:
    """Every value of every cell, one row each, with its protocol's sample counts."""
    metrics = metrics_among(
        {
            *cells.columns,
            *(name for known in cells.get("unavailable", pd.Series(dtype=object)).dropna() for name in known),
        }
    )
    columns = ["dataset", "variant", "seed", "state", "kimg", *metrics, "n_gen", "n_real"]
    note = "The values of a diverged training are those of its last finite weights; they enter no mean."
    frame = cells.reindex(columns=columns).astype({"n_gen": "Int64", "n_real": "Int64"})
    for metric in metrics:
        reasons = cells.apply(why_not, axis=1, metric=metric)
        if reasons.notna().any():
            frame[metric] = frame[metric].astype(object).where(reasons.isna(), reasons)
    return Table(name="cells", title="Every training, seed by seed", frame=frame, note=note, folded=True)


def provenance(cells: pd.DataFrame) -> Table:
    """Where every cell's numbers come from. What all cells share is said once, above the rows; the CSV has it all."""
    frame = cells.reindex(columns=[column for column in PROVENANCE if column in cells])
    if "libraries" in frame:
        frame["libraries"] = frame.libraries.map(
            lambda value: ", ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, dict) else ""
        )
    shared = {
        column: str(frame[column].iloc[0])
        for column in frame
        if column not in ("dataset", "variant", "seed") and len({str(value) for value in frame[column]}) == 1
    }
    said = "; ".join(f"{column.replace('_', ' ')}: {value}" for column, value in shared.items() if value != "nan")
    note = (
        f"Shared by all: {said}. " if len(frame) and said else ""
    ) + "`key`: hash of all that a training depends on. `dirty`: code or parameters differed from the revision."
    return Table(
        name="provenance", title="Provenance", frame=frame, note=note, csv_only=[*shared, "protocol"], folded=True
    )  # fmt: skip


def training_curves(cells: pd.DataFrame, dataset: str, results: str | Path) -> Table:
    """What the curves of every training of the dataset hold, a row a training."""
    rows = [
        {"variant": cell.variant, "seed": cell.seed} | summary(cell.to_dict(), load_history(results, cell))
        for _, cell in cells[cells.dataset == dataset].iterrows()
    ]
    frame = pd.DataFrame(rows)
    return Table(name=f"{dataset}_curves", title="Training curves as numbers", frame=frame, note=NOTE, folded=True)


def settings(params: dict[str, Any]) -> Table:
    """The selected part of params.yaml, key by key: an experiment's report says what it was run with."""
    selected: dict[str, Any] = {
        key: params[key] for key in ("profile", "matrix", "model", "train", "evaluate") if key in params
    }
    chosen = {
        "datasets": params.get("matrix", {}).get("datasets", []),
        "profiles": [params.get("profile")],
        "variants": params.get("matrix", {}).get("variants", []),
    }
    for table, names in chosen.items():
        selected[table] = {name: params.get(table, {}).get(name) or "as the base" for name in names}
    rows = [{"key": key, "value": str(value)} for key, value in flat(selected).items()]
    note = (
        "params.yaml as it was for this report; later ones win: base, `datasets`, `profiles`, `variants`, then the "
        "`variants` of a dataset and of a profile. What each cell was trained with is in plan/train/."
    )
    return Table(name="settings", title="Settings", frame=pd.DataFrame(rows), note=note, folded=True)


def flat(content: Any, prefix: str = "") -> dict[str, Any]:
    """Nested mappings as dotted keys; lists stay whole."""
    if not isinstance(content, dict) or not content:
        return {prefix: content}
    return {
        key: value
        for name, inner in content.items()
        for key, value in flat(inner, f"{prefix}.{name}" if prefix else str(name)).items()
    }


def memorisation(found: list[tuple[str, dict[str, dict[str, float]]]], dataset: str) -> Table:
    """Distances of samples to their nearest training image against those among training images, a row a variant."""
    rows = []
    for variant, spaces in found:
        row: dict[str, Any] = {"variant": variant}
        for space, facts in spaces.items():
            row |= {
                f"{space}: sample to nearest training image, median of {facts['samples']}": facts["median"],
                f"{space}: training image to nearest other, median": facts["real_median"],
                f"{space}: samples closer than 99 % of those": f"{facts['closer']:.1%}",
            }
        rows.append(row)
    note = (
        "About 1 % of the samples is expected to be that close if samples are spread like training images; a generator "
        "that copies has many. Pixel distances in grey levels (root mean square). First seed."
    )
    frame = pd.DataFrame(rows)
    return Table(name=f"{dataset}_memorisation", title="Nearest training images", frame=frame, note=note, folded=True)
