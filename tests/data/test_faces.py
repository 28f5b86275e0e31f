"""The dataset `faces` of params.yaml: read like CelebA, and with a geometry that separates the kinds of attention."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest

from image_files import encoded, pixels, write_zip
from pipeline.data.array import read_array, read_manifest
from pipeline.data.config import DataConfig
from pipeline.data.prepare import prepare
from pipeline.data.readers import READERS
from pipeline.plan.config import load, resolve_cell

ROOT = Path(__file__).parents[2]
KINDS = ("standard_attention", "nystrom_attention", "axis_attention", "grid_attention", "full")


@pytest.fixture(scope="module")
def content():
    return load(ROOT / "params.yaml")


@pytest.mark.parametrize("dataset", ["faces", "folder", "glyphs", "glyphs_pairs"])
def test_the_kinds_of_attention_are_different_networks(content, dataset):
    networks = {resolve_cell(content, dataset, variant).network.model_dump_json() for variant in KINDS}
    assert len(networks) == len(KINDS)


def test_a_zip_in_the_data_root_is_cropped_as_the_reader_of_celeba_crops(content, tmp_path, monkeypatch):
    """Both take the centre 178 x 178 of the aligned 178 x 218 images, then resize."""
    monkeypatch.setenv("TRANSGAN_DATA", str(tmp_path))
    monkeypatch.setitem(READERS, "celeba", partial(READERS["celeba"], count=3))
    images = {f"{number:06}.jpg": encoded(pixels(number, 218, 178), "JPEG") for number in range(1, 4)}
    write_zip(tmp_path / "faces.zip", images)
    config = resolve_cell(content, "faces", "full").data
    assert prepare(config, "faces", tmp_path / "faces_out") == 3
    (tmp_path / "copy").mkdir()
    for name, image in images.items():
        (tmp_path / "copy" / name).write_bytes(image)
    celeba = DataConfig(source="celeba", resolution=32, channels=3, path=str(tmp_path / "copy"))
    prepare(celeba, "celeba", tmp_path / "celeba_out")
    assert np.array_equal(read_array(tmp_path / "faces_out"), read_array(tmp_path / "celeba_out"))
    assert read_manifest(tmp_path / "faces_out")["images"]["cropped"] == 3
