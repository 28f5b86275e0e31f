"""Stage prepare under the real dvc: two data sets of one's own images, each prepared once, each by its own settings."""

import pytest
from omegaconf import OmegaConf

from image_files import encoded, pixels, write_zip
from pipeline.data.array import read_manifest
from repository import Repository, ran

pytestmark = pytest.mark.pipeline
STAGES = ["prepare@faces", "prepare@places"]


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """A folder and a zip of 20 images, 8 x 8, in the digits' geometry."""
    repository = Repository(tmp_path_factory.mktemp("repository"))
    outside = tmp_path_factory.mktemp("images")
    for index in range(20):
        (outside / f"{index}.png").write_bytes(encoded(pixels(index, 10, 9)))
    write_zip(outside / "places.zip", {f"{index}.png": encoded(pixels(index + 50)) for index in range(20)})
    digits = OmegaConf.to_container(OmegaConf.load(repository.folder / "conf/dataset/digits.yaml"))
    data = {"source": "folder", "resolution": 8, "channels": 3}
    repository.edit(
        profile="smoke",
        matrix={"datasets": ["faces", "places"], "variants": ["full"], "seeds": [0]},
        **{
            "conf/dataset/faces.yaml:": digits | {"data": data | {"path": str(outside)}},
            "conf/dataset/places.yaml:": digits | {"data": data | {"path": str(outside / "places.zip")}},
        },
    )
    repository.commit("two data sets")
    code, output = repository.dvc("repro", *STAGES)
    assert code == 0, output
    assert ran(output) == {"plan", *STAGES} and all(output.count(f"Running stage '{stage}'") == 1 for stage in STAGES)
    return repository


def test_each_is_prepared_once(repository):
    faces, places = (read_manifest(repository.folder / "data" / name) for name in ("faces", "places"))
    assert faces["count"] == places["count"] == 20 and faces["images_sha256"] != places["images_sha256"]
    assert faces["ignored_files"] == 1 and faces["images"]["cropped"] == 20 and places["images"]["cropped"] == 0
    code, output = repository.dvc("repro", *STAGES)
    assert code == 0 and not ran(output)


def test_a_setting_of_one_prepares_that_one(repository):
    repository.edit(**{"conf/dataset/faces.yaml:data.fit": "squash"})
    code, output = repository.dvc("repro", *STAGES)
    assert code == 0 and ran(output) == {"plan", "prepare@faces"}, output
    assert "both sides" in read_manifest(repository.folder / "data/faces")["resize"]


def test_a_bad_image_fails_its_stage_in_one_line_and_leaves_nothing(repository):
    repository.edit(**{"conf/dataset/places.yaml:data.channels": 1})
    code, output = repository.dvc("repro", *STAGES)
    (line,) = [line for line in output.splitlines() if line.startswith("error: ")]
    assert (
        code != 0
        and "places.zip: 20 of 20 images cannot be used (20 an RGB image with colours, the dataset is 8-bit" in line
        and "Traceback" not in output
    )
    assert not (repository.folder / "data/places").exists()
