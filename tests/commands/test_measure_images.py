"""transgan measure: images from anywhere by a small network, against the same formulas called directly."""

import io
import json
import os
import sys
import zipfile

import numpy as np
import pytest
from PIL import Image

from pipeline.base.errors import UserError
from pipeline.commands import image_sources, measure, measure_images
from pipeline.commands.image_sources import read_images
from pipeline.data.array import write_dataset
from pipeline.data.config import DataConfig
from pipeline.data.prepare import settings
from pipeline.metrics.distances import frechet_distance, kernel_distance, precision_recall
from pipeline.metrics.extractors import weights
from pipeline.metrics.extractors.extractor import Features
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
    monkeypatch.setattr(weights, "find", lambda name, configured, **_: tmp_path / "weights.pt")
    loaded = {name: small(name, logits=name.endswith("legacy")) for name in ("inception_legacy", "inception_clean")}
    monkeypatch.setattr(measure_images, "load_extractor", lambda name, path: loaded[name])
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "made", pixels(24, 1))
    write(tmp_path / "real", pixels(40, 0))
    return tmp_path


def call(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["measure", *map(str, arguments)])
    measure.main()


def measured(monkeypatch, *arguments):
    call(monkeypatch, *arguments, "--json", "out.json")
    with open("out.json") as file:
        return json.load(file)


def features(images):
    return small().extract(np.ascontiguousarray(images.transpose(0, 3, 1, 2)), 100).features


def test_values_are_those_of_the_formulas_and_real_halves_stand_beside(monkeypatch, project, capsys):
    report = measured(monkeypatch, "--images", "made", "--against", "real")
    made, real = features(pixels(24, 1)), features(pixels(40, 0))
    found = {name: facts["value"] for name, facts in report["metrics"].items()}
    assert list(found) == [
        "fid24_train_legacy", "fid24_train_clean", "is24", "kid24", "precision24_3_inception", "recall24_3_inception",
    ]  # fmt: skip
    expected = frechet_distance(Features(real).gaussian, Features(made).gaussian)
    assert found["fid24_train_legacy"] == pytest.approx(expected, rel=1e-6)
    assert (found["precision24_3_inception"], found["recall24_3_inception"]) == precision_recall(
        real, made, neighbours=3
    )
    assert report["metrics"]["kid24"]["std"] > 0
    facts = report["metrics"]["fid24_train_legacy"]
    assert (facts["n_gen"], facts["n_real"], facts["n_real_against_real"]) == (24, 40, 20)
    assert 0 < facts["real_against_real"] < facts["value"] / 3
    shown = capsys.readouterr().out
    assert "24 images of made against 40 of real" in shown and "lower is better" in shown
    assert shown.count("\n") == report_lines(report)


def report_lines(report):
    """Two announcements, a line per network and side, the title, an empty line, the head, a line per value."""
    return 2 + 4 + 3 + len(report["metrics"]) + len(report["unavailable"])


def test_every_count_of_a_metric_has_its_floor(monkeypatch, project):
    report = measured(
        monkeypatch, "--images", "made", "--against", "real", "--metrics", "kid10,kid20,fid10_train_clean"
    )
    facts = report["metrics"]
    assert [facts[name]["n_real_against_real"] for name in ("kid10", "kid20", "fid10_train_clean")] == [10, 20, 10]
    assert None not in [entry["real_against_real"] for entry in facts.values()]
    assert [facts[name]["subset_size"] for name in ("kid10", "kid20")] == [10, 20]


def test_a_few_images_are_measured_by_what_they_can_have(monkeypatch, project):
    few = [measured(monkeypatch, "--images", "made", "--against", "real", "--n", n)["metrics"] for n in (3, 9)]
    assert list(few[0]) == ["fid3_train_legacy", "fid3_train_clean", "kid3"]
    assert list(few[1])[-2:] == ["precision9_3_inception", "recall9_3_inception"] and "is9" not in few[1]


