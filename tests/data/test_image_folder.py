"""Which files of a folder or zip are the dataset, in which order, and what is refused before anything is read."""

import io
import os
import re
import stat
import tarfile
import zipfile
from contextlib import ExitStack

import numpy as np
import pytest

from image_files import config, encoded, pixels, write_tar, write_zip
from pipeline.base.errors import UserError
from pipeline.data import image_folder
from pipeline.data.array import read_array, read_manifest
from pipeline.data.image_folder import find_images
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


@pytest.fixture(params=["folder", "zip", "folder inside a zip", "tar", "tar.gz", "folder inside a tar.xz"])
def collection(request, tmp_path):
    if request.param == "folder":
        return write_folder(tmp_path / "images", members())
    if request.param == "zip":
        return write_zip(tmp_path / "images.zip", members())
    if request.param in ("tar", "tar.gz"):
        return write_tar(tmp_path / f"images.{request.param}", {f"./{name}": data for name, data in members().items()})
    inside = {f"set/train/{name}": data for name, data in members().items()}
    inside |= {"set/other/z.png": encoded(pixels(99))}
    if request.param == "folder inside a tar.xz":
        return write_tar(tmp_path / "images.tar.xz", inside) / "set/train"
    return write_zip(tmp_path / "images.zip", inside) / "set/train"


def refused(path, **changes):
    """The message with which preparing `path` ends; checks that it is one line and that nothing stays."""
    out = next(parent for parent in path.parents if parent.name.startswith("test_")) / "out"
    with pytest.raises(UserError) as error:
        prepare(config(path=str(path), **changes), "mine", out, listing=out.with_name("out.refused.txt"))
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


def test_names_are_those_a_person_finds(collection, tmp_path_factory):
    with ExitStack() as stack:
        files = find_images(collection, tmp_path_factory.mktemp("scratch"), stack).files
        assert [file.name for file in files] == [str(collection / name) for name in ORDERED]


def test_linked_files_are_read(tmp_path):
    root = write_folder(tmp_path / "images", {"a.png": encoded(pixels(0))})
    (tmp_path / "elsewhere.png").write_bytes(encoded(pixels(1)))
    (root / "b.png").symlink_to(tmp_path / "elsewhere.png")
    prepare(config(path=str(root)), "mine", tmp_path / "out", listing=tmp_path / "out.refused.txt")
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
    inside = f"{tmp_path}/images.zip: holds no folder 'none'; it has .git, __MACOSX, a, c"
    assert message == inside if name == "images.zip/none" else f"{tmp_path / name}: no such file or folder" in message


def test_a_name_twice_is_refused(tmp_path):
    path = tmp_path / "images.zip"
    with pytest.warns(UserWarning, match="Duplicate name"), zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.png", b"1")
        archive.writestr("a.png", b"2")
    assert "'a.png' is there twice under the same name" in refused(tmp_path / "images.zip")


@pytest.mark.parametrize(
    "content", [encoded(pixels()), b"no image", b"\x93NUMPY" + bytes(900), b"Rar!\x1a\x07" + bytes(99)]
)
def test_a_file_that_is_no_archive_is_called_that(tmp_path, content):
    (tmp_path / "one.png").write_bytes(content)
    kinds = "neither a folder nor a zip or tar"
    assert refused(tmp_path / "one.png") == f"{tmp_path}/one.png: {kinds}; unpack another archive yourself"


def test_what_is_no_file_and_no_folder_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert refused(tmp_path / "pipe").endswith("pipe: neither a file nor a folder")


def test_a_tar_of_an_old_program_is_read(tmp_path):
    path = tmp_path / "images.tar"
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as archive:
        member = tarfile.TarInfo("a.png")
        member.size = len(encoded(pixels()))
        archive.addfile(member, io.BytesIO(encoded(pixels())))
    content = bytearray(path.read_bytes())
    content[257:265] = bytes(8)  # no magic, and the checksum without it
    content[148:156] = b" " * 8
    content[148:155] = f"{sum(content[:512]):06o}".encode() + b"\0"
    path.write_bytes(content)
    assert prepare(config(path=str(path)), "mine", tmp_path / "out") == 1


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

    monkeypatch.setattr(image_folder, "open", denied, raising=False)
    assert refused(root).startswith(f"{root}/a/9.png: cannot be read (Permission denied)")
    monkeypatch.setattr(
        os, "scandir", lambda path: (_ for _ in ()).throw(PermissionError(13, "Permission denied", str(path)))
    )
    assert f"{root}: Permission denied; nothing was written" in refused(root)


def test_folders_that_a_program_of_windows_wrote_are_folders(tmp_path):
    content = {f"set\\{name}".replace("/", "\\"): data for name, data in members().items()}
    tar = write_tar(tmp_path / "images.tar", content)
    with ExitStack() as stack:
        files = find_images(tar, tmp_path / "unpacked", stack).files
        assert [file.name for file in files] == [str(tar / "set" / name) for name in ORDERED]
    path = write_zip(tmp_path / "images.zip", content | {"set\\": b""})
    with ExitStack() as stack:
        for below, names in (("", ORDERED), ("set/a", ["10.PNG", "9.png", "deep/er/x.webp"])):
            files = find_images(path / below, tmp_path, stack).files
            assert [file.name for file in files] == [str(path / (below or "set") / name) for name in names]
    prepare(config(path=str(path)), "mine", tmp_path / "out")
    assert np.array_equal(read_array(tmp_path / "out")[0], pixels(0).transpose(2, 0, 1))


