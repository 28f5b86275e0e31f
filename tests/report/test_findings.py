"""The first screen, made from the numbers, and the state of every claim."""

import pandas as pd
import pytest

from pipeline.report import paper
from pipeline.report.appendix import claims
from pipeline.report.build import MOST, findings
from pipeline.report.results import Results
from pipeline.report.row_pairs import COMPARISONS, compared
from report_project import MODEL_CELLS, write_project
from repository import ROOT


def found(folder) -> str:
    results = Results.load(folder / "plan", folder / "results")
    return findings(results, {"digits": compared(results, "digits")}, [])


@pytest.fixture(scope="module")
def text(project):
    return found(project)


def test_the_report_begins_with_the_claims_then_the_rows_then_the_findings(report):
    text = (report / "README.md").read_text()
    places = [
        text.index(part) for part in ("| claim | paper (source) | measured | same? |", "![fd_digits", "**Trained:**")
    ]
    assert places == sorted(places) and places[0] < 1000
    section = text[text.index("**Trained:**") :].split("\n\n")[0]
    assert len(section.splitlines()) <= MOST


def test_what_was_trained_and_what_was_not_is_said(text):
    assert "27 trainings of 9 variants, seeds 0, 1, 2: " in text and "diverged at 3.5" in text
    assert "`mine` is the same training as `full`" in text and "**Not trained:** CelebA 64" in text


def test_counts_of_verdicts_and_rows_beyond_the_paper(tmp_path):
    text = found(write_project(tmp_path, MODEL_CELLS))
    assert "of the paper's 5 comparisons " in text and "`lazy_penalty`" in text[text.index("**Off `full`") :]


def test_the_seed_that_the_settings_were_chosen_on_is_named(text):
    assert "by the metric of `full`, seed 0; that seed is among those reported" in text


def test_a_data_set_that_nothing_was_tuned_on_has_findings_too(project):
    results = Results.load(project / "plan", project / "results")
    assert "**Trained:**" in (text := findings(results, {"glyphs": []}, [])) and "Tuned" not in text


def test_every_claim_of_the_reading_has_code_that_exists_and_what_it_names_is_known():
    entries = paper.packaged("claims.csv")
    assert list(entries.number.astype(int)) == list(range(1, 37))
    datasets = set(paper.packaged("paper_results.csv").dataset)
    pairs = {f"{entry.variant}/{entry.base}" for entry in COMPARISONS} | {"all"}
    for entry in entries.itertuples():
        assert all((ROOT / path).exists() for path in f"{entry.code} {entry.test}".split()), entry
        assert set(entry.pairs.split()) <= pairs, entry
        assert set(entry.datasets.split()) <= datasets, entry
        assert any((entry.code, entry.test, entry.figures, entry.pairs, entry.datasets, entry.metrics)), entry


def test_claims_say_what_is_built_shown_and_measured(report, tmp_path):
    table = pd.read_csv(report / "tables/claims.csv", keep_default_na=False).set_index("no.")
    assert "[relative position](#digits_relative_position_chart)" in table.shown[26] and table.measured[27] == "1 open"
    assert table.measured[30] == "" and table.measured[34] == "not run" and "`pipeline/networks" in table.built[28]
    folder = write_project(tmp_path, {"full": [20.0, 21.0, 22.0], "no_augment": [10.0, 10.5, 11.0]})
    results = Results.load(folder / "plan", folder / "results")
    counts, fresh = claims(results, compared(results, "digits"), [])
    assert fresh.frame.set_index("no.").measured[23] == "1 reversed"
    assert counts.startswith("Of 36 claims of the paper, ") and " 0 are shown in pictures" in counts


def test_every_paper_value_says_where_it_was_seen():
    values = paper.packaged("paper_results.csv")
    assert set(values.status) <= {"checked", *paper.MEANINGS} and (values.source != "").all()
    assert not (values[values.status.isin(("checked", "quoted"))].source == "memory").any()
    assert not values.duplicated(["table", "row", "dataset", "metric"]).any()
