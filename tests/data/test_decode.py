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
from PIL import Image
from torchvision.transforms.v2 import functional as vision

from image_files import config, encoded, pixels
from pipeline.base.errors import UserError
from pipeline.data.decode import decode, in_parallel, resize_rule
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
    ("a format not read", encoded(RGB, "PPM"), {}, "no readable image"),
    (
        "cmyk",
        encoded(Image.fromarray(RGB).convert("CMYK"), "JPEG"),
        {},
        "a CMYK image, the dataset is 8-bit RGB; convert it or take it out",
    ),
    ("cmyk tiff", encoded(Image.fromarray(RGB).convert("CMYK"), "TIFF"), {"convert": "lossless"}, "a CMYK image"),
    ("lab", encoded(Image.fromarray(RGB).convert("LAB"), "TIFF"), {"convert": "lossless"}, "a LAB image"),
    ("16-bit grey", encoded(Image.fromarray(GREY.astype(np.uint16) * 257)), {}, "more than 8 bits a channel"),
    ("16-bit rgb", sixteen_bit_rgb(), {"convert": "lossless"}, "more than 8 bits a channel"),
    ("float", encoded(Image.fromarray(GREY.astype(np.float32)), "TIFF"), {}, "more than 8 bits a channel"),
    ("grey", encoded(GREY), {}, "a greyscale image, .* set datasets.<name>.data.convert to lossless"),
    ("grey jpeg", encoded(GREY, "JPEG"), {}, "a greyscale image"),
    ("black and white", encoded(Image.fromarray(GREY).convert("1")), {}, "a black-and-white image"),
    ("palette", palette(), {}, "a palette image"),
    ("opaque", encoded(alpha(255)), {}, "an image with an alpha channel"),
    (
        "transparent",
        encoded(alpha(254)),
        {"convert": "lossless"},
        "some of its pixels are transparent; put it on a background",
    ),
    ("transparent palette", palette(transparency=0), {"convert": "lossless"}, "some of its pixels are transparent"),
    (
        "transparent colour",
        encoded(np.zeros((8, 8, 3), np.uint8), transparency=(0, 0, 0)),
        {"convert": "lossless"},
        "some of its pixels are transparent",
    ),
    (
        "colour in a grey dataset",
        encoded(RGB),
        {"channels": 1, "convert": "lossless"},
        r"an RGB image, the dataset is 8-bit greyscale \(channels: 1\)",
    ),
    ("animated gif", animated("GIF"), {"convert": "lossless"}, r"animated, or several images in one file \(3\)"),
    ("animated webp", animated("WEBP"), {}, "animated"),
    ("animated png", animated("PNG"), {}, "animated"),
    ("pages", animated("TIFF"), {}, "animated, or several images"),
    ("too low", encoded(pixels(0, 7, 20)), {}, "20 x 7, smaller than 8 x 8, and images are never enlarged"),
    ("too narrow", encoded(pixels(0, 20, 7)), {"fit": "squash"}, "7 x 20, smaller than 8 x 8"),
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
        pytest.raises(UserError, match="a.png: 8 x 8, more than the 50 pixels allowed"),
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
        image, counts = done(content, convert="lossless")
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


def test_the_first_bad_file_of_many_is_named_and_nothing_stays(tmp_path):
    root = tmp_path / "images"
    root.mkdir()
    for index in range(200):
        (root / f"{index:03}.png").write_bytes(encoded(GREY) if index in (90, 150) else encoded(RGB))
    with pytest.raises(UserError, match=r"090\.png: a greyscale image"):
        prepare(config(path=str(root)), "mine", tmp_path / "out")
    assert not (tmp_path / "out").exists()
