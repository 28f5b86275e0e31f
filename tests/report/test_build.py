"""The report's files: Markdown, CSV and pictures belong together, nothing stale stays, a killed report can be read."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from pipeline.base.errors import ConfigError
from pipeline.base.schema import bind
from pipeline.plan.config import ReportConfig
from pipeline.report.document import Figure, Section, Table, write_report
from report_project import render, write_project
from repository import ROOT


@pytest.fixture(scope="module")
def text(report):
    return (report / "README.md").read_text()


def test_the_order_of_the_report(text):
    titles = re.findall(r"^## <a[^>]*></a>(.*)", text, flags=re.MULTILINE)
    assert titles == [
        "Claims and findings", "The paper's main results", "Ablation: Digits 8 (demo)", "Cost",
        "Every claim of the paper", "Rules", "Every training",
    ]  # fmt: skip


def test_markdown_is_short_and_what_was_not_run_is_folded(text):
    assert len(re.findall(r"\w[\w.,'-]*", text)) <= 4000
    assert "[Main results: CIFAR-10 (nothing measured)](tables/cifar10_main.csv)" in text
    assert "</a>Ablation: the paper's rows (A) to (E)\n" in text and "<details>" not in text


def test_markdown_has_no_dead_link_and_an_image_behind_every_picture(report, text):
    links = re.findall(r"\]\(([^)]+)\)", text)
    assert len(links) > 20
    anchors = set(re.findall(r'<a id="([^"]+)">', text))
    for link in links:
        assert link[1:] in anchors if link.startswith("#") else (report / link).is_file(), link
    for link in re.findall(r"!\[[^\]]+\]\(([^)]+)\)", text):
        Image.open(report / link).verify()
    for folder, ending in (("figures", "png"), ("tables", "csv")):
        assert {path.name for path in (report / folder).iterdir()} == {
            Path(x).name for x in links if x.endswith(ending)
        }


def test_markdown_tables_have_as_many_cells_as_columns(text):
    blocks = re.findall(r"(?:^\|.*\|\n)+", text, flags=re.MULTILINE)
    assert len(blocks) >= 4
    for block in blocks:
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}) == 1, block


def test_a_table_shows_no_column_that_repeats_another_or_says_nothing():
    frame = pd.DataFrame(
        {"a": ["1", "2"], "b": ["1", "2"], "c": ["-", None], "d": ["x", "y"], "source": ["T 3", "T 3"]}
    )
    shown, note = Table(name="t", title="T", frame=frame, note="A note.", hidden=("d",)).shown()
    assert list(shown) == ["a"] and note == "A note. Source of the paper's values: T 3."


def test_the_same_results_give_the_same_bytes(project, report, tmp_path):
    before = {path.relative_to(report): path.read_bytes() for path in report.rglob("*") if path.is_file()}
    for name in ("plan", "results"):
        (tmp_path / name).symlink_to(project / name)
    again = render(tmp_path)
    assert {path.relative_to(again): path.read_bytes() for path in again.rglob("*") if path.is_file()} == before


def test_what_an_earlier_report_left_is_removed_and_nothing_else(tmp_path):
    picture = tmp_path / "figures/new.png"
    picture.parent.mkdir()
    Image.new("RGB", (4, 4)).save(picture)
    left = ("figures/old.png", "tables/old.csv", "figures/.cost.png.x1.png", ".README.md.ab.md", "notes.txt")
    for name in left:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("left by an earlier report")
    table = Table(name="new", title="N", frame=pd.DataFrame({"a": [1]}))
    content = [table, Figure(title="P", path=picture, alt="a picture")]
    write_report("T", "", [Section(title="S", anchor="s", content=content)], tmp_path)
    found = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert found == {"README.md", "index.html", "figures/new.png", "tables/new.csv", "notes.txt"}


def test_a_wrong_setting_is_refused_before_anything_is_removed():
    with pytest.raises(ConfigError, match=r"report.dpi: given 'abc'"):
        bind(ReportConfig, {"dpi": "abc"},
             file="params.yaml", prefix="report")  # fmt: skip


@pytest.mark.nightly
def test_a_report_that_is_killed_while_it_writes_can_be_read(tmp_path):
    """The old report is complete until its files are replaced one by one; no picture or table of it is missing."""
    folder = write_project(tmp_path, {"full": [10.0, 12.0, None], "mine": [11.0, None, None]})
    report = render(folder)
    code = (
        "import sys; from pathlib import Path; from report_project import render; print(1, flush=True); "
        "render(Path(sys.argv[1]))"
    )
    environment = os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"}
    child = subprocess.Popen([sys.executable, "-c", code, str(folder)], env=environment, stdout=subprocess.PIPE)
    child.stdout.readline()
    time.sleep(1)
    child.send_signal(signal.SIGKILL)
    child.wait()
    text = (report / "README.md").read_text()
    for link in re.findall(r"\]\(([^)#]+)\)", text):
        assert (report / link).is_file(), link
    assert (report / "index.html").read_text().rstrip().endswith("</html>")


def test_cells_without_pictures_are_named(text):
    assert "No pictures of: standard_attention, oom; multiscale, not run." in text


def test_a_report_of_a_matrix_that_has_not_run_says_so(tmp_path):
    text = (render(write_project(tmp_path, {"full": [None, None, None]})) / "README.md").read_text()
    assert "3 not run" in text and "No pictures of: nothing has run." in text


def test_rendering_imports_no_torch():
    code = "import sys, stages.report; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
