"""The pages agree with the repository: links, commands, generated pages, lengths. The site and the notebook build."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline import cli

ROOT = Path(__file__).parent.parent
DOCS = sorted((ROOT / "docs").rglob("*.md"))
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "published/README.md")] + DOCS
CURRENT = [page for page in PAGES if page.name != "CHANGELOG.md"]


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def anchors(page: Path) -> set[str]:
    """The anchors that a repository browser gives the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def blocks(page: Path) -> list[str]:
    return re.findall(r"```\w*\n(.*?)```", page.read_text(), re.S)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_relative_link_leads_somewhere(page):
    dead = []
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        path, _, anchor = link.partition("#")
        target = (page.parent / path) if path else page
        if not re.match(r"\w+:", link) and (not target.exists() or (anchor and anchor not in anchors(target))):
            dead.append(link)
    assert not dead


@pytest.mark.parametrize("page", CURRENT, ids=name)
def test_every_command_of_a_page_exists(page):
    # Commands stand in code alone: blocks, and spans in a sentence.
    code = "\n".join(blocks(page) + re.findall(r"`([^`\n]+)`", page.read_text()))
    rules = re.findall(r"^([a-z -]+):(?!=)", (ROOT / "Makefile").read_text(), re.M)
    targets = {target for rule in rules for target in rule.split()}
    assert set(re.findall(r"(?:^|&& )make ([a-z][a-z-]*)", code, re.M)) <= targets
    assert set(re.findall(r"(?:^|[\s&])transgan ([a-z][a-z-]*)", code)) - {"make"} <= set(cli.COMMANDS)
    modules = set(re.findall(r"python -m ((?:pipeline|benchmarks|stages)[\w.]*\w)", code))
    assert not [module for module in modules if importlib.util.find_spec(module) is None]


@pytest.mark.parametrize("page", CURRENT, ids=name)
def test_every_file_a_page_names_is_there(page):
    written = ("plan/", "data/", "runs/", "build/", "results/", "conf/")  # by the pipeline; templates of names
    named = set(re.findall(r"`((?:pipeline|tests|docs|stages|benchmarks)/[\w./-]+)`", page.read_text()))
    assert not [path for path in named if not path.startswith(written) and not (ROOT / path).exists()]


def test_every_page_that_code_and_settings_name_is_there():
    files = [*ROOT.glob("pipeline/**/*.py"), *ROOT.glob("conf/**/*.yaml"), *ROOT.glob("*.yaml"), ROOT / "Makefile"]
    files += [
        *ROOT.glob("benchmarks/*.py"),
        *ROOT.glob("pipeline/report/*.csv"),
        *ROOT.glob("published/*/settings.yaml"),
    ]
    named = {page for file in files for page in re.findall(r"docs/[\w/-]+\.\w+", file.read_text())}
    assert len(named) > 5 and not [
        page for page in named if not (ROOT / page).exists() and not page.endswith("upstream-comparison.md")
    ]


def test_readme_and_docs_keep_to_their_length():
    """Words as `wc -w` counts them."""
    assert len((ROOT / "README.md").read_text().split()) <= 900
    assert sum(len(page.read_text().split()) for page in DOCS) <= 12_000


@pytest.mark.parametrize("page", CURRENT, ids=name)
def test_code_fits_its_place(page):
    """A block is read beside other text, or in a terminal."""
    most = 80 if page.name in ("README.md", "getting-started.md") else 116
    assert max((len(line) for block in blocks(page) for line in block.splitlines()), default=0) <= most


def test_every_page_is_linked():
    """Each page of docs/ is named by another one, so that a reader finds it."""
    for page in DOCS:
        others = "\n".join(other.read_text() for other in CURRENT if other != page)
        assert page.name == "index.md" or re.search(rf"\]\((?:[\w./-]*/)?{re.escape(page.name)}[)#]", others), page


@pytest.fixture(scope="module")
def generate():
    spec = importlib.util.spec_from_file_location("generate_docs", ROOT / "docs/generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("page", ["settings.md", "commands.md"])
def test_pages_written_from_the_code_are_in_step_with_it(generate, page, monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "argv", sys.argv)
    monkeypatch.setenv("COLUMNS", "100")
    if page == "commands.md" and sys.version_info[:2] != (3, 11):
        pytest.skip("argparse words its help otherwise in other versions of Python")
    assert (ROOT / "docs/reference" / page).read_text() == generate.PAGES[page](), "run `make docs`"


def test_every_setting_of_training_is_described(generate):
    text = generate.settings()
    for key in ("train", "evaluate"):
        section = text.partition(f"## {key}\n")[2].partition("\n## ")[0]
        lines = [line for line in section.splitlines() if line.startswith("- `") and "anneal" not in line]
        bare = [line for line in lines if ": " not in line]
        assert section and not bare


def test_the_site_builds_without_a_warning(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WARNING" not in done.stderr and (tmp_path / "how-to/experiments.html").is_file()


def test_the_notebook_runs_and_holds_what_the_page_on_networks_says(tmp_path):
    import nbclient
    import nbformat

    notebook = nbformat.read(ROOT / "docs/library.ipynb", as_version=4)
    code = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    for block in re.findall(r"```python\n(.*?)```", (ROOT / "docs/how-to/networks.md").read_text(), re.S):
        assert all(line in code for line in block.splitlines())
    assert any(cell.get("outputs") for cell in notebook.cells), "committed as executed"
    first = nbformat.v4.new_code_cell(f"import os, sys; sys.path.insert(0, {str(ROOT)!r}); os.chdir({str(tmp_path)!r})")
    notebook.cells.insert(0, first)
    nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3").execute()  # raises for a cell that fails
    assert (tmp_path / "walk.gif").is_file() and len(list((tmp_path / "pictures").iterdir())) == 16


def test_targets_of_one_make_come_one_after_the_other():
    """Also with `make -j2 repro report`: dvc lets one command at a time into a clone."""
    done = subprocess.run(["make", "-pn", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "\n.NOTPARALLEL:" in done.stdout
