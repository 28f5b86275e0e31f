"""Networks kept in the repository, and their model cards."""

import re
import subprocess

import numpy as np
import pytest
import yaml
from PIL import Image

from pipeline.base.cell import Cell
from pipeline.base.errors import UserError
from pipeline.base.files import write_json
from pipeline.base.images import tile
from pipeline.generators import pretrained
from pipeline.generators.library import load_generator
from pipeline.generators.pretrained import copy_to_pretrained, model_card
from trained_networks import write_trained


@pytest.fixture
def project(cell, tmp_path, monkeypatch):
    monkeypatch.setattr(pretrained, "PRETRAINED", tmp_path / "pretrained")
    monkeypatch.setattr(pretrained, "PUBLISHED", tmp_path / "published")
    for seed in (10, 2):
        write_trained(tmp_path / f"runs/digits/full/seed{seed}", cell("digits").network, seed=seed)
    values = {"status": "ok", "fd_digits": 18.2015, "is_digits": 6.35, "is_digits_std": 0.19, "n_gen": 1797}
    write_json(tmp_path / "results/digits/full/seed2.json", values)
    facts = {"fd_digits": {"n_gen": 1797, "n_real": 1790}}
    write_json(tmp_path / "results/digits/full/seed2/protocol.json", {"metrics": facts, "unavailable": {}})
    return tmp_path


def test_the_smallest_seed_is_copied_and_draws_the_same_images_to_one_grey_level(project):
    assert copy_to_pretrained(["digits/full"], project) == [project / "pretrained/digits/full"]
    assert {path.name for path in (project / "pretrained/digits/full").iterdir()} == {*pretrained.FILES, "README.md"}
    images = load_generator("digits/full").sample(64).astype(int)
    assert abs(images - load_generator(project / "runs/digits/full/seed2").sample(64)).max() <= 1
    assert abs(images - load_generator(project / "runs/digits/full/seed10").sample(64)).max() > 1
    kept, full = (
        path / pretrained.WEIGHTS for path in (project / "pretrained/digits/full", project / "runs/digits/full/seed2")
    )
    assert kept.stat().st_size < 0.6 * full.stat().st_size


def test_too_much_for_a_repository_is_refused_before_anything_is_written(project, monkeypatch):
    monkeypatch.setattr(pretrained, "MOST", 1000)
    with pytest.raises(UserError, match="MiB of networks in all"):
        copy_to_pretrained(["digits/full"], project)
    assert not (project / "pretrained").exists()


@pytest.mark.parametrize("name", ["digits/none", "digits", "../x/y"])
def test_a_cell_without_a_run_is_refused(project, name):
    with pytest.raises(UserError):
        copy_to_pretrained([name], project)


def test_the_card_has_the_front_matter_that_hubs_read_and_the_numbers_by_protocol(project):
    copy_to_pretrained(["digits/full"], project)
    text = (project / "pretrained/digits/full/README.md").read_text()
    front = yaml.safe_load(re.fullmatch(r"---\n(.*?)---\n.*", text, re.S)[1])
    assert front["license"] == "mit" and front["pipeline_tag"] == "unconditional-image-generation"
    metrics = front["model-index"][0]["results"][0]["metrics"]
    assert metrics == [{"type": "fd_digits", "value": 18.2015}, {"type": "is_digits", "value": 6.35}]
    assert "| `fd_digits` | 18.2 | lower | 1797 | 1790 |" in text and "| `is_digits` | 6.35 ± 0.19 | higher |" in text
    assert "CC BY 4.0" in text and 'load_generator("digits/full")' in text and "228,561" in text


def test_a_card_without_measurements_says_so(project):
    (project / "runs/celebahq256").mkdir()
    (project / "runs/digits/full").rename(project / "runs/celebahq256/full")
    text = model_card(Cell("celebahq256", "full", 10), project, "faces")
    assert "Not measured." in text and "CC BY-NC 4.0" in text and "model-index" not in text


def test_the_card_of_an_imported_run_says_that_its_length_is_not_known(project):
    run = project / "runs/digits/full/seed2"
    write_json(run / "run.json", {"status": "ok", "kimg": None, "seconds": None, "imported_from": "cifar.pth"})
    text = model_card(Cell("digits", "full", 2), project, "digits/full")
    assert "Length: not known: the weights were imported." in text and "Imported from: cifar.pth." in text


@pytest.mark.parametrize("name", ["faces32_deep_d/full", "faces32_relativistic/relativistic"])
def test_published_networks_in_half_precision_draw_the_published_samples(name):
    """The pictures were drawn from the weights of the training, in single precision; their palette has 256 colours."""
    published = np.asarray(Image.open(pretrained.PUBLISHED / name.split("/")[0] / "samples.png").convert("RGB")).astype(
        int
    )
    drawn = tile(load_generator(name).sample(100, seed=0, batch=100)[:16].transpose(0, 3, 1, 2), 8, scale=3)
    assert abs(published[: 3 * 66] - drawn[: 3 * 66]).mean() < 4


def test_networks_in_the_repository_are_complete_small_and_draw_pictures():
    for name, folder in pretrained.kept_networks().items():
        assert {path.name for path in folder.iterdir()} == {*pretrained.FILES, "README.md"}
        assert load_generator(name).sample(8).std() > 10
        assert yaml.safe_load((folder / "README.md").read_text().split("---\n")[1])["library_name"] == "pytorch"
    groups = [pretrained.PRETRAINED, *pretrained.PUBLISHED.glob(f"*/{pretrained.KEPT}")]
    for group in groups:
        assert sum(path.stat().st_size for path in group.rglob("*") if path.is_file()) <= pretrained.MOST


@pytest.mark.parametrize("folder", ["pretrained/digits/full", "published/faces32_deep_d/networks/full"])
def test_git_keeps_networks_and_the_readmes_command_names_one_that_make_copies(folder):
    root = pretrained.ROOT
    files = [f"{folder}/{name}" for name in (*pretrained.FILES, "README.md")]
    assert subprocess.run(["git", "check-ignore", *files], cwd=root, capture_output=True, text=True).stdout == ""
    named = set(re.findall(r"--pretrained (digits/\w+)", (root / "README.md").read_text()))
    copied = re.search(r"^PRETRAINED \?= (.*)$", (root / "Makefile").read_text(), re.M)[1].split()
    assert named and named <= set(copied)
