"""Tables about the results: every training and its origin, known answers, cost, settings, claims, deviations."""

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.metrics.registry import CASES, column
from pipeline.plan.compose import group_files
from pipeline.report import paper
from pipeline.report.comparisons import Outcome, counted, of_pair
from pipeline.report.content import Table
from pipeline.report.formats import NOT_RUN, duration
from pipeline.report.pictures import SPACES
from pipeline.report.results import Results, metrics_among, protocol_text

ORIGIN = (
    "n_gen", "n_real", "kimg_planned", "seconds", "peak_memory_mib", "copied_from", "resumed_at_kimg", "processes",
    "key", "revision", "dirty", "python", "libraries", "device", "threads", "platform", "protocol", "detail",
)  # fmt: skip


def reading(results: Results, dataset: str) -> str:
    """What the dataset's metrics mean, and their protocol."""
    meanings: dict[str, list[str]] = {}
    protocols: dict[str, list[str]] = {}
    for metric in results.metrics(dataset):
        if kind := column(metric):
            words = f"{kind.label}, {'lower' if kind.lower else 'higher'} is better"
            meanings.setdefault(words, []).append(f"`{metric}`")
        if facts := results.protocol(dataset, metric):
            protocols.setdefault(protocol_text(facts), []).append(f"`{metric}`")
    if not meanings:
        return "Nothing has been measured on this data set."
    said = [f"{', '.join(names)}: {words}" for words, names in meanings.items()]
    common = list(protocols) if len(protocols) == 1 else [f"{', '.join(n)}: {words}" for words, n in protocols.items()]
    return f"{'; '.join(said)}.\n\nProtocol: {'; '.join(common) or 'unknown'}."


def cost(results: Results, published: Sequence[Results]) -> Table:
    """Size computed for every geometry; time and memory where the full model was trained, or any row of published/."""
    computed, rows = paper.packaged("cost_geometry.csv"), []
    for _, entry in computed[computed.variant == paper.MAIN_VARIANT].iterrows():
        own = results.of(entry.dataset, paper.MAIN_VARIANT)
        own = own[own.status == "ok"]
        runs = pd.concat([run.of(entry.dataset) for run in published] or [own]) if own.empty else own
        runs = runs.reindex(columns=["kimg", "seconds", "peak_memory_mib", "device"])
        paces = (runs.seconds.astype(float) / runs.kimg.astype(float)).dropna()
        budget = paper.paper_kimg(entry.dataset)
        rows.append(
            {
                "geometry": paper.name_of(entry.dataset),
                "pixels a side": int(entry.resolution),
                "parameters G": int(entry.parameters_g),
                "parameters D": int(entry.parameters_d),
                "GFLOP G, one image forward": float(entry.flops_g) / 1e9,
                "GFLOP D, one image forward": float(entry.flops_d) / 1e9,
                "measured: s/kimg": spread(list(paces), "{:,.3g}".format),
                "measured: peak MiB": spread(list(runs.peak_memory_mib.dropna()), "{:,.0f}".format),
                "time to the paper's budget": duration(paces.mean() * budget) if budget and len(paces) else NOT_RUN,
                "hardware": "; ".join(sorted(set(runs.device.dropna()))),
            }
        )
    note = (
        "Parameters and FLOPs are computed from the networks' definitions (`python -m pipeline.report.geometry`), 2 "
        "FLOPs per multiply-add; time and memory are measured, here or in a published run, whose networks may differ."
    )
    return Table(name="cost", title="Cost per geometry", frame=pd.DataFrame(rows), note=note)


def spread(values: Sequence[float], text: Callable[[float], str]) -> str:
    """`1.2`, or `51 to 86`."""
    return " to ".join(dict.fromkeys(text(value) for value in (min(values), max(values)))) if values else NOT_RUN


def known_answers_table(answers: Mapping[str, Any], name: str) -> Table:
    """What each metric says where the answer is known, a row a case. `answers`: of the stage `reference`."""
    cases = [key.removeprefix("n_") for key in answers if key.startswith("n_") and key not in ("n_real", "n_gen")]
    names = metrics_among(
        {key.removesuffix(f"_{case}") for key in answers for case in cases if key.endswith(f"_{case}")}
    )
    rows = [
        {
            "compared with the real images": CASES.get(case, case.replace("_", " ")),
            "n": answers[f"n_{case}"],
            **{metric: answers.get(f"{metric}_{case}", NOT_RUN) for metric in names},
        }
        for case in sorted(cases, key=[*CASES, *cases].index)
    ]
    note = f"The evaluator's held-out accuracy is {answers['accuracy']:.1%}." if "accuracy" in answers else ""
    title = "The evaluator's known answers"
    return Table(name=name, title=title, frame=pd.DataFrame(rows), note=note, folded=True)


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


