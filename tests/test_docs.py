"""The pages agree with the repository: links lead somewhere, commands and targets exist."""

import importlib.util
import re
import subprocess
from pathlib import Path

import pytest

from pipeline import cli

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "published/README.md")]
PAGES += sorted((ROOT / "docs").glob("*.md"))


def anchors(page: Path) -> set[str]:
    """The anchors that a repository browser gives the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_relative_link_leads_somewhere(page):
    links = re.findall(r"\]\(([^)\s]+)\)", page.read_text())
    dead = []
    for link in (link for link in links if not re.match(r"\w+:", link)):
        name, _, anchor = link.partition("#")
        target = (page.parent / name) if name else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            dead.append(link)
    assert not dead


@pytest.mark.parametrize("page", [page for page in PAGES if page.name != "CHANGELOG.md"], ids=lambda page: page.name)
def test_every_command_of_a_page_exists(page):
    text = page.read_text()
    # Commands stand in code alone: blocks, and spans in a sentence.
    code = "\n".join(re.findall(r"```\w*\n(.*?)```", text, re.S) + re.findall(r"`([^`\n]+)`", text))
    rules = re.findall(r"^([a-z -]+):(?!=)", (ROOT / "Makefile").read_text(), re.M)
    targets = {target for rule in rules for target in rule.split()}
    assert set(re.findall(r"(?:^|&& )make ([a-z][a-z-]*)", code, re.M)) <= targets
    assert set(re.findall(r"(?:^|[\s&])transgan ([a-z][a-z-]*)", code)) <= set(cli.COMMANDS)
    modules = set(re.findall(r"python -m ((?:pipeline|benchmarks|stages)[\w.]*\w)", code))
    assert not [name for name in modules if importlib.util.find_spec(name) is None]


def test_every_page_is_linked():
    """Each page of docs/ is named by another one, so that a reader finds it."""
    named = "\n".join(page.read_text() for page in PAGES if page.name != "CHANGELOG.md")
    pages = subprocess.run(["git", "ls-files", "docs/*.md"], cwd=ROOT, capture_output=True, text=True).stdout.split()
    assert pages and not [name for name in pages if Path(name).name not in named]
