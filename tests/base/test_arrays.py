"""Array files have the bytes of np.save, a full disk is an error; many small images are one picture."""

import io
import os

import numpy as np
import pytest

from pipeline.base.arrays import NpyWriter, tile

ROWS = np.arange(24, dtype=np.float32).reshape(6, 4)


def saved(array):
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def test_rows_in_pieces_give_the_bytes_of_np_save(tmp_path):
    with NpyWriter(tmp_path / "x.npy", np.float32) as file:
        for rows in (ROWS[:1], ROWS[1:5], ROWS[5:]):
            file.write(rows)
        file.close()
    assert file.rows == 6 and (tmp_path / "x.npy").read_bytes() == saved(ROWS)


@pytest.mark.parametrize("row", [(), (3, 256, 256), (1, 2, 3, 4, 5, 6, 7)])
def test_the_header_has_room_for_any_number_of_rows(tmp_path, row):
    rows = np.zeros((1, *row), np.uint8)
    with NpyWriter(tmp_path / "x.npy", np.uint8) as file:
        file.write(rows)
        start = file._file.tell()
        file.rows = 10**15
        file._file.seek(0)
        file._write_header()
        assert file._file.tell() == start - rows.nbytes


@pytest.mark.parametrize("rows", [ROWS.astype(np.float64), ROWS[:, :3]])
def test_rows_of_another_kind_are_refused(tmp_path, rows):
    with NpyWriter(tmp_path / "x.npy", np.float32) as file, pytest.raises(ValueError, match="does not fit"):
        file.write(ROWS)
        file.write(rows)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
def test_a_full_disk_is_an_oserror(tmp_path):
    (tmp_path / "x.npy").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left"), NpyWriter(tmp_path / "x.npy", np.float32) as file:
        file.write(np.zeros((1 << 20, 4), np.float32))


@pytest.mark.parametrize("channels", [1, 3])
def test_tile_puts_every_pixel_where_it_belongs(channels):
    images = np.random.default_rng(0).integers(0, 200, (5, channels, 3, 4), dtype=np.uint8)
    picture = tile(images, columns=2, gap=1, scale=1)
    assert picture.shape == (3 * 4 + 1, 2 * 5 + 1, channels) and picture.dtype == np.uint8
    covered = np.zeros(picture.shape[:2], dtype=bool)
    for index, image in enumerate(images):
        top, left = 1 + index // 2 * 4, 1 + index % 2 * 5
        assert np.array_equal(picture[top : top + 3, left : left + 4], image.transpose(1, 2, 0))
        covered[top : top + 3, left : left + 4] = True
    assert (picture[~covered] == 224).all()


def test_tile_enlarges_pixels_into_squares():
    images = np.arange(4, dtype=np.uint8).reshape(1, 1, 2, 2)
    picture = tile(images, columns=1, gap=0, scale=3)[:, :, 0]
    assert np.array_equal(picture, np.kron(images[0, 0], np.ones((3, 3), dtype=np.uint8)))
    assert tile(images, columns=1, gap=1, scale=3).shape == (12, 12, 1)
