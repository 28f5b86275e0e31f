"""Published runs: settings laid over params.yaml, results of a clone written as people read them."""

import json
import subprocess

import numpy as np
import pytest
from dvc.repo import Repo
from omegaconf import OmegaConf
from PIL import Image

from pipeline.base.errors import UserError
from pipeline.base.schema import read_yaml
from pipeline.generators import pretrained
from pipeline.generators.library import load_generator
from pipeline.matrix import publish
from pipeline.pictures.illustrate import write_sheet
from pipeline.plan.config import load, resolve_cell
from settings_files import copy_settings
from trained_networks import write_trained

CELL = "faces/full/seed1"


@pytest.fixture
def clone(tmp_path):
    """A finished clone with one cell."""
    results = tmp_path / "clone/results" / CELL
    results.mkdir(parents=True)
    results.with_suffix(".json").write_text(json.dumps({"status": "ok", "kimg": 2.0, "kid2k": 0.5}))
    (results / "run.json").write_text(json.dumps({"revision": "abc", "kimg": 2.0, "seconds": 3.0, "key": "secret"}))
    (results / "protocol.json").write_text("{}")
    (results / "history.csv").write_text("kimg\n2.0\n")
    (results.parent.parent / "reference.json").write_text('{"n_rest": 9}')
    (results / "progress.csv").write_text("kimg,seconds,kid500\n2,3,0.5\n")
    images = np.arange(64 * 3 * 32 * 32, dtype=np.uint32).reshape(1, 64, 3, 32, 32).astype(np.uint8)
    write_sheet(results / "samples", images, rows=["samples"])
    write_sheet(results / "grids", np.stack([images[0], 255 - images[0]]), rows=[0.0, 2.0])
    plan = tmp_path / "clone/plan"
    (plan / "train" / CELL).parent.mkdir(parents=True)
    (plan / "train" / f"{CELL}.yaml").write_text("seed: 1\n")
    (plan / "index.json").write_text(json.dumps({"cells": [{"dataset": "faces", "variant": "full", "seed": 1}]}))
    return tmp_path / "clone", images


def test_numbers_pictures_and_provenance_are_kept(clone, tmp_path):
    folder, images = clone
    out = publish.write_published(folder, tmp_path / "published/faces32")
    assert (out / "metrics.csv").read_text() == f"cell,status,kimg,kid2k\n{CELL},ok,2.0,0.5\n"
    record = json.loads((out / "run.json").read_text())
    assert record["revision"] == "abc" and "key" not in record
    assert (out / "curve.csv").read_text().startswith("kimg,seconds,kid500")
    assert json.loads((out / "reference.json").read_text()) == {"n_rest": 9}
    picture = np.asarray(Image.open(out / "samples.png").convert("RGB"))
    # Eight images a row, three times as large, gaps of three pixels.
    assert picture.shape == (8 * 33 * 3 + 3, 8 * 33 * 3 + 3, 3)
    assert (picture[3::3, 3::3][:32, :32] == images[0, 0].transpose(1, 2, 0)).all()
    with Image.open(out / "training.gif") as video:
        assert video.n_frames == 2 and video.size == (8 * 33 + 1, 4 * 33 + 1)
        frame = np.asarray(video.convert("RGB")).astype(int)
    assert abs(frame[1:33, 34:66] - images[0, 1].transpose(1, 2, 0)).mean() < 16  # a palette of 256 colours


def test_the_generator_of_the_smallest_seed_is_kept_and_found_by_name(clone, tmp_path, cell, monkeypatch):
    folder, _ = clone
    monkeypatch.setattr(pretrained, "PUBLISHED", tmp_path / "published")
    for seed in (10, 1):
        run = write_trained(folder / f"runs/faces/full/seed{seed}", cell("digits").network, seed=seed)
    out = publish.write_published(folder, tmp_path / "published/faces32")
    assert {path.name for path in (out / "networks/full").iterdir()} == {*pretrained.FILES, "README.md"}
    kept, trained = (load_generator(one).sample(2).astype(int) for one in ("faces32/full", run))
    assert abs(kept - trained).max() <= 1  # half precision
    card = (out / "networks/full/README.md").read_text()
    assert 'load_generator("faces32/full")' in card and "non-commercial research alone" in card
    with pytest.raises(UserError, match="did you mean 'faces32/full'"):
        load_generator("faces32/ful")