def from_the_paper() -> list[Table]:
    """What others measured of the released program, and every value of the paper with source, status and protocol."""
    elsewhere = paper.paper_rows("replication").drop(columns=["table", "std", "protocol", "paper_budget"])
    note = f"*checked*: read in the paper or in the method's own publication; {'; '.join(paper.MEANINGS.values())}."
    title, values = "Where the paper's numbers come from", paper.packaged("paper_results.csv")
    return [
        Table(name="replications", title="The released program, scored by others", frame=elsewhere, folded=True),
        Table(name="paper_values", title=title, frame=values, note=note, folded=True),
    ]


def deviations() -> Table:
    title = "Where this departs from the paper or the released code"
    return Table(name="deviations", title=title, frame=paper.packaged("deviations.csv"), folded=True)


def claims(results: Results, outcomes: list[Outcome], figures: Collection[str]) -> tuple[str, Table]:
    """Every claim of a close reading of the paper: its code, what this report shows, what was measured; and counts.

    claims.csv has a row a claim. Columns of several words: `code` and `test` (paths), `figures` (of this report),
    `pairs` (variant/base, or `all`), `datasets` and `metrics` (measured on any row). `figures`: this report's pictures.
    """
    rows = []
    for entry in paper.packaged("claims.csv").itertuples():
        links = []
        for name in entry.figures.split():  # of the first data set that has the picture
            found = next((stem for stem in figures if stem == name or stem.endswith(f"_{name}")), None)
            links += [f"[{name.replace('_', ' ')}](#{found}_chart)"] if found else []
        rows.append(
            {
                "no.": int(entry.number),
                "section": entry.section,
                "claim": entry.claim,
                "built": ", ".join(f"`{path}`" for path in f"{entry.code} {entry.test}".split()),
                "shown": ", ".join(links),
                "measured": "; ".join(_measured(results, outcomes, entry)),
            }
        )
    frame = pd.DataFrame(rows)
    measured = sum(not text.startswith(NOT_RUN) for text in frame.measured if text)
    counts = (
        f"Of {len(frame)} claims of the paper, {(frame.built != '').sum()} have their code here, "
        f"{(frame.shown != '').sum()} are shown in pictures, {measured} of {(frame.measured != '').sum()} that "
        "training can decide were measured, at least in part."
    )
    note = (
        "Claims in the order of the paper, sections as there. *Built*: code and tests, which alone show nothing about "
        "quality. *Shown*: a picture of this report. *Measured*: by the rules below."
    )
    return counts, Table(name="claims", title="Every claim of the paper", frame=frame, note=note, folded=True)


def _measured(results: Results, outcomes: list[Outcome], entry: Any) -> list[str]:
    """What was measured of a claim: verdicts of its pairs, data sets and metrics with a result."""
    pairs, datasets, metrics = entry.pairs.split(), entry.datasets.split(), entry.metrics.split()
    done = results.cells[results.cells.status == "ok"]
    named = [of_pair(outcomes, *pair.split("/")) for pair in pairs if pair != "all"]
    found = outcomes if pairs == ["all"] else [outcome for outcome in named if outcome]
    texts = [counted(found)] if found else []
    texts += [f"{paper.name_of(name)} trained" for name in datasets if (done.dataset == name).any()]
    texts += [f"`{name}` measured" for name in metrics if name in done and done[name].notna().any()]
    return texts or ([NOT_RUN] if pairs or datasets or metrics else [])


def every_cell(results: Results) -> Table:
    """A row a training: its values, and where they come from. What all share of that is said once, above the rows."""
    cells = results.cells
    metrics = list(dict.fromkeys(metric for dataset in results.datasets for metric in results.metrics(dataset)))
    origin = [column for column in ORIGIN if column in cells]
    frame = cells.reindex(columns=["dataset", "variant", "seed", "state", "kimg", *metrics, *origin])
    for name, reasons in cells.get("unavailable", pd.Series(dtype=object)).dropna().items():
        for metric, reason in reasons.items():
            frame[metric] = frame[metric].astype(object)
            frame.loc[name, metric] = reason
    counts = [name for name in ("n_gen", "n_real") if name in origin]
    frame[counts] = frame[counts].astype("Int64")
    if "libraries" in frame:
        frame["libraries"] = [
            ", ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, dict) else ""
            for value in frame.libraries
        ]
    shared = {c: str(frame[c].iloc[0]) for c in origin if len(set(frame[c].astype(str))) == 1}
    said = "; ".join(f"{column.replace('_', ' ')}: {value}" for column, value in shared.items() if value != "nan")
    note = (
        "The values of a diverged training are those of its last finite weights; they enter no mean. The CSV also has "
        "time, memory, `key` (hash of all that a training depends on) and `dirty` (code or parameters differed from "
        f"the revision). Shared by all: {said or 'nothing'}."
    )
    title = "Every training, seed by seed"
    return Table(name="cells", title=title, frame=frame, note=note, hidden=tuple(origin), folded=True)


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
            found |= {f"{name}:{key}": value for key, value in flat(content).items()}
    return found


def flat(content: dict[str, Any]) -> dict[str, Any]:
    """Nested mappings as dotted keys; lists stay whole, empty mappings have none."""
    return {str(key): value for key, value in pd.json_normalize(content).to_dict("records")[0].items()}
