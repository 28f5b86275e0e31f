"""LSUN's official layout, built here in small: a zip of an LMDB of encoded images under sorted keys."""

import hashlib
from functools import partial

import lmdb
import numpy as np
import pytest

from image_files import config, encoded, pixels, write_zip
from pipeline.base.download import PublishedFile
from pipeline.base.errors import UserError
from pipeline.data import sources
from pipeline.data.array import read_array, read_manifest
from pipeline.data.prepare import prepare
from pipeline.data.readers import READERS

COUNT = 70


@pytest.fixture
def database(tmp_path, monkeypatch):
    folder = tmp_path / "church_outdoor_train_lmdb"
    with lmdb.open(str(folder), map_size=1 << 24) as environment, environment.begin(write=True) as transaction:
        for index in reversed(range(COUNT)):
            transaction.put(f"{index:04}".encode(), encoded(pixels(index, 12, 10), "WEBP", lossless=True))
    monkeypatch.setitem(READERS, "lsun_church", partial(READERS["lsun_church"], count=COUNT))
    return folder


def run(tmp_path, path, **changes):
    prepare(config("lsun_church", path=str(path), **changes), "church256", tmp_path / "out")
    return tmp_path / "out"


@pytest.mark.parametrize("form", ["zip", "folder inside a zip", "folder", "the folder above", "file"])
def test_every_form_gives_the_images_in_the_order_of_their_keys(tmp_path, database, monkeypatch, form):
    path = {"folder": database, "the folder above": tmp_path, "file": database / "data.mdb"}.get(form)
    if "zip" in form:
        path = write_zip(
            tmp_path / "church_outdoor_train_lmdb.zip",
            {f"church_outdoor_train_lmdb/{name}": (database / name).read_bytes() for name in ("data.mdb", "lock.mdb")},
        )
        checksum = f"sha256 {hashlib.sha256(path.read_bytes()).hexdigest()}"
        entry = PublishedFile(
            file=path.name,
            address="http://127.0.0.1:9/none",
            size=path.stat().st_size,
            checksum=checksum,
            published="this test",
        )
        monkeypatch.setitem(sources.OFFICIAL, "lsun_church", entry)
        path = path / "church_outdoor_train_lmdb" if "inside" in form else path
    out = run(tmp_path, path, resolution=10, fit="crop")
    assert (
        np.array_equal(read_array(out)[3], pixels(3, 12, 10)[1:11].transpose(2, 0, 1)) and len(read_array(out)) == COUNT
    )
    manifest = read_manifest(out)
    assert (
        manifest["split"] == "church_outdoor_train"
        and manifest["order"] == "by key"
        and manifest["images"]["cropped"] == COUNT
    )
    assert sorted(file.name for file in out.iterdir()) == ["images.npy", "manifest.json"]


def test_exported_images_will_do(tmp_path, database):
    folder = tmp_path / "exported"
    folder.mkdir()
    for index in range(COUNT):
        (folder / f"{index:04}.png").write_bytes(encoded(pixels(index, 10, 10)))
    assert read_manifest(run(tmp_path, folder, resolution=10))["source"].startswith(
        "LSUN church_outdoor_train, exported"
    )
    (folder / "0000.png").unlink()
    with pytest.raises(UserError, match=r"exported: holds 69 images, the dataset has 70"):
        run(tmp_path, folder)


@pytest.mark.parametrize("keep", [0, 100, 0.6])
def test_a_database_cut_short_is_an_error_and_no_crash(tmp_path, database, keep):
    content = (database / "data.mdb").read_bytes()
    (database / "data.mdb").write_bytes(content[: int(keep * len(content)) if keep < 1 else keep])
    with pytest.raises(UserError, match=r"data\.mdb: (no readable LMDB database|has [\d,]+ bytes, its database)"):
        run(tmp_path, database)
    assert not (tmp_path / "out").exists()


def test_a_bad_image_is_named_by_its_key(tmp_path, database):
    with lmdb.open(str(database), map_size=1 << 24) as environment, environment.begin(write=True) as transaction:
        transaction.put(b"0042", b"nothing")
    with pytest.raises(UserError, match=r"data\.mdb: 0042: no readable image"):
        run(tmp_path, database)


def test_an_archive_without_a_database_is_refused(tmp_path, monkeypatch):
    path = write_zip(tmp_path / "church_outdoor_train_lmdb.zip", {"other": b""})
    entry = PublishedFile(
        file=path.name,
        address="x",
        size=path.stat().st_size,
        checksum=f"sha256 {hashlib.sha256(path.read_bytes()).hexdigest()}",
        published="this test",
    )
    monkeypatch.setitem(sources.OFFICIAL, "lsun_church", entry)
    with pytest.raises(UserError, match="church_outdoor_train_lmdb.zip: holds no images"):
        run(tmp_path, path)


def test_a_copy_that_may_not_be_written_is_read(tmp_path, database):
    (database / "lock.mdb").unlink()
    (database / "data.mdb").chmod(0o444)
    database.chmod(0o555)
    try:
        assert len(read_array(run(tmp_path, database))) == COUNT
        assert sorted(path.name for path in database.iterdir()) == ["data.mdb"]
    finally:
        database.chmod(0o755)
