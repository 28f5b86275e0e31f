"""transgan measure: images from anywhere by a small network, against the same formulas called directly."""

import json
import sys
import zipfile

import numpy as np
import pytest
from PIL import Image

from pipeline.commands import image_metrics, measure_images
from pipeline.commands.image_sources import read_images
from pipeline.data.array import write_dataset
from pipeline.data.config import DataConfig
from pipeline.data.prepare import settings
from pipeline.metrics import weights
from pipeline.metrics.frechet import fit, frechet_distance
from pipeline.metrics.kernel import polynomial_mmd
from pipeline.metrics.precision_recall import precision_recall
from settings_files import copy_settings
from small_extractor import small


def pixels(count, seed, side=8):
    return np.random.default_rng(seed).integers(0, 256 - 60 * seed, (count, side, side, 3), dtype=np.uint8)


def write(folder, images):
    folder.mkdir()
    for index, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{index:03d}.png")
    return folder


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Two folders of images, in a working folder of their own; the small network takes the place of Inception."""
    monkeypatch.setattr(weights, "find", lambda name, configured: (tmp_path / "weights.pt", None))
    monkeypatch.setattr(image_metrics, "load_extractor", lambda name, path: small(name, logits=name.endswith("legacy")))
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "made", pixels(24, 1))
    write(tmp_path / "real", pixels(40, 0))
    return tmp_path


def call(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["measure", *map(str, arguments)])
    measure_images.main()


def measured(monkeypatch, *arguments):
    call(monkeypatch, *arguments, "--json", "out.json")
    with open("out.json") as file:
        return json.load(file)


def features(images):
    return small().extract(np.ascontiguousarray(images.transpose(0, 3, 1, 2)), 100)[0]


def test_values_are_those_of_the_formulas_and_real_halves_stand_beside(monkeypatch, project, capsys):
    report = measured(monkeypatch, "--images", "made", "--against", "real")
    made, real = features(pixels(24, 1)), features(pixels(40, 0))
    found = {name: facts["value"] for name, facts in report["metrics"].items()}
    assert list(found) == [
        "fid24_train_legacy", "fid24_train_clean", "is24", "kid24", "precision24_3", "recall24_3"
    ]  # fmt: skip
    expected = frechet_distance(fit(real, factor=True), fit(made))
    assert found["fid24_train_legacy"] == pytest.approx(expected, rel=1e-6)
    assert found["precision24_3"], found["recall24_3"] == precision_recall(real, made, neighbours=3)
    assert report["metrics"]["kid24"]["std"] > 0
    facts = report["metrics"]["fid24_train_legacy"]
    assert (facts["n_gen"], facts["n_real"], facts["n_real_against_real"]) == (24, 40, 20)
    assert 0 < facts["real_against_real"] < facts["value"] / 3
    shown = capsys.readouterr().out
    assert "24 images of made against 40 of real" in shown and "lower is better" in shown
    assert shown.count("\n") == report_lines(report)


def report_lines(report):
    """Two announcements, the title, an empty line, the head, a line per value."""
    return 2 + 3 + len(report["metrics"]) + len(report["unavailable"])


def test_with_as_many_images_as_a_subset_the_kernel_distance_is_that_of_all(monkeypatch, project):
    report = measured(monkeypatch, "--images", "real", "--against", "made", "--n", 24, "--metrics", "kid")
    expected = polynomial_mmd(features(pixels(24, 1)).astype(float), features(pixels(40, 0))[:24].astype(float))
    assert report["metrics"]["kid24"]["value"] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("kind", ["zip", "npz", "first"])
def test_folder_zip_and_array_give_the_same_values(monkeypatch, project, kind):
    with zipfile.ZipFile("made.zip", "w") as archive:
        for path in sorted((project / "made").iterdir()):
            archive.write(path, path.name)
    np.savez("made.npz", arr_0=pixels(24, 1))
    np.savez("first.npz", images=pixels(24, 1).transpose(0, 3, 1, 2))
    source = "first.npz" if kind == "first" else f"made.{kind}"
    one, two = (measured(monkeypatch, "--images", name, "--against", "real") for name in ("made", source))
    assert one["metrics"] == two["metrics"]


def test_a_dataset_that_was_prepared_is_read_with_its_test_split(monkeypatch, project):
    copy_settings(project)
    images, test = (pixels(count, seed).transpose(0, 3, 1, 2).copy() for count, seed in ((30, 0), (20, 1)))
    asked = settings(DataConfig(source="cifar10", resolution=32, channels=3))
    write_dataset(project / "data/cifar10", images, None, {"resize": "none", "data": asked}, test=test)
    report = measured(
        monkeypatch, "--images", "made", "--against", "cifar10", "--metrics", "fid_test_clean,fid_train_clean"
    )
    assert report["metrics"]["fid24_test_clean"]["n_real"] == 20
    assert report["metrics"]["fid24_test_clean"]["value"] < report["metrics"]["fid24_train_clean"]["value"]


def test_what_weights_without_logits_cannot_have_is_said(monkeypatch, project, capsys):
    monkeypatch.setattr(image_metrics, "load_extractor", lambda name, path: small(name, logits=False))
    report = measured(monkeypatch, "--images", "made", "--against", "real", "--metrics", "is,kid")
    assert report["unavailable"] == {"is24": "not available: these weights have no logits"}
    assert "not available: these weights have no logits" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--images", "nowhere"], "nowhere: no such folder, zip or .npz"),
        (["--metrics", "fid_train_cleen"], "--metrics: given 'fid_train_cleen'; allowed: fid_train_legacy | "),
        (["--metrics", "kid,kid24"], "every metric once"),
        (["--metrics", "fd_digits"], "given fd_digits, measured by `dvc repro` alone"),
        (["--metrics", "fid_test_clean"], "real has no test split"),
        (["--metrics", "fid50k_train_clean"], "needs at least 50,000 images, made has 24"),
        (["--n", "25"], "--n: given 25; allowed: at most 24"),
        (["--n", "1"], "--n: given 1"),
        (["--images", "mixed"], "images are not 8 x 8 as the first one"),
        (["--images", "wide"], "12 x 8; allowed: square images"),
        (["--images", "empty"], "holds no images"),
        (["--images", "float.npz"], "arr_0 is (4, 8, 8, 3) float64; allowed"),
        (["--images", "text.npz"], "no readable .npz"),
        (["--images", "pickled.npz"], "no readable .npz"),
    ],
)
def test_mistakes_end_in_one_line(monkeypatch, capsys, project, arguments, said):
    write(project / "mixed", pixels(3, 0))
    Image.fromarray(pixels(1, 0, side=16)[0]).save(project / "mixed/900.png")
    write(project / "wide", [np.zeros((8, 12, 3), np.uint8)])
    (project / "empty").mkdir()
    np.savez("float.npz", arr_0=np.zeros((4, 8, 8, 3)))
    (project / "text.npz").write_text("no array")
    np.savez("pickled.npz", arr_0=np.array([{}], dtype=object))
    options = {"--images": "made", "--against": "real"} | dict([arguments])
    with pytest.raises(SystemExit):
        call(monkeypatch, *[part for pair in options.items() for part in pair])
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1


def test_greyscale_images_count_as_rgb(tmp_path):
    folder = tmp_path / "grey"
    folder.mkdir()
    Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(folder / "a.png")
    found = read_images(str(folder), tmp_path / "scratch")
    assert found.images.shape == (1, 3, 8, 8) and (found.images[0, 0] == found.images[0, 2]).all()