@pytest.mark.parametrize("method", [9, 93, 98, 6])  # Deflate64, Zstandard, PPMd, implode
def test_a_compression_that_python_does_not_read_is_not_called_damage(tmp_path, method):
    path = write_zip(tmp_path / "images.zip", {"a.png": encoded(pixels())})
    content = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        at = content.index(signature) + offset
        content[at : at + 2] = method.to_bytes(2, "little")
    path.write_bytes(content)
    message = refused(path)
    reason = "That compression method is not supported"
    assert f"a.png: cannot be read ({reason}); fetch or pack it again, or unpack it yourself" in message


@pytest.mark.parametrize("inner", ["data.zip", "set/photos.tar.gz"])
def test_an_archive_in_an_archive_is_named(tmp_path, inner):
    message = refused(write_zip(tmp_path / "images.zip", {inner: b"", "read.me": b""}))
    assert f"2 other files (.{inner[-2:] if inner.endswith('gz') else 'zip'}, .me); unpack {inner} and name" in message


@pytest.mark.parametrize("ending", ["tar", "tar.gz", "tar.bz2", "tar.xz"])
@pytest.mark.parametrize("keep", [0.4, 0.9])
def test_a_truncated_tar_is_refused(tmp_path, ending, keep):
    path = write_tar(tmp_path / f"images.{ending}", {f"{i}.png": encoded(pixels(i, 40, 40)) for i in range(4)})
    path.write_bytes(path.read_bytes()[: int(keep * path.stat().st_size)])
    if ending == "tar" and keep == 0.9:
        path.write_bytes(path.read_bytes()[:-9000])
    message = refused(path)
    assert message.startswith(f"{path}: cannot be unpacked (") and "fetch or pack it again" in message


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "../a.png"}, "outside the destination"),
        ({"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"}, "absolute path"),
        ({"type": tarfile.LNKTYPE, "linkname": "absent.png"}, "'absent.png' not found"),
        ({"type": tarfile.FIFOTYPE}, "is a special file"),
        ({"name": "x\\..\\..\\a.png"}, "outside the destination"),
    ],
)
def test_unsafe_members_of_a_tar_are_refused(tmp_path, changes, message):
    with tarfile.open(tmp_path / "bad.tar", "w") as archive:
        member = tarfile.TarInfo("a.png")
        for key, value in changes.items():
            setattr(member, key, value)
        archive.addfile(member)
    assert re.search(rf"bad\.tar: cannot be unpacked \(.*{message}", refused(tmp_path / "bad.tar"))


def test_a_folder_that_a_tar_does_not_have_is_named(tmp_path):
    path = write_tar(tmp_path / "images.tar.gz", {"a/b/x.png": encoded(pixels()), "c.png": encoded(pixels(1))})
    assert refused(path / "none") == f"{path}: holds no folder 'none'; it has a"


def test_names_that_are_no_utf8_are_read_and_printed(tmp_path, capsys):
    root = os.fsencode(tmp_path / "images")
    os.mkdir(root)
    for name, content in ((b"\xff.png", encoded(pixels())), (b"\xfe.png", b""), (b"\xfd.txt", b"")):
        with open(os.path.join(root, name), "wb") as file:
            file.write(content)
    message, listing = refused(tmp_path / "images"), tmp_path / "out.refused.txt"
    assert "1 of 2" not in message and "\\xfe.png: no readable" in message
    skipping = config(path=str(tmp_path / "images"), on_error="skip")
    assert prepare(skipping, "mine", tmp_path / "out", listing=listing) == 1
    assert "\\xfe.png" in (tmp_path / "out.refused.txt").read_text(encoding="utf-8")
    odd = os.fsdecode(root + b"\xfb")
    os.rename(root, odd)
    assert prepare(config(on_error="skip").model_copy(update={"path": odd}), "mine", tmp_path / "out") == 1
    capsys.readouterr().out.encode("utf-8")


@pytest.mark.parametrize("name", ["x" * 300, "x" * 5000, "a\0b"])
def test_a_name_that_the_system_does_not_take_is_refused_in_one_short_line(tmp_path, name):
    message = refused(tmp_path / name)
    assert "cannot be looked up (" in message or "no such file" in message
    assert len(message) < 1500


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
        ("..\\a.png", "would leave the archive's folder"),
        ("x\\..\\..\\a.png", "would leave the archive's folder"),
        ("C:\\x\\a.png", "would leave the archive's folder"),
        ("\\\\server\\a.png", "would leave the archive's folder"),
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
    assert "b.png: cannot be read (Bad CRC-32" in refused(path)


def deflated(path, content):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    return path


def test_a_huge_member_is_refused(tmp_path, monkeypatch):
    path = deflated(tmp_path / "images.zip", {"0.png": bytes(1 << 20)})
    monkeypatch.setattr(image_folder, "MAX_FILE", 1000)
    assert "0.png: more than the 1,000 bytes allowed for an image" in refused(path)


def test_a_bomb_that_declares_less_than_it_holds_is_cut_off_and_refused(tmp_path):
    path = deflated(tmp_path / "images.zip", {"a.png": bytes(1 << 22)})
    content = path.read_bytes().replace((1 << 22).to_bytes(4, "little"), (1000).to_bytes(4, "little"))
    path.write_bytes(content)
    assert "a.png: cannot be read (" in refused(path)


def test_a_huge_file_of_a_folder_is_refused(tmp_path, monkeypatch):
    root = write_folder(tmp_path / "images", {"a.png": encoded(pixels())})
    monkeypatch.setattr(image_folder, "MAX_FILE", 10)
    assert refused(root).startswith(f"{root}/a.png: more than the 10 bytes")