def test_one_colour_and_another_size_are_measured_and_said(monkeypatch, project, capsys):
    write(project / "grey", np.full((12, 16, 16, 3), 90, np.uint8))
    report = measured(monkeypatch, "--images", "grey", "--against", "real")
    values = {name: facts["value"] for name, facts in report["metrics"].items()}
    assert values["fid12_train_clean"] > 0 == values["recall12_3_inception"] and np.isfinite([*values.values()]).all()
    note = "the images are 16 x 16, the real ones 8 x 8: the values hold that difference too"
    assert report["notes"] == [note] and f"note: {note}" in capsys.readouterr().out


def test_the_images_are_looked_at_before_the_real_side(monkeypatch, project, capsys):
    """And weights are looked for before it, so that nothing is prepared or fetched in vain."""
    monkeypatch.setattr(image_sources, "read_images", read := Recorder(read_images))
    (project / "empty").mkdir()
    with pytest.raises(SystemExit):
        call(monkeypatch, "--images", "empty", "--against", "real")
    assert read.given == ["empty"]

    def missing(*_, **__):
        raise UserError("no weights\n  pip install")

    monkeypatch.setattr(weights, "find", missing)
    with pytest.raises(SystemExit):
        call(monkeypatch, "--images", "made", "--against", "real")
    assert read.given == ["empty", "made"] and "error: no weights\n  pip install\n" in capsys.readouterr().err


class Recorder:
    def __init__(self, function):
        self.function, self.given = function, []

    def __call__(self, given, *arguments, **options):
        self.given.append(given)
        return self.function(given, *arguments, **options)


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("made", "--json: given 'made', which is a folder; allowed: the name of a file"),
        ("file/out.json", "--json: given 'file/out.json', which cannot be written: "),
        ("a" * 300, "which cannot be written: File name too long"),
        ("/proc/nowhere/out.json", "which cannot be written: "),
    ],
)
def test_an_output_that_cannot_be_is_refused_before_any_work(monkeypatch, project, capsys, path, said):
    (project / "file").touch()
    monkeypatch.setattr(image_sources, "read_images", lambda *_, **__: pytest.fail("read before the output was tried"))
    with pytest.raises(SystemExit):
        call(monkeypatch, "--images", "made", "--against", "real", "--json", path)
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1


def test_the_file_is_written_before_a_terminal_without_signs_is_printed_to(monkeypatch, project):
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", out)
    call(monkeypatch, "--images", "made", "--against", "real", "--metrics", "kid", "--json", "sub/out.json")
    out.flush()
    assert b"\\xb1" in out.buffer.getvalue() and (project / "sub/out.json").is_file()

    class Full(io.TextIOBase):
        def write(self, text):
            if "protocol" in text:
                raise OSError(28, "No space left on device")
            return len(text)

    monkeypatch.setattr(sys, "stdout", Full())
    with pytest.raises(SystemExit):
        call(monkeypatch, "--images", "made", "--against", "real", "--metrics", "kid", "--json", "other.json")
    assert (project / "other.json").is_file()


def test_a_disk_that_is_full_at_the_end_costs_the_file_and_not_the_values(monkeypatch, project, capsys):
    def full(path, _):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(measure, "write_json", full)
    with pytest.raises(SystemExit):
        call(monkeypatch, "--images", "made", "--against", "real", "--metrics", "kid", "--json", "out.json")
    said = capsys.readouterr()
    assert "\nkid24 " in said.out and said.err == "error: out.json: No space left on device\n"


def test_names_that_are_not_utf_8_are_measured(monkeypatch, project):
    source = os.fsdecode(b"m\xe9")
    os.rename("made", source)
    os.rename(os.path.join(source, "000.png"), os.path.join(source, os.fsdecode(b"\xff.png")))
    report = measured(monkeypatch, "--images", source, "--against", "real", "--metrics", "kid")
    assert report["n_images"] == 24 and report["images"] == source


def test_images_against_themselves_are_counted_as_both_sides(monkeypatch, project, capsys):
    with pytest.raises(SystemExit):
        call(monkeypatch, "--images", "made", "--against", "made", "--metrics", "fid25_train_clean")
    assert "fid25_train_clean: needs at least 25 images, made has 24" in capsys.readouterr().err


