"""CIFAR-10's official layout, built here in small: archive, unpacked folder, checksums before anything is unpickled."""

import hashlib
import io
import pickle
import tarfile

import numpy as np
import pytest
from PIL import Image
from torchvision.datasets import CIFAR10

from image_files import config
from pipeline.base.download import PublishedFile
from pipeline.base.errors import UserError
from pipeline.data import sources
from pipeline.data.array import read_array, read_manifest
from pipeline.data.prepare import prepare

PER_BATCH = 4
IMAGES = np.random.default_rng(0).integers(0, 256, (6 * PER_BATCH, 3, 32, 32), dtype=np.uint8)
LABELS = np.random.default_rng(1).integers(0, 10, 6 * PER_BATCH)
NAMES = [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]


def md5(content):
    return hashlib.md5(content).hexdigest()


@pytest.fixture
def archive(tmp_path, monkeypatch):
    """cifar-10-python.tar.gz of 20 + 4 images, whose checksums are made the official ones."""
    files = {}
    for index, name in enumerate(NAMES):
        rows = slice(index * PER_BATCH, (index + 1) * PER_BATCH)
        files[name] = pickle.dumps({"data": IMAGES[rows].reshape(PER_BATCH, -1), "labels": LABELS[rows].tolist()})
    files["batches.meta"] = pickle.dumps({"label_names": [str(i) for i in range(10)]})
    path = tmp_path / "copies/cifar-10-python.tar.gz"
    path.parent.mkdir()
    with tarfile.open(path, "w:gz") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    sums = [[name, md5(files[name])] for name in NAMES]
    monkeypatch.setattr(CIFAR10, "train_list", sums[:5])
    monkeypatch.setattr(CIFAR10, "test_list", sums[5:])
    monkeypatch.setattr(CIFAR10, "meta", CIFAR10.meta | {"md5": md5(files["batches.meta"])})
    entry = PublishedFile(
        file=path.name,
        address="http://127.0.0.1:9/none",
        size=path.stat().st_size,
        checksum=f"md5 {md5(path.read_bytes())}",
        published="this test",
    )
    monkeypatch.setitem(sources.OFFICIAL, "cifar10", entry)
    return path


def run(tmp_path, path, **changes):
    prepare(config("cifar10", resolution=32, path=path and str(path), **changes), "cifar10", tmp_path / "out")
    return tmp_path / "out"


def check(out):
    assert np.array_equal(read_array(out), IMAGES[:20]) and np.array_equal(read_array(out, "labels"), LABELS[:20])
    assert np.array_equal(read_array(out, "test"), IMAGES[20:])


def test_the_archive_gives_the_official_order_pixel_by_pixel(tmp_path, archive):
    out = run(tmp_path, archive)
    check(out)
    manifest = read_manifest(out)
    assert manifest["count"] == 20 and manifest["test_count"] == 4 and manifest["shape"] == [3, 32, 32]
    assert (manifest["split"], manifest["test_split"], manifest["resize"]) == ("train", "test", "none")
    assert manifest["checksum"].startswith("md5 ") and manifest["checksum"].endswith("published by this test: matches")
    assert "torchvision" in manifest["library"] and {"test_sha256", "labels_sha256"} <= manifest.keys()
    assert sorted(path.name for path in out.iterdir()) == ["images.npy", "labels.npy", "manifest.json", "test.npy"]


@pytest.mark.parametrize(
    "where", ["file", "folder of the archive", "unpacked", "unpacked, renamed", "the folder above"]
)
def test_every_form_of_a_copy_is_found(tmp_path, archive, where):
    path = archive if where == "file" else archive.parent
    if where.startswith(("unpacked", "the")):
        with tarfile.open(archive) as tar:
            tar.extractall(tmp_path / "there", filter="data")
        path = tmp_path / "there" if where.startswith("the") else tmp_path / "there/cifar-10-batches-py"
        if where.endswith("renamed"):
            path = path.rename(tmp_path / "batches")
    check(run(tmp_path, path))


@pytest.mark.parametrize("name", ["cifar10", "."])
def test_the_data_root_is_looked_through(tmp_path, archive, monkeypatch, name):
    root = tmp_path / "root"
    (root / name).mkdir(parents=True, exist_ok=True)
    archive.rename(root / name / archive.name)
    monkeypatch.setenv("TRANSGAN_DATA", str(root))
    check(run(tmp_path, None))


@pytest.mark.parametrize(
    ("damage", "message"),
    [(lambda content: content[:-1], "bytes were|were expected"), (lambda content: content[:-1] + b"x", "its md5 is")],
)
def test_a_wrong_archive_is_refused_before_it_is_opened(tmp_path, archive, monkeypatch, damage, message):
    archive.write_bytes(damage(archive.read_bytes()))
    monkeypatch.setattr(tarfile, "open", lambda *_, **__: pytest.fail("opened"))
    with pytest.raises(UserError, match=rf"cifar-10-python\.tar\.gz: .*({message}).*fetch it again from http") as error:
        run(tmp_path, archive)
    assert "\n" not in str(error.value) and not (tmp_path / "out").exists()


def test_a_changed_batch_of_a_folder_is_never_unpickled(tmp_path, archive, monkeypatch):
    with tarfile.open(archive) as tar:
        tar.extractall(tmp_path, filter="data")
    batch = tmp_path / "cifar-10-batches-py/data_batch_3"
    batch.write_bytes(pickle.dumps({"data": 0}))
    monkeypatch.setattr(pickle, "load", lambda *_, **__: pytest.fail("unpickled"))
    for path in (batch.parent, archive / "cifar-10-batches-py"):  # a folder inside an archive is not unpacked here
        with pytest.raises(UserError, match=r"missing or not the official ones"):
            run(tmp_path, path)
    assert not (tmp_path / "out").exists()


def test_a_lower_resolution_is_resized_by_the_stated_rule(tmp_path, archive):
    prepare(config("cifar10", resolution=16, path=str(archive)), "cifar10", tmp_path / "out")
    expected = np.asarray(
        Image.fromarray(IMAGES[7].transpose(1, 2, 0)).resize((16, 16), Image.Resampling.LANCZOS)
    ).transpose(2, 0, 1)
    assert np.array_equal(read_array(tmp_path / "out")[7], expected)
    assert "LANCZOS" in read_manifest(tmp_path / "out")["resize"]
