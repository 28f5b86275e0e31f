"""Picture sheets: every pixel of what is kept, and labels that say what was kept."""

import numpy as np
import pytest
from PIL import Image

from pipeline.base.files import read_json
from pipeline.pictures import contact_sheet
from pipeline.pictures.contact_sheet import write_sheet


def pictures(rows, columns, channels=3, height=4, width=5):
    return np.random.default_rng(0).integers(0, 256, (rows, columns, channels, height, width), dtype=np.uint8)


def written(path):
    """(pixels, labels) of a sheet."""
    return np.asarray(Image.open(path.with_suffix(".png"))), read_json(path.with_suffix(".json"))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (1, 6), (4, 1), (3, 5)])
def test_every_pixel_comes_back(tmp_path, rows, columns, channels):
    images = pictures(rows, columns, channels)
    write_sheet(tmp_path / "sheet", images, rows=list(range(rows)))
    pixels, labels = written(tmp_path / "sheet")
    pixels = pixels.reshape(rows, 4, columns, 5, channels)
    for row in range(rows):
        for column in range(columns):
            assert np.array_equal(pixels[row, :, column].transpose(2, 0, 1), images[row, column])
    assert labels == {"rows": list(range(rows)), "image": [4, 5]}


def test_the_same_images_give_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        write_sheet(tmp_path / name, pictures(2, 3), rows=["x", "y"])
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()


def test_too_many_rows_are_thinned_evenly_and_the_ends_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(contact_sheet, "PIXELS", 20 * 5 * 12)  # room for 12 rows of 5
    images = pictures(34, 5)
    write_sheet(tmp_path / "sheet", images, rows=[10.0 * row for row in range(34)])
    pixels, labels = written(tmp_path / "sheet")
    kept = [int(label / 10) for label in labels["rows"]]
    assert kept == list(range(0, 34, 3)) and pixels.shape == (12 * 4, 5 * 5, 3)
    for place, row in enumerate(kept):
        assert np.array_equal(pixels[4 * place : 4 * place + 4, :5].transpose(2, 0, 1), images[row, 0])


def test_columns_are_cut_where_eight_rows_are_too_many(tmp_path, monkeypatch):
    monkeypatch.setattr(contact_sheet, "PIXELS", 20 * 8 * 3)  # room for 8 rows of 3
    images = pictures(15, 50)
    write_sheet(tmp_path / "sheet", images, rows=list(range(15)))
    pixels, labels = written(tmp_path / "sheet")
    assert labels["rows"] == [0, 2, 4, 6, 8, 10, 12, 14] and pixels.shape == (8 * 4, 3 * 5, 3)
    assert np.array_equal(pixels[-4:, -5:].transpose(2, 0, 1), images[14, 2])


def test_few_rows_are_never_thinned_and_one_column_always_stays(tmp_path, monkeypatch):
    monkeypatch.setattr(contact_sheet, "PIXELS", 1)
    write_sheet(tmp_path / "sheet", pictures(3, 4), rows=["a", "b", "c"])
    pixels, labels = written(tmp_path / "sheet")
    assert labels["rows"] == ["a", "b", "c"] and pixels.shape == (12, 5, 3)


@pytest.mark.parametrize("shape", [(1, 64, 3, 256, 256), (21, 64, 3, 32, 32), (300, 64, 3, 8, 8)])
def test_sheets_stay_within_the_limit(tmp_path, shape):
    write_sheet(tmp_path / "sheet", np.zeros(shape, dtype=np.uint8), rows=list(range(shape[0])))
    pixels, labels = written(tmp_path / "sheet")
    assert pixels.shape[0] * pixels.shape[1] <= contact_sheet.PIXELS
    assert labels["rows"][0] == 0 and labels["rows"][-1] == shape[0] - 1