def test_with_as_many_images_as_a_subset_the_kernel_distance_is_that_of_all(monkeypatch, project):
    report = measured(monkeypatch, "--images", "real", "--against", "made", "--n", 24, "--metrics", "kid")
    real, made = features(pixels(24, 1)), features(pixels(40, 0))[:24]
    expected = kernel_distance(real, made, subsets=2, subset_size=24, seed=1)[0]
    assert report["metrics"]["kid24"]["value"] == pytest.approx(expected, rel=1e-4)
    assert (report["metrics"]["kid24"]["subsets"], report["metrics"]["kid24"]["subset_size"]) == (100, 24)


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


def dataset(monkeypatch, project, name, config):
    """Settings of one dataset, in the place of those of params.yaml and conf/."""
    monkeypatch.setattr(image_sources, "load", lambda: {"dataset": name})
    monkeypatch.setattr(image_sources, "names", lambda content, group: [content[group]])
    monkeypatch.setattr(image_sources, "data_config", lambda *_: config)
    (project / "params.yaml").touch()


def test_a_dataset_that_was_prepared_is_read_with_its_test_split(monkeypatch, project):
    config = DataConfig(source="cifar10", resolution=32, channels=3)
    dataset(monkeypatch, project, "cifar10", config)
    images, test = (pixels(count, seed).transpose(0, 3, 1, 2).copy() for count, seed in ((30, 0), (20, 1)))
    write_dataset(project / "data/cifar10", images, None, {"resize": "none", "data": settings(config)}, test=test)
    read = []
    monkeypatch.setattr(image_sources, "data_config", lambda *_: read.append(config) or config)
    report = measured(
        monkeypatch, "--images", "made", "--against", "cifar10", "--metrics", "fid_test_clean,fid_train_clean"
    )
    assert len(read) == 1 and report["metrics"]["fid24_test_clean"]["n_real"] == 20
    assert report["metrics"]["fid24_test_clean"]["value"] < report["metrics"]["fid24_train_clean"]["value"]


@pytest.mark.parametrize("recorded", [{"fit": "squash"}, {"resolution": 16}, None])
def test_data_prepared_by_other_settings_are_not_measured_against(monkeypatch, project, capsys, recorded):
    config = DataConfig(source="folder", resolution=8, channels=3, path=str(project / "real"))
    dataset(monkeypatch, project, "faces", config)
    facts = {"resize": "none"} | ({"data": settings(config.model_copy(update=recorded))} if recorded else {})
    write_dataset(project / "data/faces", np.zeros((3, 3, 8, 8), np.uint8), None, facts)
    report = measured(monkeypatch, "--images", "made", "--against", "faces", "--metrics", "kid")
    assert report["n_real"] == 40
    said = next(line for line in capsys.readouterr().out.splitlines() if "prepared again" in line)
    assert said.startswith("data/faces was prepared ")


def test_what_weights_without_logits_cannot_have_is_said(monkeypatch, project, capsys):
    monkeypatch.setattr(measure_images, "load_extractor", lambda name, path: small(name, logits=False))
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
        (["--images", "oblong.npz"], "arr_0 is (4, 8, 6, 3) uint8; allowed: (N, S, S, 3 or 1)"),
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
    np.savez("oblong.npz", arr_0=np.zeros((4, 8, 6, 3), np.uint8))
    (project / "text.npz").write_text("no array")
    np.savez("pickled.npz", arr_0=np.array([{}], dtype=object))
    options = {"--images": "made", "--against": "real"} | dict([arguments])
    with pytest.raises(SystemExit):
        call(monkeypatch, *[part for pair in options.items() for part in pair])
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1 and "or fd_digits" not in error.partition("`dvc repro` alone")[2]


def test_greyscale_images_count_as_rgb(tmp_path):
    folder = tmp_path / "grey"
    folder.mkdir()
    Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(folder / "a.png")
    found = read_images(str(folder), tmp_path / "scratch")
    assert found.images.shape == (1, 3, 8, 8) and (found.images[0, 0] == found.images[0, 2]).all()
