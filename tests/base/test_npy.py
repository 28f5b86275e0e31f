"""Array files have the bytes of np.save, and a disk that is full is an error, never a killed process."""

import io
import os

import numpy as np
import pytest

from pipeline.base.files import sha256
from pipeline.base.npy import NpyWriter

ROWS = np.arange(24, dtype=np.float32).reshape(6, 4)


def saved(array):
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def test_rows_in_pieces_give_the_bytes_of_np_save(tmp_path):
    with NpyWriter(tmp_path / "x.npy", ROWS.shape, np.float32) as file:
        for rows in (ROWS[:1], ROWS[1:5], ROWS[5:]):
            file.write(rows)
        assert file.close() == sha256(tmp_path / "x.npy")
    assert (tmp_path / "x.npy").read_bytes() == saved(ROWS)


@pytest.mark.parametrize("announced", [6, 7, 1_000_000, 10**15])
def test_fewer_rows_than_announced_are_a_shorter_array_where_that_is_allowed(tmp_path, announced):
    with NpyWriter(tmp_path / "x.npy", (announced, 4), np.float32) as file:
        file.write(ROWS)
        assert file.close(fewer=True) == sha256(tmp_path / "x.npy")
    assert np.array_equal(np.load(tmp_path / "x.npy"), ROWS)
    with NpyWriter(tmp_path / "y.npy", (7, 4), np.float32) as file:
        file.write(ROWS)
        with pytest.raises(ValueError, match="6 rows written, 7 announced"):
            file.close()


@pytest.mark.parametrize("rows", [ROWS.astype(np.float64), ROWS[:, :3], np.zeros((7, 4), np.float32)])
def test_rows_of_another_kind_are_refused(tmp_path, rows):
    with NpyWriter(tmp_path / "x.npy", (6, 4), np.float32) as file, pytest.raises(ValueError, match="does not fit"):
        file.write(rows)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
def test_a_full_disk_is_an_oserror(tmp_path):
    (tmp_path / "x.npy").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left"), NpyWriter(tmp_path / "x.npy", (1 << 20, 4), np.float32) as file:
        file.write(np.zeros((1 << 20, 4), np.float32))
