"""A prepared dataset on disk: what was written is read, and nothing else is."""

import os

import numpy as np
import pytest

from pipeline.base.errors import UserError
from pipeline.base.files import sha256
from pipeline.data.array import Split, _write, read_array, read_manifest, read_splits, write_dataset

IMAGES = np.random.default_rng(0).integers(0, 256, (6, 3, 4, 5), dtype=np.uint8)
LABELS = np.arange(6, dtype=np.int64)


@pytest.fixture
def folder(tmp_path):
    write_dataset(tmp_path / "set", IMAGES, LABELS, {"split": "all", "source": "here"})
    return tmp_path / "set"


def test_images_and_labels_come_back_without_being_read_into_memory(folder):
    images, labels = read_array(folder), read_array(folder, "labels")
    assert isinstance(images, np.memmap) and not images.flags.writeable
    assert np.array_equal(images, IMAGES) and images.dtype == np.uint8
    assert np.array_equal(labels, LABELS) and labels.dtype == np.int64


def test_the_manifest_says_what_they_are(folder):
    assert read_manifest(folder) == {
        "split": "all",
        "source": "here",
        "count": 6,
        "shape": [3, 4, 5],
        "dtype": "uint8",
        "layout": "N C H W",
        "images_sha256": sha256(folder / "images.npy"),
        "labels_sha256": sha256(folder / "labels.npy"),
    }
    assert sorted(path.name for path in folder.iterdir()) == ["images.npy", "labels.npy", "manifest.json"]


def test_views_are_stored_as_they_look(tmp_path):
    view = IMAGES[::2, ::-1].transpose(0, 1, 3, 2)
    write_dataset(tmp_path, view, None, {})
    assert np.array_equal(read_array(tmp_path), view)


def test_the_same_images_give_the_same_bytes(folder, tmp_path):
    write_dataset(tmp_path / "again", IMAGES.copy(), LABELS, {"split": "all", "source": "here"})
    assert read_manifest(tmp_path / "again") == read_manifest(folder)


@pytest.mark.parametrize("images", [IMAGES.astype(np.float32), IMAGES.astype(np.int64)], ids=["float", "int64"])
def test_other_arrays_are_refused_and_nothing_is_written(tmp_path, images):
    with pytest.raises(ValueError, match=r"images.npy: .* does not fit .* uint8"):
        write_dataset(tmp_path / "set", images, None, {})
    assert not (tmp_path / "set").exists()


@pytest.mark.parametrize("name", ["images", "labels"])
def test_a_truncated_array_is_refused(folder, name):
    path = folder / f"{name}.npy"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UserError, match=rf"{name}\.npy: sha256 is .*damaged or was replaced"):
        read_array(folder, name)


def test_another_array_of_the_same_shape_is_refused(folder):
    np.save(folder / "images.npy", 255 - IMAGES)
    with pytest.raises(UserError, match=rf"images\.npy: sha256 is {sha256(folder / 'images.npy')}, recorded was"):
        read_array(folder)
    assert np.array_equal(read_array(folder, "labels"), LABELS)


@pytest.mark.parametrize("name", ["images.npy", "manifest.json"])
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(UserError, match=rf"set/{name}: no such file"):
        read_array(folder)


def test_labels_that_never_were_are_refused(tmp_path):
    write_dataset(tmp_path / "set", IMAGES, None, {})
    assert "labels_sha256" not in read_manifest(tmp_path / "set")
    with pytest.raises(UserError, match="set: the dataset has no labels"):
        read_array(tmp_path / "set", "labels")


def test_a_test_split_is_kept_apart(tmp_path):
    write_dataset(tmp_path / "set", IMAGES, None, {"test_split": "test"}, test=IMAGES[:2])
    manifest = read_manifest(tmp_path / "set")
    assert np.array_equal(read_array(tmp_path / "set", "test"), IMAGES[:2]) and isinstance(
        read_array(tmp_path / "set", "test"), np.memmap
    )
    assert manifest["test_count"] == 2 and manifest["test_sha256"] == sha256(tmp_path / "set/test.npy")
    assert {split: len(images) for split, images in read_splits(tmp_path / "set").items()} == {
        "train": len(IMAGES),
        "test": 2,
    }


def test_chunks_give_the_bytes_of_np_save(tmp_path):
    split = Split(shape=IMAGES.shape, chunks=lambda: iter([IMAGES[:1], IMAGES[1:5], IMAGES[5:]]))
    write_dataset(tmp_path / "set", split, LABELS, {})
    for name, array in (("images", IMAGES), ("labels", LABELS)):
        np.save(tmp_path / "plain.npy", array)
        assert (tmp_path / f"set/{name}.npy").read_bytes() == (tmp_path / "plain.npy").read_bytes()


def test_facts_may_be_completed_by_the_chunks(tmp_path):
    facts = {"seen": 0}

    def chunks():
        for image in IMAGES:
            facts["seen"] += 1
            yield image[None]

    write_dataset(tmp_path, Split(shape=IMAGES.shape, chunks=chunks), None, facts)
    assert read_manifest(tmp_path)["seen"] == len(IMAGES)


@pytest.mark.parametrize(
    "chunks",
    [[IMAGES, IMAGES[:, :1]], [IMAGES.astype(np.int16)]],
    ids=["channels", "dtype"],
)
def test_chunks_of_another_shape_or_type_are_an_error(tmp_path, chunks):
    with pytest.raises(ValueError, match=r"images\.npy"):
        write_dataset(tmp_path / "set", Split(shape=IMAGES.shape, chunks=lambda: iter(chunks)), None, {})
    assert not (tmp_path / "set").exists()


def test_fewer_images_than_announced_are_a_shorter_array(tmp_path):
    split = Split(shape=(10**15, *IMAGES.shape[1:]), chunks=lambda: iter([IMAGES]))
    write_dataset(tmp_path / "set", split, None, {})
    np.save(tmp_path / "plain.npy", IMAGES)
    assert (tmp_path / "set/images.npy").read_bytes() == (tmp_path / "plain.npy").read_bytes()
    assert read_manifest(tmp_path / "set")["count"] == len(IMAGES)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
def test_a_full_disk_is_an_oserror(tmp_path):
    (tmp_path / "images.npy").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left"):
        _write(tmp_path / "images.npy", np.zeros((1 << 20, 1, 4, 4), np.uint8), "title")
