"""The digits of scikit-learn, what every reader refuses, and datasets with a known number of files."""

from functools import partial
from typing import get_args

import numpy as np
import pytest
from sklearn.datasets import load_digits

from image_files import config, encoded, pixels
from pipeline.base.errors import UserError
from pipeline.base.schema import bind
from pipeline.data.array import read_array, read_manifest
from pipeline.data.config import DataConfig, Source
from pipeline.data.prepare import prepare
from pipeline.data.readers import READERS, read_digits, split_digits


@pytest.fixture(scope="module")
def digits():
    return read_digits(config("digits"))


def test_all_scans_in_their_order_with_their_labels(digits):
    images, labels, _ = digits
    bunch = load_digits()
    assert images.shape == (1797, 3, 8, 8) and images.dtype == np.uint8
    assert labels.dtype == np.int64 and np.array_equal(labels, bunch.target)
    assert np.array_equal(np.rint(images[:, 0] / 255 * 16), bunch.images)


def test_seventeen_levels_span_the_whole_range(digits):
    assert np.unique(digits[0]).tolist() == [
        0,
        16,
        32,
        48,
        64,
        80,
        96,
        112,
        128,
        143,
        159,
        175,
        191,
        207,
        223,
        239,
        255,
    ]


def test_channels_are_copies_of_the_grey_one(digits):
    images = digits[0]
    assert np.array_equal(images[:, 0], images[:, 1]) and np.array_equal(images[:, 0], images[:, 2])
    grey = read_digits(config("digits", channels=1))[0]
    assert grey.shape == (1797, 1, 8, 8) and np.array_equal(grey, images[:, :1])


def test_a_third_of_the_digits_is_held_out_the_same_every_time_and_of_every_class(digits, tmp_path):
    prepare(config("digits"), "digits", tmp_path)
    train, test, test_labels = (read_array(tmp_path, name) for name in ("images", "test", "test_labels"))
    assert (len(train), len(test)) == (1198, 599) and np.bincount(test_labels).min() > 40
    both = sorted(image.tobytes() for image in (*train, *test))
    assert both == sorted(image.tobytes() for image in digits[0])
    assert all(map(np.array_equal, split_digits(1797), split_digits(1797)))


def test_the_facts_name_source_split_and_resize(digits):
    facts = digits[2]
    assert {"source", "library", "split", "test_split", "resize"} == set(facts)
    assert "load_digits" in facts["source"] and facts["resize"] == "none"


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"resolution": 16}, r"resolution: given 16; allowed: 8"), ({"path": "x"}, r"path: given 'x'; allowed: null")],
)
def test_settings_the_digits_do_not_have_are_refused(changes, message):
    with pytest.raises(UserError, match=rf"^conf/dataset/digits\.yaml: data\.{message}"):
        refuse("digits", **changes)


def refuse(source, name="digits", **changes):
    content = {"source": source, "resolution": 8, "channels": 3} | changes
    bind(DataConfig, content, file=f"conf/dataset/{name}.yaml", prefix="data")


def test_every_source_has_a_reader():
    assert set(READERS) == set(get_args(Source))


def faces(folder, count, height=14, width=10):
    folder.mkdir(parents=True)
    for index in range(count):
        (folder / f"{index:06}.png").write_bytes(encoded(pixels(index, height, width)))
    return folder


def test_an_unpacked_celeba_is_known_by_its_count_and_cropped_to_the_centre(tmp_path, monkeypatch):
    """14 x 10 here, 218 x 178 there: the short side, two rows (twenty) off the top and the bottom."""
    folder = faces(tmp_path / "img_align_celeba", 3)
    with pytest.raises(
        UserError,
        match=r"img_align_celeba: holds 3 images, the dataset has 202,599; complete the copy, or .* source: folder$",
    ):
        prepare(config("celeba", path=str(folder)), "celeba64", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    monkeypatch.setitem(READERS, "celeba", partial(READERS["celeba"], count=3))
    assert prepare(config("celeba", path=str(folder), resolution=10), "celeba64", tmp_path / "out") == 3
    assert np.array_equal(read_array(tmp_path / "out")[1], pixels(1, 14, 10)[2:12].transpose(2, 0, 1))
    manifest = read_manifest(tmp_path / "out")
    assert manifest["checksum"].startswith("none: a local copy") and manifest["images"]["cropped"] == 3


def test_celeba_hq_asks_for_a_copy_and_for_all_of_it(tmp_path):
    with pytest.raises(
        UserError,
        match=r"^dataset celebahq256: its images cannot .*: set conf/dataset/celebahq256\.yaml:data\.path to .* or "
        r"put them at \$TRANSGAN_DATA/celebahq256",
    ):
        prepare(config("celebahq"), "celebahq256", tmp_path / "out")
    with pytest.raises(UserError, match="holds 2 images, the dataset has 30,000"):
        prepare(config("celebahq", path=str(faces(tmp_path / "hq", 2))), "celebahq256", tmp_path / "out")


@pytest.mark.parametrize(("source", "native"), [("cifar10", 32), ("stl10", 96)])
def test_native_arrays_are_never_enlarged_nor_turned_grey(source, native):
    for changes, message in (
        ({"resolution": native + 1}, rf"resolution: given {native + 1}; allowed: at most {native}"),
        ({"channels": 1}, "channels: given 1; allowed: 3"),
    ):
        with pytest.raises(UserError, match=rf"^conf/dataset/x\.yaml: data\.{message}"):
            refuse(source, name="x", **{"resolution": native} | changes)
