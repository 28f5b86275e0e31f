"""Tables about the results: every training and its origin, known answers, settings, claims, sources."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.metrics.registry import CASES, column
from pipeline.plan.compose import group_files
from pipeline.report import paper
from pipeline.report.document import Table, caption
from pipeline.report.formats import NOT_RUN
from pipeline.report.pictures import SPACES, sheets
from pipeline.report.results import Results, metrics_among, protocol_text
from pipeline.report.row_pairs import Outcome, counted

ORIGIN = (
    "n_gen", "n_real", "kimg_planned", "seconds", "peak_memory_mib", "copied_from", "resumed_at_kimg", "processes",
    "key", "revision", "dirty", "python", "libraries", "device", "threads", "platform", "protocol", "detail",
)  # fmt: skip


def reading(results: Results, dataset: str, explained: set[str]) -> str:
    """What the dataset's metrics mean, each once a report, and their protocol; `explained` grows by those said here."""
    meanings: dict[str, list[str]] = {}
    protocols: dict[str, list[str]] = {}
    for metric in results.metrics(dataset):
        if (kind := column(metric)) and metric not in explained:
            words = f"{kind.label}, {'lower' if kind.lower else 'higher'} is better"
            meanings.setdefault(words, []).append(f"`{metric}`")
        if facts := results.protocols.get((dataset, metric)):
            protocols.setdefault(protocol_text(facts), []).append(f"`{metric}`")
    if not results.metrics(dataset):
        return "Nothing has been measured on this data set."
    explained.update(results.metrics(dataset))
    said = "; ".join(f"{', '.join(names)}: {words}" for words, names in meanings.items())
    common = list(protocols) if len(protocols) == 1 else [f"{', '.join(n)}: {words}" for words, n in protocols.items()]
    return f"{said}{'.' if said else ''}\n\nProtocol: {'; '.join(common) or 'unknown'}.".strip()


def known_answers_table(answers: Mapping[str, Any], name: str) -> Table:
    """What each metric says where the answer is known, a row a case. `answers`: of the stage `reference`."""
    cases = [case for case in CASES if f"n_{case}" in answers]
    names = metrics_among({key.removesuffix(f"_{case}") for key in answers for case in cases})
    rows = [
        {"compared with the real images": CASES[case], "n": answers[f"n_{case}"]}
        | {metric: answers.get(f"{metric}_{case}", NOT_RUN) for metric in names}
        for case in cases
    ]
    accuracy = f"The evaluator's held-out accuracy is {answers['accuracy']:.1%}." if "accuracy" in answers else ""
    return Table(name=name, frame=pd.DataFrame(rows), folded=True, **caption("evaluator", accuracy=accuracy))


def memorisation(results: Results, dataset: str) -> Table:
    """Distances of samples to their nearest training image against those among training images, a row a variant."""
    rows: dict[str, dict[str, Any]] = {}
    for space in SPACES:
        for cell, sheet in sheets(results, dataset, f"neighbours_{space}"):
            facts, row = sheet.facts, rows.setdefault(cell.variant, {"variant": cell.variant})
            row[f"{space}: sample to nearest training image, median of {facts['samples']}"] = facts["median"]
            row[f"{space}: training image to nearest other, median"] = facts["real_median"]
            row[f"{space}: samples closer than 99 % of those"] = f"{facts['closer']:.1%}"
    frame = pd.DataFrame(rows.values())
    return Table(name=f"{dataset}_memorisation", frame=frame, folded=True, **caption("memorisation"))


def from_file(name: str, file: str, **words: object) -> Table:
    """A CSV of this folder as it is."""
    return Table(name=name, frame=paper.packaged(file), folded=True, **caption(name, **words))


