"""What is said before, what stays after success, and that nothing stays after a failure."""

import contextlib
import dataclasses
import errno
import shutil

import numpy as np
import pytest

from image_files import config, encoded, pixels
from pipeline.base import machine
from pipeline.base.errors import UserError
from pipeline.data import array, decode, readers
from pipeline.data import prepare as module
from pipeline.data.array import read_array, read_manifest
from pipeline.data.prepare import prepare


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    for index in range(5):
        (folder / f"{index}.png").write_bytes(encoded(pixels(index)))
    return folder


def run(images, out):
    return prepare(config(path=str(images)), "mine", out)


def free(monkeypatch, number):
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: type("usage", (), {"free": number}))


def test_it_says_what_it_will_write(images, tmp_path, capsys, monkeypatch):
    free(monkeypatch, 2_500_000_000)
    assert run(images, tmp_path / "out") == 5
    assert (
        f"prepare: mine: 5 images as 3 x 8 x 8 uint8 -> {tmp_path}/out/, 960B (2.50GB free)" in capsys.readouterr().out
    )


def test_it_refuses_before_it_starts_where_there_is_no_room(images, tmp_path, monkeypatch):
    free(monkeypatch, 960)
    with pytest.raises(UserError, match=rf"^{tmp_path}/out: 960B are needed for mine, 960B are free on that disk$"):
        run(images, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EACCES])
def test_a_disk_that_refuses_midway_leaves_what_was_there(images, tmp_path, monkeypatch, number):
    run(images, tmp_path / "out")
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    (images / "9.png").write_bytes(encoded(pixels(9)))

    def full(_):
        raise OSError(number, "the disk says no")

    monkeypatch.setattr(array.os, "fsync", full)
    said = rf"^{tmp_path}/out: the disk says no; nothing was written$"
    with pytest.raises(UserError, match=said) as error:
        run(images, tmp_path / "out")
    assert "\n" not in str(error.value)
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before
    shutil.rmtree(tmp_path / "out")
    with pytest.raises(UserError):
        run(images, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_a_killed_attempt_left_is_removed(images, tmp_path):
    for name in (".out.partial", ".out.scratch"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "images.npy").write_bytes(b"half")
    run(images, tmp_path / "out")
    assert not list(tmp_path.glob(".out*"))
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["images.npy", "manifest.json"]


def test_arrays_of_an_earlier_dataset_go(images, tmp_path):
    array.write_dataset(
        tmp_path / "out",
        np.zeros((2, 3, 8, 8), np.uint8),
        np.zeros(2, np.int64),
        {},
        test=np.zeros((1, 3, 8, 8), np.uint8),
    )
    run(images, tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["images.npy", "manifest.json"]


def test_the_same_images_give_the_same_bytes(images, tmp_path):
    for name in ("one", "two"):
        run(images, tmp_path / name)
    assert all(
        (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
        for name in ("images.npy", "manifest.json")
    )


def test_the_manifest_says_where_the_images_come_from(images, tmp_path):
    run(images, tmp_path / "out")
    manifest = read_manifest(tmp_path / "out")
    assert {
        "dataset",
        "source",
        "checksum",
        "library",
        "split",
        "order",
        "resize",
        "images",
        "count",
        "shape",
        "dtype",
        "layout",
        "images_sha256",
    } <= set(manifest)
    assert (
        manifest["dataset"] == "mine"
        and manifest["library"].startswith("Pillow ")
        and isinstance(read_array(tmp_path / "out"), np.memmap)
    )


def test_a_bar_counts_images_as_they_are_written(images, tmp_path, monkeypatch):
    seen = []

    class Bar(array.tqdm):
        def __init__(self, **options):
            super().__init__(**options | {"disable": True})
            seen.append((options["total"], options["desc"]))

        def update(self, number):
            seen.append(number)

    monkeypatch.setattr(array, "tqdm", Bar)
    run(images, tmp_path / "out")
    assert seen == [(5, "out/images"), 5]


def test_few_images_are_in_memory_at_a_time(tmp_path, monkeypatch):
    """Twenty chunks of one image: while one is written, no more than those under way have been read."""
    folder = tmp_path / "images"
    folder.mkdir()
    for index in range(20):
        (folder / f"{index:02}.png").write_bytes(encoded(pixels(index)))
    monkeypatch.setattr(decode, "CHUNK", 1)
    monkeypatch.setattr(machine, "cores", lambda: 2)
    read, lead = [], []
    real = readers.find_images

    def counted(path, scratch, stack):
        found = real(path, scratch, stack)
        files = [file._replace(read=lambda file=file: read.append(file) or file.read()) for file in found.files]
        return dataclasses.replace(found, files=files)

    monkeypatch.setattr(readers, "find_images", counted)
    with contextlib.ExitStack() as stack:
        job = readers.Job(
            config=config(path=str(folder)), dataset="mine", scratch=tmp_path, listing=tmp_path / "bad", stack=stack
        )
        content = readers.READERS["folder"](job)
        for number, _ in enumerate(content.images.chunks()):
            lead.append(len(read) - number)
    assert len(read) == 20 and max(lead) <= 3 * 2 + 2


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"resolution": 4}, "resolution: 8, conf/dataset/mine.yaml says 4"),
        ({"fit": "squash"}, "fit: crop, conf/dataset/mine.yaml says squash"),
        ({"channels": 1}, "channels: 3, conf/dataset/mine.yaml says 1"),
        ({"on_error": "skip"}, "on_error: refuse, conf/dataset/mine.yaml says skip"),
    ],
)
def test_other_settings_than_those_of_a_prepared_dataset_are_named(images, tmp_path, changes, reason):
    run(images, tmp_path / "out")
    assert module.stale(tmp_path / "out", "mine", config(path=str(images))) == ""
    found = module.stale(tmp_path / "out", "mine", config(path=str(images), **changes))
    assert found == f"{tmp_path}/out was prepared with {reason}"


def test_a_move_of_the_images_changes_nothing(images, tmp_path):
    run(images, tmp_path / "out")
    before = (tmp_path / "out/manifest.json").read_bytes()
    moved = images.rename(tmp_path / "moved")
    for path in (moved, tmp_path / "not here"):
        assert module.stale(tmp_path / "out", "mine", config(path=str(path))) == ""
    run(moved, tmp_path / "again")
    assert (tmp_path / "again/manifest.json").read_bytes() == before.replace(b"files, images", b"files, moved")


def test_a_dataset_of_an_earlier_version_is_stale(tmp_path):
    array.write_dataset(tmp_path / "out", np.zeros((2, 3, 8, 8), np.uint8), None, {})
    assert "was prepared with source: None, conf" in module.stale(tmp_path / "out", "mine", config())


def test_drawn_images_are_compared_by_their_settings(tmp_path):
    prepare(config("glyphs", resolution=16, count=9), "mine", tmp_path / "out")
    assert module.stale(tmp_path / "out", "mine", config("glyphs", resolution=16, count=9)) == ""
    assert "count: 9, conf/dataset/mine.yaml says 8" in module.stale(
        tmp_path / "out", "mine", config("glyphs", resolution=16, count=8)
    )
