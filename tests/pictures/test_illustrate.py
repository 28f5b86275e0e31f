"""One cell's sheets: what is drawn, from which latents, and what stays where a run left no generator."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from pipeline.base.errors import UserError
from pipeline.base.files import read_json, sha256, write_json, write_text
from pipeline.base.schema import dump
from pipeline.data.array import write_dataset
from pipeline.metrics.extractors import extractor
from pipeline.metrics.extractors.registry import IllustratePlan
from pipeline.networks.sampling import load_generator
from pipeline.networks.transgan.networks import Generator
from pipeline.pictures import illustrate
from pipeline.pictures.illustrate import illustrate_run, nearest, write_nearest_images, write_sheet
from small_extractor import small
from trained_networks import sample

PLAN = IllustratePlan(seed=3, batch=50, threads=1)
SHEETS = [
    "attention",
    "grids",
    "interpolation",
    "neighbours_feature",
    "neighbours_pixel",
    "real",
    "relative_position",
    "samples",
]


@pytest.fixture
def project(tmp_path, monkeypatch, cell):
    """An untrained run of the digits' geometry, a dataset, and the reference's files that are read."""
    network = cell("digits").network.model_copy(update={"channels": 3})
    generator = Generator(network)
    with torch.no_grad():
        generator.to_rgb.weight.mul_(4)  # untrained images are nearly grey; spread them over the levels
    (tmp_path / "run").mkdir()
    write_text(tmp_path / "run/network.yaml", dump(network))
    save_file(generator.state_dict(), tmp_path / "run/generator_ema.safetensors")
    np.save(tmp_path / "run/grids.npy", np.zeros((2, 4, 3, 8, 8), dtype=np.uint8))
    write_json(tmp_path / "run/grids.json", {"kimg": [0.0, 1.0]})
    images = np.random.default_rng(0).integers(0, 256, (30, 3, 8, 8), dtype=np.uint8)
    write_dataset(tmp_path / "data", images, None, {"split": "train", "resize": "none"})
    reference = tmp_path / "reference"
    reference.mkdir()
    np.save(reference / "inception_clean_train.npy", small().extract(images, 30).features)
    (reference / "weights.pt").write_bytes(b"weights")
    files = {name: sha256(reference / name) for name in ("inception_clean_train.npy", "weights.pt")}
    sides = [{"extractor": "inception_clean", "split": "train", "features": "inception_clean_train.npy"}]
    networks = {"inception_clean": {"weights": "weights.pt"}}
    write_json(reference / "manifest.json", {"extractors": networks, "sides": sides, "files": files})
    monkeypatch.setattr(extractor, "load_extractor", lambda name, path: small(name))
    return tmp_path


def drawn(folder, out="out", plan=PLAN):
    return illustrate_run(
        plan, run=folder / "run", data=folder / "data", reference=folder / "reference", out=folder / out
    )


def test_every_sheet_is_a_picture_with_its_facts(project):
    assert drawn(project) == SHEETS
    assert sorted(path.name for path in (project / "out").iterdir()) == sorted(
        f"{name}.{end}" for name in SHEETS for end in ("png", "json")
    )
    assert read_json(project / "out/grids.json")["rows"] == [0.0, 1.0]
    assert read_json(project / "out/neighbours_feature.json")["samples"] == 256


def test_the_samples_are_the_first_of_those_that_are_measured(project):
    drawn(project)
    measured = sample(load_generator(project / "run"), 500, 3, 50)[:64]
    pixels = np.asarray(Image.open(project / "out/samples.png")).reshape(8, 64, 8, 3).transpose(1, 3, 0, 2)
    assert np.array_equal(pixels, measured)


def test_the_same_run_gives_the_same_bytes(project):
    drawn(project)
    drawn(project, "again")
    for path in (project / "out").iterdir():
        assert path.read_bytes() == (project / "again" / path.name).read_bytes(), path.name


def test_a_run_without_a_generator_has_its_snapshots_alone(project):
    (project / "run/generator_ema.safetensors").unlink()
    assert drawn(project) == ["grids"]
    (project / "run/grids.npy").unlink()
    assert drawn(project, "other") == [] and (project / "other").is_dir()


def test_features_that_were_replaced_are_refused(project):
    np.save(project / "reference/inception_clean_train.npy", np.zeros((30, 12), dtype=np.float32))
    with pytest.raises(UserError, match="damaged or was replaced"):
        drawn(project)


def test_too_little_memory_is_one_line_that_names_the_setting(project, monkeypatch):
    def refuse(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 67.00 GiB")

    monkeypatch.setattr(illustrate, "draw_images", refuse)
    with pytest.raises(UserError, match="50 images at a time; lower evaluate.batch"):
        drawn(project)


# ---- nearest training images, on points whose neighbours are known, and of a generator that copies ----
def test_nearest_across_chunks(monkeypatch):
    monkeypatch.setattr(illustrate, "CHUNK", 2)
    candidates = np.array([[0.0], [10.0], [4.0], [3.0], [11.0]])
    distances, indices = nearest(np.array([[1.0], [10.4]]), candidates, 2)
    assert indices.tolist() == [[0, 3], [1, 4]]
    assert distances == pytest.approx(np.array([[1.0, 2.0], [0.4, 0.6]]), abs=1e-5)


@pytest.mark.parametrize(("copies", "share"), [(False, 0.0), (True, 1.0)])
def test_copies_are_closer_than_training_images_are_to_each_other(tmp_path, copies, share):
    random = np.random.default_rng(0)
    real = random.integers(0, 256, (60, 3, 4, 4), dtype=np.uint8)
    samples = real[:20] if copies else np.full((20, 3, 4, 4), 255, dtype=np.uint8)
    write_nearest_images(
        tmp_path, samples, samples.reshape(20, -1).astype(np.float32), real, real.reshape(60, -1).astype(np.float32)
    )
    for space in ("pixel", "feature"):
        facts = json.loads((tmp_path / f"neighbours_{space}.json").read_text())
        assert facts["closer"] == share and (facts["median"] == 0) == copies
        assert facts["real_median"] > 0 and len(facts["distances"]) == 8 and facts["samples"] == 20
        firsts = [row[0] for row in facts["distances"]]
        assert firsts == sorted(firsts) and all(row == sorted(row) for row in facts["distances"])


def test_pixel_distance_is_a_root_mean_square_in_grey_levels(tmp_path):
    real = np.zeros((5, 3, 4, 4), dtype=np.uint8)
    real[:, 0, 0, 0] = [0, 50, 100, 150, 200]
    samples = np.full((1, 3, 4, 4), 7, dtype=np.uint8)
    samples[0, 0, 0, 0] = 0
    write_nearest_images(tmp_path, samples, samples.reshape(1, -1), real, real.reshape(5, -1))
    facts = json.loads((tmp_path / "neighbours_pixel.json").read_text())
    assert facts["distances"][0][0] == pytest.approx(7 * (47 / 48) ** 0.5, rel=1e-4)


# ---- sheets: every pixel of what is kept, and labels that say what was kept ----
def pictures(rows, columns, channels=3, height=4, width=5):
    return np.random.default_rng(0).integers(0, 256, (rows, columns, channels, height, width), dtype=np.uint8)


def written(path):
    """(pixels, labels) of a sheet."""
    return np.asarray(Image.open(path.with_suffix(".png"))), read_json(path.with_suffix(".json"))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (1, 6), (4, 1), (3, 5)])
def test_every_pixel_comes_back(tmp_path, rows, columns, channels):
    images = pictures(rows, columns, channels)
    write_sheet(tmp_path / "sheet", images, rows=list(range(rows)))
    pixels, labels = written(tmp_path / "sheet")
    pixels = pixels.reshape(rows, 4, columns, 5, channels)
    for row in range(rows):
        for column in range(columns):
            assert np.array_equal(pixels[row, :, column].transpose(2, 0, 1), images[row, column])
    assert labels == {"rows": list(range(rows)), "image": [4, 5]}


def test_the_same_images_give_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        write_sheet(tmp_path / name, pictures(2, 3), rows=["x", "y"])
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()


def test_too_many_rows_are_thinned_evenly_and_the_ends_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(illustrate, "PIXELS", 20 * 5 * 12)  # room for 12 rows of 5
    images = pictures(34, 5)
    write_sheet(tmp_path / "sheet", images, rows=[10.0 * row for row in range(34)])
    pixels, labels = written(tmp_path / "sheet")
    kept = [int(label / 10) for label in labels["rows"]]
    assert kept == list(range(0, 34, 3)) and pixels.shape == (12 * 4, 5 * 5, 3)
    for place, row in enumerate(kept):
        assert np.array_equal(pixels[4 * place : 4 * place + 4, :5].transpose(2, 0, 1), images[row, 0])


def test_columns_are_cut_where_eight_rows_are_too_many(tmp_path, monkeypatch):
    monkeypatch.setattr(illustrate, "PIXELS", 20 * 8 * 3)  # room for 8 rows of 3
    images = pictures(15, 50)
    write_sheet(tmp_path / "sheet", images, rows=list(range(15)))
    pixels, labels = written(tmp_path / "sheet")
    assert labels["rows"] == [0, 2, 4, 6, 8, 10, 12, 14] and pixels.shape == (8 * 4, 3 * 5, 3)
    assert np.array_equal(pixels[-4:, -5:].transpose(2, 0, 1), images[14, 2])


def test_few_rows_are_never_thinned_and_one_column_always_stays(tmp_path, monkeypatch):
    monkeypatch.setattr(illustrate, "PIXELS", 1)
    write_sheet(tmp_path / "sheet", pictures(3, 4), rows=["a", "b", "c"])
    pixels, labels = written(tmp_path / "sheet")
    assert labels["rows"] == ["a", "b", "c"] and pixels.shape == (12, 5, 3)


@pytest.mark.parametrize("shape", [(1, 64, 3, 256, 256), (21, 64, 3, 32, 32), (300, 64, 3, 8, 8)])
def test_sheets_stay_within_the_limit(tmp_path, shape):
    write_sheet(tmp_path / "sheet", np.zeros(shape, dtype=np.uint8), rows=list(range(shape[0])))
    pixels, labels = written(tmp_path / "sheet")
    assert pixels.shape[0] * pixels.shape[1] <= illustrate.PIXELS
    assert labels["rows"][0] == 0 and labels["rows"][-1] == shape[0] - 1
