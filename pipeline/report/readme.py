"""The measured part of the project's README, written from the tables of reports/: no number there is typed by hand.

    python -m pipeline.report.readme        after a run whose results are to stand in README.md

What stands between the two marks is replaced, nothing else.
"""

from collections import Counter
from pathlib import Path

import pandas as pd

from pipeline.base.errors import UserError, command_line
from pipeline.base.files import read_json, write_text
from pipeline.report import paper
from pipeline.report.markdown import rows
from pipeline.report.tables import ABSENT

BEGIN, END = "<!-- measured: python -m pipeline.report.readme -->", "<!-- /measured -->"
NAMES = {  # of variants in the README; others stand under their own name
    "standard_attention": "(A) standard attention",
    "nystrom_attention": "(B) Nyström attention",
    "axis_attention": "(C) axis attention",
    "grid_attention": "(D) grid attention",
    "multiscale": "+ multi-scale discriminator",
    "token_norm": "+ token normalisation",
    "full": "+ relative position = `full`",
    "no_augment": "`full` without DiffAug",
}
SENTENCES = {
    "seen": "seen as the paper says",
    "contradicted": "contradicted",
    "undecided": "undecided",
    "better here": "better, where the paper states no order",
    "worse here": "worse, where the paper states no order",
}


def block(reports: Path, plan: Path) -> str:
    """Table and counts of the first dataset of the matrix, in Markdown.

    Errors: `UserError` where the report has no table of it.
    """
    index = read_json(plan / "index.json")
    dataset = index["datasets"][0]
    summary, decisions = (_table(reports, name) for name in ("summary", f"{dataset}_decisions"))
    own = summary[summary.dataset == dataset]
    metric = own.metric.iloc[0]
    values = own[own.metric == metric].set_index("variant")
    shown = []
    for variant in index["variants"]:
        value = paper.paper_value("ablation", paper.ABLATION.get(variant, ""), "celeba64", "FID")
        shown.append(
            {
                "row": NAMES.get(variant, f"`{variant}`"),
                "paper: FID CelebA 64": paper.value_text(value),
                f"measured: {metric}": _measured(values, variant),
            }
        )
    found = Counter(str(text).partition(":")[0].partition(" (")[0] for text in decisions.verdict)
    counted = ", ".join(f"{found[name]} {words}" for name, words in SENTENCES.items() if found[name])
    decided = [
        f"{word.capitalize()}: {', '.join(names)}."
        for word in ("seen", "contradicted")
        if (names := [row["what differs"] for row in decisions.to_dict("records") if row["verdict"].startswith(word)])
    ]
    return "\n\n".join(
        [
            rows(pd.DataFrame(shown)),
            f"Means and {_confidence(own)} intervals over seeds {', '.join(map(str, index['seeds']))}. Of "
            f"{len(decisions)} "
            f"pairs of rows that a paired test over seeds compares: {counted}. {' '.join(decided)}".strip(),
        ]
    )


def updated(text: str, measured: str) -> str:
    """README's text with `measured` between its two marks. Errors: `UserError` where a mark is missing."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise UserError(f"README.md: {BEGIN} and {END} are needed around its measured part")
    return f"{before}{BEGIN}\n{measured}\n{END}{after}"


def _table(reports: Path, name: str) -> pd.DataFrame:
    path = reports / "tables" / f"{name}.csv"
    if not path.is_file():
        raise UserError(f"{path}: no such file; `dvc repro` writes it")
    return pd.read_csv(path)


def _measured(values: pd.DataFrame, variant: str) -> str:
    if variant not in values.index or pd.isna(values["mean"][variant]):
        return ABSENT[0]
    half = values.half_width[variant]
    return f"{values['mean'][variant]:.1f}" + ("" if pd.isna(half) else f" ± {half:.1f}")


def _confidence(summary: pd.DataFrame) -> str:
    return f"{float(summary.confidence.iloc[0]):.0%}"


@command_line
def main() -> None:
    path = Path("README.md")
    write_text(path, updated(path.read_text(encoding="utf-8"), block(Path("reports"), Path("plan"))))
    print(f"readme: {path}")


if __name__ == "__main__":
    main()
