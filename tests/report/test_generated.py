"""What is generated agrees with results and networks."""

import pytest

from pipeline.base.errors import UserError
from pipeline.generators.describe import describe
from pipeline.report import paper
from pipeline.report.generated import BEGIN, END, standing, updated
from pipeline.report.published import published_runs
from pipeline.report.results import Results
from repository import ROOT


def test_the_block_says_what_was_trained_and_how_it_came_out(models):
    text = standing(models, [])
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
    measured = standing(Results.load(), published_runs("published"))
    assert updated(text, measured) == text, "run python -m pipeline.report.generated"


def test_known_geometries_have_their_size(cell):
    """The file that spares the report torch; `python -m pipeline.report.generated` writes it anew."""
    stored = paper.packaged("cost_geometry.csv").set_index(["dataset", "variant"])
    for dataset, variant in [("digits", "full"), ("cifar10", "full"), ("faces", "full"),
                             ("celeba64", "nystrom_attention"), ("church256", "axis_attention")]:  # fmt: skip
        found, row = describe(cell(dataset, variant)), stored.loc[(dataset, variant)]
        for short, network in (("g", "generator"), ("d", "discriminator")):
            assert int(row[f"parameters_{short}"]) == found[network]["parameters"]
            assert int(row[f"flops_{short}"]) == found[network]["forward_flops"]