def test_generators_too_large_for_a_repository_are_left_out_and_the_rest_is_kept(
    clone, tmp_path, cell, monkeypatch, capsys
):
    folder, _ = clone
    write_trained(folder / "runs" / CELL, cell("digits").network)
    monkeypatch.setattr(pretrained, "MOST", 1000)
    out = publish.write_published(folder, tmp_path / "published/faces32")
    assert not (out / "networks").exists() and (out / "metrics.csv").is_file()
    assert "not kept: generators of" in capsys.readouterr().out


def test_settings_are_laid_over_params_and_name_the_data(tmp_path):
    (tmp_path / "faces.zip").touch()
    copy_settings(tmp_path)
    publish.lay_over(tmp_path, read_yaml(publish.ROOT / "published/faces32/settings.yaml"), tmp_path / "faces.zip")
    cell = resolve_cell(load(tmp_path / "params.yaml"), "faces", "full")
    assert cell.data.path == str(tmp_path / "faces.zip")
    assert (
        cell.train.kimg == 64.0
        and cell.train.threads == 1
        and cell.evaluate.metrics == ["fid_train_clean", "fid_train_legacy", "kid", "pr3_inception"]
    )


def test_data_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"--data: .*no such file or folder"):
        publish.lay_over(publish.ROOT, {"matrix": {"datasets": ["faces"]}}, tmp_path / "none.zip")


@pytest.mark.parametrize("run", sorted(path.parent.name for path in publish.ROOT.glob("published/*/settings.yaml")))
def test_the_settings_of_every_published_run_resolve(run, tmp_path):
    copy_settings(tmp_path)
    publish.lay_over(tmp_path, read_yaml(publish.ROOT / f"published/{run}/settings.yaml"), None)
    content = load(tmp_path / "params.yaml")
    for variant in content["matrix"]["variants"]:
        assert resolve_cell(content, content["matrix"]["datasets"][0], variant).train.kimg


@pytest.fixture
def source(tmp_path):
    """A repository of git and DVC with a params.yaml, and its git."""

    def git(*arguments):
        subprocess.run(
            ["git", "-c", "user.name=t", "-c", "user.email=t@example.invalid", *arguments], cwd=tmp_path, check=True
        )

    git("init", "--quiet")
    Repo.init(str(tmp_path)).close()
    (tmp_path / "params.yaml").write_text("a: 1\nmatrix: {datasets: [faces]}\n")
    (tmp_path / ".gitignore").write_text(".work\n")
    git("add", ".")
    git("commit", "--quiet", "-m", "one")
    return tmp_path, git


def test_a_changed_working_tree_is_refused(source):
    folder, _ = source
    (folder / "params.yaml").write_text("a: 2\n")
    with pytest.raises(UserError, match="commit your changes first"):
        publish.prepare_clone("faces32", {}, None, folder)


def test_clones_share_one_cache_and_follow_the_repositorys_revision(source):
    folder, git = source
    caches = []
    for name, settings in (("one", {"b": 1}), ("two", {"b": 2})):
        clone = publish.prepare_clone(name, {"about": "minutes", **settings}, None, folder)
        assert OmegaConf.load(clone / "params.yaml") == {"a": 1, "matrix": {"datasets": ["faces"]}, **settings}
        with Repo(str(clone)) as repo:
            caches.append(repo.cache.local.path)
    assert caches == [str(folder / ".work/published/cache/files/md5")] * 2
    (folder / "params.yaml").write_text("a: 3\nmatrix: {datasets: [faces]}\n")
    git("commit", "--quiet", "-am", "two")
    assert OmegaConf.load(publish.prepare_clone("one", {}, None, folder) / "params.yaml").a == 3


def test_what_settings_no_longer_say_is_gone(source):
    folder, _ = source
    given = [{"train": {"kimg": 1}, "evaluate": {"curve": ["kid"]}}, {"train": {"kimg": 2}}]
    for overlay in given:
        clone = publish.prepare_clone("one", {"conf/profile/own.yaml": overlay}, None, folder)
    assert OmegaConf.load(clone / "conf/profile/own.yaml") == given[1]
