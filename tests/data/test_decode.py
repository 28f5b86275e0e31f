"""Pixels as they are in the file; images that would change in silence are refused with their name."""

import io
import struct
import time
import zlib
from collections import Counter

import numpy as np
import PIL
import pytest
import torch
from PIL import Image, PngImagePlugin
from torchvision.transforms.v2 import functional as vision

from image_files import config, encoded, pixels
from pipeline.base.errors import UserError
from pipeline.base.machine import in_parallel
from pipeline.data.array import read_array, read_manifest
from pipeline.data.decode import ORIENTATION, decode, resize_rule
from pipeline.data.prepare import prepare

RGB, GREY = pixels(0), pixels(0, channels=1)


def done(content, **changes):
    counts = Counter()
    return decode("a.png", content, config(**changes), counts), +counts


def alpha(value):
    return np.concatenate([RGB, np.full((8, 8, 1), value, np.uint8)], axis=2)


def palette(**options):
    return encoded(Image.fromarray(RGB).quantize(16), **options)


def sixteen_bit_rgb():
    """A PNG of 16 bits a channel, which Pillow would open as 8-bit RGB."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + bytes(8 * 6) for _ in range(8))
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 16, 2, 0, 0, 0))
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def animated(format):
    frames = [Image.fromarray(pixels(seed)) for seed in range(3)]
    return encoded(frames[0], format, save_all=True, append_images=frames[1:])


@pytest.mark.parametrize(("format", "options"), [("PNG", {}), ("BMP", {}), ("TIFF", {}), ("WEBP", {"lossless": True})])
def test_lossless_files_come_back_pixel_by_pixel(format, options):
    image, counts = done(encoded(RGB, format, **options))
    assert np.array_equal(image, RGB.transpose(2, 0, 1)) and image.dtype == np.uint8 and not counts


def test_a_jpeg_is_what_pillow_decodes():
    content = encoded(pixels(0, 8, 8), "JPEG", quality=90)
    assert np.array_equal(done(content)[0].transpose(1, 2, 0), np.asarray(Image.open(io.BytesIO(content))))


def test_grey_datasets_take_grey_images_as_they_are():
    assert np.array_equal(done(encoded(GREY), channels=1)[0], GREY[None])


REFUSED = [
    ("corrupt", b"\x89PNG\r\n\x1a\nnothing", {}, "no readable image"),
    ("empty", b"", {}, "no readable image"),
    ("truncated png", encoded(pixels(0, 64, 64))[:3000], {}, "no readable image"),
    ("truncated jpeg", encoded(pixels(0, 64, 64), "JPEG")[:2000], {}, "no readable image"),
    ("a format not read", encoded(RGB, "PPM"), {}, "no readable image: of an unknown format; allowed: BMP, GIF"),
    (
        "cmyk",
        encoded(Image.fromarray(RGB).convert("CMYK"), "JPEG"),
        {},
        "a CMYK image, the dataset is 8-bit RGB; convert it or take it out",
    ),
    ("cmyk tiff", encoded(Image.fromarray(RGB).convert("CMYK"), "TIFF"), {}, "a CMYK image"),
    ("lab", encoded(Image.fromarray(RGB).convert("LAB"), "TIFF"), {}, "a LAB image"),
    ("16-bit grey", encoded(Image.fromarray(GREY.astype(np.uint16) * 257)), {}, "more than 8 bits a channel"),
    ("16-bit rgb", sixteen_bit_rgb(), {}, "more than 8 bits a channel"),
    ("float", encoded(Image.fromarray(GREY.astype(np.float32)), "TIFF"), {}, "more than 8 bits a channel"),
    (
        "transparent",
        encoded(alpha(254)),
        {},
        "some of its pixels are transparent; put it on a background",
    ),
    ("transparent palette", palette(transparency=0), {}, "some of its pixels are transparent"),
    (
        "transparent colour",
        encoded(np.zeros((8, 8, 3), np.uint8), transparency=(0, 0, 0)),
        {},
        "some of its pixels are transparent",
    ),
    (
        "colour in a grey dataset",
        encoded(RGB),
        {"channels": 1},
        r"an RGB image with colours, the dataset is 8-bit greyscale \(channels: 1\)",
    ),
    ("animated gif", animated("GIF"), {}, r"animated, or several images in one file \(3\)"),
    ("animated webp", animated("WEBP"), {}, "animated"),
    ("animated png", animated("PNG"), {}, "animated"),
    ("pages", animated("TIFF"), {}, "animated, or several images"),
    ("too low", encoded(pixels(0, 7, 20)), {}, r"smaller than 8 x 8, and images are never enlarged \(20 x 7\)"),
    (
        "too narrow",
        encoded(pixels(0, 20, 7)),
        {"fit": "squash"},
        r"smaller than 8 x 8, and images are never enlarged \(7 x 20\)",
    ),
]


@pytest.mark.parametrize(
    ("content", "changes", "message"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED]
)
def test_refused_in_one_line_that_names_the_file(content, changes, message):
    with pytest.raises(UserError, match=f"^a.png: {message}") as error:
        done(content, **changes)
    assert "\n" not in str(error.value)


def test_an_absurdly_large_image_is_refused_before_it_is_decoded(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 50)
    with (
        pytest.raises(UserError, match=r"a.png: more than the 50 pixels allowed \(8 x 8\)"),
        pytest.warns(Image.DecompressionBombWarning),
    ):
        done(encoded(RGB))
    with pytest.raises(UserError, match="decompression bomb"):
        done(encoded(pixels(0, 20, 20)))


def test_lossless_conversions_keep_every_colour_and_are_counted():
    grey = np.repeat(GREY[None], 3, axis=0)
    cases = {
        "grey": (encoded(GREY), grey),
        "opaque": (encoded(alpha(255)), RGB.transpose(2, 0, 1)),
        "grey, opaque": (encoded(Image.fromarray(GREY).convert("LA")), grey),
        "palette": (palette(), np.asarray(Image.fromarray(RGB).quantize(16).convert("RGB")).transpose(2, 0, 1)),
        "black and white": (
            encoded(Image.fromarray(GREY).convert("1")),
            np.repeat(np.asarray(Image.fromarray(GREY).convert("1").convert("L"))[None], 3, axis=0),
        ),
    }
    for name, (content, expected) in cases.items():
        image, counts = done(content)
        assert np.array_equal(image, expected) and counts == {"converted": 1}, name


def test_photographs_are_turned_upright_as_their_camera_says():
    exif = Image.Exif()
    exif[0x0112] = 6
    image, counts = done(encoded(RGB, "PNG", exif=exif.tobytes()))
    assert np.array_equal(image, np.rot90(RGB, -1).transpose(2, 0, 1)) and counts == {"rotated": 1}


@pytest.mark.parametrize(("height", "width"), [(20, 12), (12, 20), (13, 12)])
def test_the_middle_is_kept(height, width):
    image, counts = done(encoded(pixels(0, height, width)), resolution=12)
    top, left = (height - 12) // 2, (width - 12) // 2
    assert np.array_equal(
        image, pixels(0, height, width)[top : top + 12, left : left + 12].transpose(2, 0, 1)
    ) and counts == {"cropped": 1}


def test_resizing_is_antialiased():
    """A checkerboard of single pixels is grey at half the size; without antialiasing it would be black or white."""
    board = (np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8)
    image, counts = done(encoded(np.repeat(board[:, :, None], 3, axis=2)), resolution=16)
    assert np.abs(image.astype(int) - 128).max() < 8 and counts == {"resized": 1}


@pytest.mark.parametrize("fit", ["crop", "squash"])
def test_resizing_equals_torchvisions_on_the_same_region(fit):
    array = pixels(3, 40, 30)
    region = Image.fromarray(array[5:35] if fit == "crop" else array)
    expected = vision.resize(region, [16, 16], interpolation=vision.InterpolationMode.LANCZOS, antialias=True)
    image, counts = done(encoded(array), resolution=16, fit=fit)
    assert np.array_equal(image.transpose(1, 2, 0), np.asarray(expected))
    assert counts == ({"cropped": 1, "resized": 1} if fit == "crop" else {"resized": 1})
    smooth = np.add.outer(np.arange(40), np.arange(30)).astype(np.uint8)
    smooth = np.repeat(smooth[:, :, None], 3, axis=2)
    other = vision.resize(torch.from_numpy(smooth).permute(2, 0, 1), [16, 16], antialias=True)
    assert np.abs(done(encoded(smooth), resolution=16, fit="squash")[0].astype(int) - other.numpy()).max() <= 2


def test_the_rule_names_filter_version_and_size():
    assert (
        resize_rule(config(resolution=64))
        == f"centre crop to the short side, then Pillow {PIL.__version__} LANCZOS (antialiased, on uint8) to 64 x 64"
    )
    assert "both sides" in resize_rule(config(fit="squash"))


def test_results_keep_the_order_of_their_tasks_and_few_are_under_way():
    begun = []

    def tasks():
        for number in range(50):
            begun.append(number)
            yield number

    def work(number):
        time.sleep(0.002 if number % 3 else 0.006)
        return number

    results = in_parallel(work, tasks(), threads=3)
    first = next(results)
    assert first == 0 and len(begun) < 15
    assert list(results) == list(range(1, 50))


def test_the_first_failure_in_order_ends_the_work():
    ran = []

    def work(number):
        ran.append(number)
        if number in (20, 21):
            raise UserError(str(number))

    with pytest.raises(UserError, match="20"):
        list(in_parallel(work, range(1000), threads=2))
    assert len(ran) < 100


def test_grey_datasets_take_images_of_other_modes_whose_pixels_are_grey():
    grey = Image.fromarray(GREY)
    for image in (grey.convert("RGB"), grey.convert("P"), grey.convert("LA"), grey.convert("RGBA")):
        array, counts = done(encoded(image), channels=1)
        assert np.array_equal(array, GREY[None]) and counts == {"converted": 1}, image.mode


def exif(value):
    return b"Exif\0\0II*\0\x08\0\0\0\x01\0" + struct.pack("<HHII", ORIENTATION, 3, 1, value) + bytes(4)


@pytest.mark.parametrize("value", [0, 1, 9, 65535])
def test_an_orientation_that_means_nothing_turns_nothing(value):
    content = encoded(RGB, "PNG", exif=exif(value))
    assert np.array_equal(done(content)[0], RGB.transpose(2, 0, 1)) and not done(content)[1]


def before_pixels(kind, data, crc=None):
    """A PNG with one more chunk before its pixels."""
    content = encoded(RGB)
    at = content.index(b"IDAT") - 4
    chunk = struct.pack(">I", len(data)) + kind + data
    return content[:at] + chunk + struct.pack(">I", zlib.crc32(kind + data) if crc is None else crc) + content[at:]


def text_chunk(name, text):
    info = PngImagePlugin.PngInfo()
    info.add_text(name, text)
    return encoded(RGB, pnginfo=info)


JUNK = bytes(range(200, 240))
ODD_METADATA = {
    "png, exif": before_pixels(b"eXIf", JUNK),
    "png, raw profile": text_chunk("Raw profile type exif", "\nexif\n 40\nno hex\n"),
    "png, a text with a wrong checksum": before_pixels(b"tEXt", b"Title\0x", crc=0),
    "png, a text that unpacks to 80 MB": before_pixels(b"zTXt", b"Title\0\0" + zlib.compress(bytes(80 << 20))),
    "png, colour profile": before_pixels(b"iCCP", JUNK),
    "png, resolution too short": before_pixels(b"pHYs", b"\0"),
    "webp, exif": encoded(RGB, "WEBP", lossless=True, exif=b"Exif\0\0" + JUNK),
    "webp, xmp": encoded(RGB, "WEBP", lossless=True, xmp=b'<x tiff:Orientation="seven"/>'),
    "tiff, exif": encoded(
        RGB, "TIFF", exif=b"Exif\0\0II*\0\x08\0\0\0\x01\0" + struct.pack("<HHII", 34665, 4, 1, 1 << 30)
    ),
}


@pytest.mark.parametrize("content", ODD_METADATA.values(), ids=ODD_METADATA)
def test_pixels_are_read_whatever_the_metadata(content):
    assert np.array_equal(done(content)[0], RGB.transpose(2, 0, 1))


@pytest.mark.parametrize("exif_bytes", [b"Exif\0\0" + JUNK, b"Exif\0\0", JUNK])
def test_a_jpeg_with_broken_metadata_is_what_pillow_decodes(exif_bytes):
    expected = np.asarray(Image.open(io.BytesIO(encoded(RGB, "JPEG")))).transpose(2, 0, 1)
    assert np.array_equal(done(encoded(RGB, "JPEG", exif=exif_bytes))[0], expected)


def test_the_first_picture_of_a_phones_photograph_is_taken_and_counted():
    first, second = Image.fromarray(RGB), Image.fromarray(pixels(1))
    image, counts = done(encoded(first, "MPO", save_all=True, append_images=[second]))
    assert counts == {"first_of_several": 1}
    assert np.array_equal(image.transpose(1, 2, 0), np.asarray(Image.open(io.BytesIO(encoded(first, "JPEG")))))


NAMED = {
    "a HEIC image": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(99),
    "an AVIF image": b"\0\0\0\x1cftypavif\0\0\0\0avifmif1" + bytes(99),
    "a web page": b"\n<!DOCTYPE html><html></html>",
    "an XML or SVG file": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    "a pointer of Git LFS": b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n",
    "an empty file": bytes(50),
    "of an unknown format": b"neither this nor that",
}


@pytest.mark.parametrize(("kind", "content"), NAMED.items(), ids=NAMED)
def test_a_file_that_is_no_image_is_called_what_it_is(kind, content):
    with pytest.raises(UserError, match=f"^a.png: no readable image: {kind}.*; allowed: BMP") as error:
        done(content)
    assert " object at 0x" not in str(error.value)


def test_a_bitmap_of_five_and_six_bits_is_read():
    rows = np.arange(64, dtype="<u2").reshape(8, 8) * 1023
    head = struct.pack("<IiiHHIIiiII", 40, 8, 8, 1, 16, 3, 128, 0, 0, 0, 0) + struct.pack("<III", 0xF800, 0x7E0, 0x1F)
    content = b"BM" + struct.pack("<IHHI", 14 + len(head) + 128, 0, 0, 14 + len(head)) + head + rows.tobytes()
    red = (rows[::-1] >> 11) * 255 // 31
    assert np.abs(done(content)[0][0].astype(int) - red.astype(int)).max() <= 1


def bad_folder(root):
    """200 images; two greyscale CMYK ones, an empty file and a small one among them."""
    root.mkdir()
    cmyk = encoded(Image.fromarray(RGB).convert("CMYK"), "TIFF")
    bad = {90: cmyk, 150: cmyk, 151: b"", 199: encoded(pixels(0, 4, 4))}
    for index in range(200):
        (root / f"{index:03}.png").write_bytes(bad.get(index, encoded(RGB)))
    return root


def test_all_images_are_looked_at_before_a_folder_is_refused(tmp_path, capsys):
    root = bad_folder(tmp_path / "images")
    with pytest.raises(UserError) as error:
        prepare(config(path=str(root)), "mine", tmp_path / "out", listing=tmp_path / "out.refused.txt")
    message, listing = str(error.value), tmp_path / "out.refused.txt"
    assert message.startswith(f"{root}: 4 of 200 images cannot be used (2 a CMYK image, the dataset is 8-bit RGB, 1 no")
    assert (
        f"1 smaller than 8 x 8, and images are never enlarged), all listed in {listing}; the first: {root}/090.png: a"
        in message
    )
    assert message.endswith("leave them out: conf/dataset/mine.yaml: data.on_error: skip") and "\n" not in message
    assert [line.partition(": ")[0][-7:] for line in listing.read_text().splitlines()] == [
        "090.png",
        "150.png",
        "151.png",
        "199.png",
    ]
    assert not (tmp_path / "out").exists()
    assert "090.png: a CMYK image" in capsys.readouterr().err.splitlines()[0], "the first one is said at once"


def test_images_that_cannot_be_used_are_left_out_where_that_is_asked_for(tmp_path, capsys):
    root, out = bad_folder(tmp_path / "images"), tmp_path / "out"
    assert prepare(config(path=str(root), on_error="skip"), "mine", out, listing=tmp_path / "out.refused.txt") == 196
    manifest = read_manifest(out)
    assert manifest["count"] == 196 and manifest["images"]["skipped"] == 4
    assert np.array_equal(read_array(out), np.broadcast_to(RGB.transpose(2, 0, 1), (196, 3, 8, 8)))
    assert "4 of 200 images cannot be used" in capsys.readouterr().out
    assert len((tmp_path / "out.refused.txt").read_text().splitlines()) == 4
    buffer = io.BytesIO()
    np.save(buffer, np.asarray(read_array(out)))
    assert (out / "images.npy").read_bytes() == buffer.getvalue()
    for path in root.glob("*.png"):
        path.write_bytes(b"")
    with pytest.raises(UserError, match="200 of 200 images cannot be used"):
        prepare(config(path=str(root), on_error="skip"), "mine", out, listing=tmp_path / "out.refused.txt")


def test_one_bad_file_is_named_with_its_reason_and_a_list_goes_when_all_are_good(tmp_path):
    root = tmp_path / "images"
    root.mkdir()
    for index in range(70):
        (root / f"{index:03}.png").write_bytes(b"" if index == 60 else encoded(RGB))
    with pytest.raises(UserError, match=r"060\.png: no readable image: an empty file.*; or leave them out: .*skip$"):
        prepare(config(path=str(root)), "mine", tmp_path / "out", listing=tmp_path / "out.refused.txt")
    assert (tmp_path / "out.refused.txt").exists()
    (root / "060.png").unlink()
    assert prepare(config(path=str(root)), "mine", tmp_path / "out", listing=tmp_path / "out.refused.txt") == 69
    assert not (tmp_path / "out.refused.txt").exists()
