"""STL-10's official layout, built here in small: column-major bytes, two splits one after another."""

import hashlib
import io
import tarfile

import numpy as np
import pytest
from PIL import Image
from torchvision.datasets import STL10

from image_files import config
from pipeline.base.download import PublishedFile
from pipeline.base.errors import UserError
from pipeline.data import sources
from pipeline.data.array import read_array, read_manifest
from pipeline.data.prepare import prepare

COUNTS = {"train": 3, "unlabeled": 5, "test": 2}
IMAGES = {
    name: np.random.default_rng(i).integers(0, 256, (count, 3, 96, 96), dtype=np.uint8)
    for i, (name, count) in enumerate(COUNTS.items())
}
LABELS = {"train": np.array([1, 10, 4], dtype=np.uint8), "test": np.array([2, 3], dtype=np.uint8)}


@pytest.fixture
def files(monkeypatch):
    content = {f"{name}_X.bin": images.swapaxes(2, 3).tobytes() for name, images in IMAGES.items()}
    content |= {f"{name}_y.bin": labels.tobytes() for name, labels in LABELS.items()}
    sums = {name: [name, hashlib.md5(data).hexdigest()] for name, data in content.items()}
    monkeypatch.setattr(STL10, "train_list", [sums[name] for name in ("train_X.bin", "train_y.bin", "unlabeled_X.bin")])
    monkeypatch.setattr(STL10, "test_list", [sums[name] for name in ("test_X.bin", "test_y.bin")])
    return content


@pytest.fixture
def archive(tmp_path, monkeypatch, files):
    """stl10_binary.tar.gz, its members not in the order of the dataset."""
    path = tmp_path / "stl10_binary.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        for name in sorted(files, reverse=True):
            info = tarfile.TarInfo(f"stl10_binary/{name}")
            info.size = len(files[name])
            tar.addfile(info, io.BytesIO(files[name]))
    checksum = f"md5 {hashlib.md5(path.read_bytes()).hexdigest()}"
    monkeypatch.setitem(
        sources.OFFICIAL,
        "stl10",
        PublishedFile(
            file=path.name,
            address="http://127.0.0.1:9/none",
            size=path.stat().st_size,
            checksum=checksum,
            published="this test",
        ),
    )
    return path


def run(tmp_path, path, resolution=48):
    prepare(config("stl10", resolution=resolution, path=str(path)), "stl10", tmp_path / "out")
    return tmp_path / "out"


def test_train_then_unlabeled_upright_with_labels(tmp_path, archive):
    out = run(tmp_path, archive, 96)
    assert np.array_equal(read_array(out), np.concatenate([IMAGES["train"], IMAGES["unlabeled"]]))
    assert read_array(out, "labels").tolist() == [0, 9, 3, -1, -1, -1, -1, -1]
    assert np.array_equal(read_array(out, "test"), IMAGES["test"])


def test_the_papers_resolution_is_a_stated_antialiased_resize(tmp_path, archive):
    out = run(tmp_path, archive)
    expected = np.asarray(
        Image.fromarray(IMAGES["unlabeled"][4].transpose(1, 2, 0)).resize((48, 48), Image.Resampling.LANCZOS)
    )
    assert np.array_equal(read_array(out)[7], expected.transpose(2, 0, 1)) and read_array(out, "test").shape == (
        2,
        3,
        48,
        48,
    )
    manifest = read_manifest(out)
    assert (manifest["split"], manifest["test_split"], manifest["count"], manifest["test_count"]) == (
        "train+unlabeled",
        "test",
        8,
        2,
    )
    assert "LANCZOS" in manifest["resize"] and "48 x 48" in manifest["resize"]


@pytest.mark.parametrize("above", [True, False])
def test_the_unpacked_folder_gives_the_same_and_agrees_with_torchvisions_reader(tmp_path, files, above):
    folder = tmp_path / "root/stl10_binary"
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    out = run(tmp_path, folder.parent if above else folder, 96)
    assert np.array_equal(read_array(out), np.concatenate([IMAGES["train"], IMAGES["unlabeled"]]))
    if above:
        theirs = STL10(folder.parent, split="train")
        assert np.array_equal(theirs.data, read_array(out)[:3]) and np.array_equal(
            theirs.labels, read_array(out, "labels")[:3]
        )
    (folder / "unlabeled_X.bin").write_bytes(b"x")
    wrong = r"the files of stl10_binary are missing or not the official ones .* fetch stl10_binary\.tar\.gz again"
    with pytest.raises(UserError, match=wrong):
        run(tmp_path, folder)
    (folder / "unlabeled_X.bin").unlink()
    with pytest.raises(UserError, match=wrong):
        run(tmp_path, folder)
    assert np.array_equal(read_array(out)[:3], IMAGES["train"]), "a failed attempt must not touch what is there"
