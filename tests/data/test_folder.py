"""Which files of a folder or zip are the dataset, in which order, and what is refused before anything is read."""

import os
import stat
import zipfile
from contextlib import ExitStack

import numpy as np
import pytest

from image_files import config, encoded, pixels, write_zip
from pipeline.base.errors import UserError
from pipeline.data import archives, folder
from pipeline.data.array import read_array, read_manifest
from pipeline.data.folder import find_images
from pipeline.data.prepare import prepare

ORDERED = ["B.png", "a.png", "a/10.PNG", "a/9.png", "a/deep/er/x.webp", "c/é.png"]
OTHERS = ["notes.txt", ".hidden.png", "__MACOSX/a.png", "c/._é.png", ".git/x.png"]


def members():
    """name -> bytes: six images and five files that are none, in no order."""
    content = {
        name: encoded(
            pixels(index),
            "WEBP" if name.endswith("webp") else "PNG",
            **({"lossless": True} if name.endswith("webp") else {}),
        )
        for index, name in enumerate(ORDERED)
    }
    content |= dict.fromkeys(OTHERS, b"nothing")
    return dict(sorted(content.items(), key=lambda item: hash(item[0])))


def write_folder(root, content):
    for name, data in content.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root


@pytest.fixture(params=["folder", "zip", "folder inside a zip"])
def collection(request, tmp_path):
    if request.param == "folder":
        return write_folder(tmp_path / "images", members())
    if request.param == "zip":
        return write_zip(tmp_path / "images.zip", members())
    inside = {f"set/train/{name}": data for name, data in members().items()}
    return write_zip(tmp_path / "images.zip", inside | {"set/other/z.png": encoded(pixels(99))}) / "set/train"


def refused(path, **changes):
    """The message with which preparing `path` ends; checks that it is one line and that nothing stays."""
    out = next(parent for parent in path.parents if parent.is_dir()) / "out"
    with pytest.raises(UserError) as error:
        prepare(config(path=str(path), **changes), "mine", out)
    assert "\n" not in str(error.value) and not out.exists()
    return str(error.value)


def test_the_same_images_in_the_same_order_from_a_folder_and_a_zip(collection, tmp_path, capsys):
    prepare(config(path=str(collection)), "mine", tmp_path / "out")
    images, manifest = read_array(tmp_path / "out"), read_manifest(tmp_path / "out")
    assert np.array_equal(images, np.stack([pixels(index).transpose(2, 0, 1) for index in range(len(ORDERED))]))
    assert manifest["ignored_files"] == len(OTHERS) and manifest["count"] == 6 and "labels_sha256" not in manifest
    assert manifest["source"].startswith("image files, images")
    out = capsys.readouterr().out
    assert "5 files ignored" in out and ".webp" in out and "6 images as 3 x 8 x 8 uint8" in out and "free)" in out


def test_names_are_those_a_person_finds(collection):
    with ExitStack() as stack:
        assert find_images(collection, stack).names == [str(collection / name) for name in ORDERED]


def test_linked_files_are_read(tmp_path):
    root = write_folder(tmp_path / "images", {"a.png": encoded(pixels(0))})
    (tmp_path / "elsewhere.png").write_bytes(encoded(pixels(1)))
    (root / "b.png").symlink_to(tmp_path / "elsewhere.png")
    prepare(config(path=str(root)), "mine", tmp_path / "out")
    assert np.array_equal(read_array(tmp_path / "out")[1], pixels(1).transpose(2, 0, 1))


@pytest.mark.parametrize("content", [{}, {"readme.txt": b"x", "more.zip": b"y"}])
def test_a_collection_without_images_is_refused(tmp_path, content):
    (tmp_path / "images").mkdir()
    message = refused(write_folder(tmp_path / "images", content))
    assert (
        message.startswith(f"{tmp_path / 'images'}: holds no images (.bmp, ")
        and f"{len(content)} other files" in message
    )
    assert "holds no images" in refused(write_zip(tmp_path / "images.zip", content))


@pytest.mark.parametrize("name", ["nowhere", "nowhere/deeper", "images.zip/none"])
def test_a_path_that_is_not_there_is_refused(tmp_path, name):
    write_zip(tmp_path / "images.zip", members())
    message = refused(tmp_path / name)
    assert name in message and ("no such file or folder" in message or "holds no images" in message)


def test_names_that_differ_only_in_case_are_refused(tmp_path):
    message = refused(write_zip(tmp_path / "images.zip", {"a/X.png": b"", "A/x.png": b""}))
    assert "'A/x.png' and 'a/X.png' differ only in case" in message


