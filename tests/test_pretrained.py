"""Networks kept in the repository, and their model cards."""

import re
from pathlib import Path

import pytest
import yaml
from trained_networks import write_trained

from pipeline import pretrained
from pipeline.errors import UserError
from pipeline.files import write_json
from pipeline.library import load_generator
from pipeline.model_card import model_card


@pytest.fixture
def project(cell, tmp_path, monkeypatch):
    monkeypatch.setattr(pretrained, "PRETRAINED", tmp_path / "pretrained")
    for seed in (10, 2):
        write_trained(tmp_path / f"runs/digits/full/seed{seed}", cell("digits").network, seed=seed)
    values = {"status": "ok", "fd_digits": 18.2015, "is_digits": 6.35, "is_digits_std": 0.19, "n_gen": 1797}
    write_json(tmp_path / "results/digits/full/seed2.json", values)
    facts = {"fd_digits": {"n_gen": 1797, "n_real": 1790}}
    write_json(tmp_path / "results/digits/full/seed2/protocol.json", {"metrics": facts, "unavailable": {}})
    return tmp_path


def publish(project, *cells):
    return pretrained.publish(cells, project / "runs", project / "results")


def test_the_smallest_seed_is_published_and_draws_the_same_images(project):
    assert publish(project, "digits/full") == [project / "pretrained/digits/full"]
    assert {path.name for path in (project / "pretrained/digits/full").iterdir()} == {*pretrained.FILES, "README.md"}
    images = load_generator("digits/full").sample(4)
    assert (images == load_generator(project / "runs/digits/full/seed2").sample(4)).all()
    assert (images != load_generator(project / "runs/digits/full/seed10").sample(4)).any()


def test_too_much_for_a_repository_is_refused_before_anything_is_written(project, monkeypatch):
    monkeypatch.setattr(pretrained, "MOST", 1000)
    with pytest.raises(UserError, match="MiB of networks in all"):
        publish(project, "digits/full")
    assert not (project / "pretrained").exists()


@pytest.mark.parametrize("name", ["digits/none", "digits", "../x/y"])
def test_a_cell_without_a_run_is_refused(project, name):
    with pytest.raises(UserError):
        publish(project, name)


def test_the_card_has_the_front_matter_that_hubs_read_and_the_numbers_by_protocol(project):
    publish(project, "digits/full")
    text = (project / "pretrained/digits/full/README.md").read_text()
    front = yaml.safe_load(re.fullmatch(r"---\n(.*?)---\n.*", text, re.S)[1])
    assert front["license"] == "mit" and front["pipeline_tag"] == "unconditional-image-generation"
    metrics = front["model-index"][0]["results"][0]["metrics"]
    assert metrics == [{"type": "fd_digits", "value": 18.2015}, {"type": "is_digits", "value": 6.35}]
    assert "| `fd_digits` | 18.2 | lower | 1797 | 1790 |" in text and "| `is_digits` | 6.35 ± 0.19 | higher |" in text
    assert "CC BY 4.0" in text and 'load_generator("digits/full")' in text and "228,561" in text


def test_a_card_without_measurements_says_so(project):
    text = model_card(project / "runs/digits/full/seed10", cell="celebahq256/full", results=None)
    assert "Not measured." in text and "CC BY-NC 4.0" in text and "model-index" not in text


def test_networks_in_the_repository_are_complete_and_small():
    root = Path(pretrained.__file__).parent.parent / "pretrained"
    folders = [path.parent for path in root.glob("*/*/network.yaml")]
    for folder in folders:
        assert {path.name for path in folder.iterdir()} == {*pretrained.FILES, "README.md"}
    assert sum(path.stat().st_size for path in root.rglob("*") if path.is_file()) <= pretrained.MOST