def claims(results: Results, outcomes: list[Outcome], figures: Collection[str]) -> tuple[str, Table]:
    """Every claim of a close reading of the paper: its code, what this report shows, what was measured; and counts.

    claims.csv has a row a claim. Columns of several words: `code` and `test` (paths), `figures` (of this report),
    `pairs` (variant/base, or `all`), `datasets` and `metrics` (measured on any row). `figures`: this report's pictures.
    """
    rows, done = [], results.cells[results.cells.status == "ok"]
    verdicts = {"/".join(outcome.comparison[:2]): outcome for outcome in reversed(outcomes)}
    for entry in paper.packaged("claims.csv").itertuples():
        links = []
        for name in entry.figures.split():  # of the first data set that has the picture
            stems = [stem for stem in figures if stem == name or stem.endswith(f"_{name}")]
            links += [f"[{name.replace('_', ' ')}](#{stem}_chart)" for stem in stems[:1]]
        pairs = [verdicts[pair] for pair in entry.pairs.split() if pair in verdicts]
        pairs = outcomes if entry.pairs == "all" else pairs
        values = done.reindex(columns=entry.metrics.split()).dropna(axis=1, how="all")
        measured = [
            *[counted(pairs)] * bool(pairs),
            *(f"{paper.name_of(name)} trained" for name in entry.datasets.split() if name in set(done.dataset)),
            *(f"`{name}` measured" for name in values),
        ]
        decidable = f"{entry.pairs}{entry.datasets}{entry.metrics}"
        rows.append(
            {
                "no.": int(entry.number),
                "section": entry.section,
                "claim": entry.claim,
                "built": ", ".join(f"`{path}`" for path in f"{entry.code} {entry.test}".split()),
                "shown": ", ".join(links),
                "measured": "; ".join(measured) or (NOT_RUN if decidable else ""),
            }
        )
    frame = pd.DataFrame(rows)
    built, shown, decided = ((frame[name] != "").sum() for name in ("built", "shown", "measured"))
    counts = (
        f"Of {len(frame)} claims of the paper, {built} have their code here, {shown} are shown in pictures, "
        f"{decided - (frame.measured == NOT_RUN).sum()} of {decided} that training can decide were measured, at least "
        "in part."
    )
    return counts, Table(name="claims", frame=frame, folded=True, **caption("claims"))


def every_cell(results: Results) -> Table:
    """A row a training: its values, and where they come from. What all share of that is said once, above the rows."""
    cells = results.cells
    metrics = list(dict.fromkeys(metric for dataset in results.datasets for metric in results.metrics(dataset)))
    origin = [column for column in ORIGIN if column in cells]
    frame = cells.reindex(columns=["dataset", "variant", "seed", "state", "kimg", *metrics, *origin])
    for name, reasons in cells.get("unavailable", pd.Series(dtype=object)).items():
        for metric, reason in reasons.items():
            frame[metric] = frame[metric].astype(object)
            frame.loc[name, metric] = reason
    for name in {"n_gen", "n_real"} & {*origin}:
        frame[name] = frame[name].astype("Int64")
    if "libraries" in frame:
        versions = [own.items() if isinstance(own, dict) else () for own in frame.libraries]
        frame["libraries"] = [", ".join(map(" ".join, own)) for own in versions]
    shared = {name: str(frame[name].iloc[0]) for name in origin if frame[name].astype(str).nunique() == 1}
    said = "; ".join(
        f"{name.replace('_', ' ')}: {value}" for name, value in shared.items() if value not in ("nan", "None")
    )
    words = caption("cells", shared=said or "nothing")
    return Table(name="cells", frame=frame, hidden=tuple(origin), folded=True, **words)


def settings(params: dict[str, Any]) -> Table:
    """What an experiment was run with, key by key."""
    values = {key: str(value) for key, value in settings_of(params, params.get("conf")).items()}
    frame = pd.DataFrame(values.items(), columns=["key", "value"])
    return Table(name="settings", frame=frame, folded=True, **caption("settings"))


def settings_of(params: dict[str, Any], conf: str | Path | None) -> dict[str, Any]:
    """Dotted keys of params.yaml (the report's own left out), and `conf/variant/full.yaml:train.lr` for the files of
    conf/ that its matrix selects. Lists stay whole, empty mappings have no key.
    """
    contents = {"": {key: value for key, value in params.items() if key not in ("report", "file", "conf")}}
    matrix = params.get("matrix", {})
    chosen = {*matrix.get("datasets", []), *matrix.get("variants", []), params.get("profile")}
    for name, content in group_files(Path(conf)) if conf else ():
        if set(Path(name).with_suffix("").parts[2::2]) <= chosen:
            contents[f"{name}:"] = content
    return {
        f"{prefix}{key}": value
        for prefix, content in contents.items()
        for key, value in pd.json_normalize(content).to_dict("records")[0].items()
    }