def test_a_name_twice_is_refused(tmp_path):
    path = tmp_path / "images.zip"
    with pytest.warns(UserWarning, match="Duplicate name"), zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.png", b"1")
        archive.writestr("a.png", b"2")
    assert "are the same name twice" in refused(tmp_path / "images.zip")


def test_a_linked_folder_is_refused(tmp_path):
    root = write_folder(tmp_path / "images", members())
    (root / "loop").symlink_to(root)
    assert "loop: a link to a folder" in refused(root)


def test_what_may_not_be_read_is_refused(tmp_path, monkeypatch):
    root = write_folder(tmp_path / "images", members())

    def denied(path, *rest):
        if str(path).endswith("9.png"):
            raise PermissionError(13, "Permission denied", str(path))
        return open(path, *rest)

    monkeypatch.setattr(folder, "open", denied, raising=False)
    assert refused(root).startswith(f"{root}/a/9.png: cannot be read (Permission denied)")
    monkeypatch.setattr(
        os, "scandir", lambda path: (_ for _ in ()).throw(PermissionError(13, "Permission denied", str(path)))
    )
    with pytest.raises(UserError, match=r"images: cannot be read \(Permission denied\)"), ExitStack() as stack:
        find_images(root, stack)


def link(name):
    info = zipfile.ZipInfo(name)
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("../a.png", "would leave the archive's folder"),
        ("x/../../a.png", "would leave the archive's folder"),
        ("/etc/a.png", "would leave the archive's folder"),
        ("C:a.png", "would leave the archive's folder"),
        ("x\\a.png", "would leave the archive's folder"),
        (link("a.png"), "is a link; pack the files themselves"),
    ],
)
def test_unsafe_members_are_refused(tmp_path, name, message):
    assert message in refused(
        write_zip(tmp_path / "images.zip", {"good.png": encoded(pixels()), name: b"../../etc/passwd"})
    )


def test_an_encrypted_member_is_refused(tmp_path):
    path = write_zip(tmp_path / "images.zip", {"a.png": encoded(pixels())})
    content = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(signature) + offset] |= 1
    path.write_bytes(content)
    assert "is encrypted" in refused(path)


@pytest.mark.parametrize("keep", [0.5, 0.99, 0.0])
def test_a_truncated_archive_is_refused(tmp_path, keep):
    path = write_zip(tmp_path / "images.zip", members())
    path.write_bytes(path.read_bytes()[: int(keep * path.stat().st_size)])
    assert refused(path).startswith(f"{path}: no complete zip archive (")


def test_a_damaged_member_is_named(tmp_path):
    path = write_zip(tmp_path / "images.zip", {"a.png": encoded(pixels(0)), "b.png": encoded(pixels(1))})
    content = bytearray(path.read_bytes())
    content[content.rindex(b"IDAT") + 20] ^= 255
    path.write_bytes(content)
    assert "member 'b.png' is damaged (Bad CRC-32" in refused(path)


def deflated(path, content):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    return path


def test_a_bomb_is_refused_by_what_it_declares(tmp_path, monkeypatch):
    path = deflated(tmp_path / "images.zip", {f"{i}.png": bytes(1 << 20) for i in range(4)})
    assert path.stat().st_size < 10_000
    monkeypatch.setattr(archives, "RATIO_CHECKED_ABOVE", 1 << 21)
    assert "unpacks to 4,194,304 bytes" in refused(path) and "more than the 50 times allowed" in refused(path)
    monkeypatch.setattr(archives, "MAX_FILE", 1000)
    assert "member '0.png' unpacks to 1,048,576 bytes, more than the 1,000 allowed" in refused(path)


def test_a_bomb_that_declares_less_than_it_holds_is_cut_off_and_refused(tmp_path):
    path = deflated(tmp_path / "images.zip", {"a.png": bytes(1 << 22)})
    content = path.read_bytes().replace((1 << 22).to_bytes(4, "little"), (1000).to_bytes(4, "little"))
    path.write_bytes(content)
    assert "member 'a.png' is damaged" in refused(path)


def test_a_huge_file_of_a_folder_is_refused(tmp_path, monkeypatch):
    root = write_folder(tmp_path / "images", {"a.png": encoded(pixels())})
    monkeypatch.setattr(folder, "MAX_FILE", 10)
    assert refused(root).startswith(f"{root}/a.png: more than the 10 bytes")
