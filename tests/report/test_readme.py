"""The measured part of README.md comes from the report's tables."""

import pytest

from pipeline.base.errors import UserError
from pipeline.report.readme import BEGIN, END, block, updated
from repository import ROOT


def test_the_block_holds_paper_and_measurement_and_what_was_decided(models_report):
    text = block(models_report, models_report.parent / "plan")
    assert "| + relative position = `full` | *6.14 (recalled)* | 21.0 ± 2.5 |" in text
    assert "| `stylegan2` | not reported | 17.0 ± 28.2 |" in text
    assert "over seeds 0, 1, 2. Of 5 pairs" in text and "2 seen as the paper says, 2 contradicted, 1 undecided" in text


def test_nothing_but_the_block_changes():
    text = f"# Title\n{BEGIN}\nold\n{END}\nrest\n"
    assert updated(text, "new") == f"# Title\n{BEGIN}\nnew\n{END}\nrest\n"
    with pytest.raises(UserError, match="needed around"):
        updated("# Title\n", "new")


def test_the_readme_is_in_step_with_the_committed_report():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert updated(text, block(ROOT / "reports", ROOT / "plan")) == text, "run python -m pipeline.report.readme"
