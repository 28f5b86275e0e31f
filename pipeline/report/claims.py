"""Every claim of a close reading of the paper: where its code is, what this report shows, what was measured of it.

claims.csv has a row a claim. Columns of several words: `code` and `test` (paths), `figures` (of this report),
`pairs` (variant/base, or `all`), `datasets` and `metrics` (measured on any row).
"""

from collections import Counter
from collections.abc import Collection

import pandas as pd

from pipeline.report import paper
from pipeline.report.comparisons import Outcome, of_pair
from pipeline.report.content import Table
from pipeline.report.formats import NOT_RUN
from pipeline.report.results import Results


def claims(results: Results, outcomes: list[Outcome], figures: Collection[str]) -> Table:
    """The table of all claims. `figures`: names of the pictures that this report holds."""
    rows = []
    for entry in paper.packaged("claims.csv").itertuples():
        built = [f"`{path}`" for path in f"{entry.code} {entry.test}".split()]
        rows.append(
            {
                "no.": int(entry.number),
                "section": entry.section,
                "claim": entry.claim,
                "built": ", ".join(built),
                "shown": ", ".join(link for name in entry.figures.split() if (link := _link(name, figures))),
                "measured": "; ".join(_measured(results, outcomes, entry)),
            }
        )
    frame = pd.DataFrame(rows)
    note = (
        "Claims in the order of the paper, sections as there. *Built*: code and tests, which alone show nothing about "
        "quality. *Shown*: a picture of this report. *Measured*: by the rules below."
    )
    return Table(name="claims", title="Every claim of the paper", frame=frame, note=note, folded=True)


def counts(table: Table) -> str:
    """How many claims are built, shown and measured."""
    frame = table.frame
    measured = sum(not text.startswith(NOT_RUN) for text in frame.measured if text)
    return (
        f"Of {len(frame)} claims of the paper, {(frame.built != '').sum()} have their code here, "
        f"{(frame.shown != '').sum()} are shown in pictures, {measured} of {(frame.measured != '').sum()} that "
        "training can decide were measured, at least in part."
    )


def _link(name: str, figures: Collection[str]) -> str:
    """A link to the picture, of the first data set that has it; '' where this report has none."""
    found = next((stem for stem in figures if stem == name or stem.endswith(f"_{name}")), None)
    return f"[{name.replace('_', ' ')}](#{found}_chart)" if found else ""


def _measured(results: Results, outcomes: list[Outcome], entry: object) -> list[str]:
    """What was measured of a claim: verdicts of its pairs, data sets and metrics with a result."""
    pairs, datasets, metrics = (str(getattr(entry, name)).split() for name in ("pairs", "datasets", "metrics"))
    done = results.cells[results.cells.status == "ok"]
    if pairs == ["all"]:
        found = list(outcomes)
    else:
        known = (of_pair(outcomes, *pair.split("/")) for pair in pairs)
        found = [outcome for outcome in known if outcome]
    kinds = Counter(str(outcome.verdict.kind) for outcome in found)
    texts = [f"{count} {kind}" if len(found) > 1 else kind for kind, count in kinds.items()]
    texts += [f"{paper.name_of(name)} trained" for name in datasets if (done.dataset == name).any()]
    texts += [f"`{name}` measured" for name in metrics if name in done and done[name].notna().any()]
    return texts or ([NOT_RUN] if pairs or datasets or metrics else [])
