"""The status of every claim of the paper: where its code is, what evidence there is, and in which state it is.

claims.csv lists the claims section by section. `rule` says what its state is computed from, words apart by spaces:
code (built here), pair:a>b (the verdict of a comparison), pairs (all of them), data:name (a data set of the paper),
metric:name (a protocol), picture:name (a figure of this report), test:path (what is checked whenever the tests run).
"""

from collections import Counter
from collections.abc import Collection

import pandas as pd

from pipeline.report import paper
from pipeline.report.comparisons import Outcome
from pipeline.report.statistics import NOT_RUN
from pipeline.report.tables import Table

PICTURES = {  # name in a rule -> anchor of its section; {} is the first dataset of the matrix
    "architecture": "{}",
    "samples": "{}",
    "attention": "{}",
    "reach": "{}",
    "relative_position": "{}",
    "augment": "{}",
    "dynamics": "{}",
    "growth": "cost",
}


def claims(
    cells: pd.DataFrame, datasets: list[str], outcomes: dict[str, list[Outcome]], drawn: Collection[str]
) -> Table:
    """A row a claim. `outcomes`: comparisons by dataset; `drawn`: names of PICTURES that this report holds."""
    rows = []
    for _, entry in paper.packaged("claims.csv").iterrows():
        rules = entry.rule.split()
        found = [text for rule in rules for text in _evidence(rule, cells, datasets, outcomes, drawn)]
        rows.append(
            {
                "no.": int(entry.number),
                "section": entry.section,
                "claim": entry.claim,
                "code": ", ".join(f"`{path}`" for path in entry.code.split()) if entry.code != "-" else "-",
                "evidence": "; ".join(found) or "-",
                "state": state(rules, cells, outcomes, drawn),
            }
        )
    note = (
        "Claims in the order of a close reading of the paper, sections as there. *Built*: the code is here, with its "
        "tests; that alone shows nothing about quality. *Shown*: this report holds the picture or the computed figure. "
        "*Seen*, *contradicted*, *undecided*: by the rule below, on the data sets named. *Not run*: nothing measured."
    )
    return Table(name="claims", title="Claim by claim", frame=pd.DataFrame(rows), note=note, folded=True)


def counts(table: Table) -> str:
    """How many claims are in which state, in words."""
    found = Counter(table.frame.state)
    states = "; ".join(f"{count} {state.replace('; ', ' and ')}" for state, count in found.most_common())
    return (
        f"{len(table.frame)} claims of the paper, each with its code, its evidence and its state: {states}. "
        "*Built* alone shows nothing about quality."
    )


def state(rules: list[str], cells: pd.DataFrame, outcomes: dict[str, list[Outcome]], drawn: Collection[str]) -> str:
    """The state of a claim: what its comparisons decided, else whether it was measured, shown, or only built."""
    pairs = [entry.order for rule in rules if rule.startswith("pair:") for entry in _pair(rule, outcomes)]
    measured = [rule for rule in rules if rule.startswith(("data:", "metric:")) and _measured(rule, cells)]
    wanted = any(rule.startswith(("data:", "metric:", "pair")) for rule in rules)
    shown = any(rule.startswith("picture:") and rule.partition(":")[2] in drawn for rule in rules)
    built = "built" if "code" in rules else ""
    if pairs:
        found = ", ".join(str(order) for order in dict.fromkeys(pairs))
    elif "pairs" in rules and any(outcomes.values()):
        found = "measured in part"
    elif measured:
        found = "measured"
    elif shown:
        found = "shown" if not wanted else "shown; not run"
    else:
        found = NOT_RUN if wanted or not built else ""
    return "; ".join(part for part in (built, found) if part)


def _evidence(
    rule: str, cells: pd.DataFrame, datasets: list[str], outcomes: dict[str, list[Outcome]], drawn: Collection[str]
) -> list[str]:
    """What there is, in words with links inside the page; [] where a rule has nothing to point at."""
    kind, _, name = rule.partition(":")
    if kind == "pair":
        variant, _, base = name.partition(">")
        found = _pair(rule, outcomes)
        texts = [
            f"[{variant} against {base}](#{entry.dataset}_decisions_heading): {entry.difference}, {entry.order}"
            for entry in found
        ]
        return texts or [f"{variant} against {base}: not in this matrix"]
    if kind == "pairs":
        counts = Counter(str(entry.order) for entries in outcomes.values() for entry in entries)
        return [", ".join(f"{count} {order}" for order, count in counts.items()) or "no comparison in this matrix"]
    if kind == "data":
        return [f"{paper.name_of(name)}: {'measured' if _measured(rule, cells) else NOT_RUN}"]
    if kind == "metric":
        return [f"`{name}`: {'measured' if _measured(rule, cells) else NOT_RUN}"]
    if kind == "picture":
        place = PICTURES[name].format(datasets[0] if datasets else "")
        return [f"[{name.replace('_', ' ')}](#{place})" if name in drawn else f"{name.replace('_', ' ')}: not drawn"]
    return [f"tests: `{name}`"] if kind == "test" else []


def _pair(rule: str, outcomes: dict[str, list[Outcome]]) -> list[Outcome]:
    variant, _, base = rule.partition(":")[2].partition(">")
    return [
        entry
        for entries in outcomes.values()
        for entry in entries
        if (entry.comparison.variant, entry.comparison.base) == (variant, base)
    ]


def _measured(rule: str, cells: pd.DataFrame) -> bool:
    kind, _, name = rule.partition(":")
    if kind == "data":
        return bool(((cells.dataset == name) & (cells.status == "ok")).any())
    return name in cells and bool(cells.loc[cells.status == "ok", name].notna().any())
