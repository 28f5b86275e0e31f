"""The generated part of README.md comes from the results."""

import pytest

from pipeline.base.errors import UserError
from pipeline.report.published import published_runs
from pipeline.report.readme import BEGIN, END, block, updated
from pipeline.report.results import Results
from repository import ROOT


def test_the_block_says_what_was_trained_and_how_it_came_out(models):
    text = block(models, [])
    assert text.splitlines()[0] == "| data | trained here | outcome |"
    assert (
        "| Digits 8 (demo) | 7 rows, 21 trainings of 192 kimg | `full` `fd_digits` 21.0 ± 2.5; the paper's orders: "
        in text
    )
    assert "| CIFAR-10, STL-10 48, CelebA 128, CelebA-HQ 256, LSUN-Church 256 | never | - |" in text


def test_nothing_but_the_block_changes():
    text = f"# Title\n{BEGIN}\nold\n{END}\nrest\n"
    assert updated(text, "new") == f"# Title\n{BEGIN}\nnew\n{END}\nrest\n"
    with pytest.raises(UserError, match="needed around"):
        updated("# Title\n", "new")


def test_the_readme_is_in_step_with_the_committed_results(monkeypatch):
    monkeypatch.chdir(ROOT)
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    measured = block(Results.load(), published_runs("published"))
    assert updated(text, measured) == text, "run python -m pipeline.report.readme"
