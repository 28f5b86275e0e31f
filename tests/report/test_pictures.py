"""Pictures: real images, grey images, scales, diagrams."""

import numpy as np
from PIL import Image

from pipeline.base.files import read_json, write_json
from pipeline.pictures.illustrate import write_sheet
from pipeline.report import architecture, pictures
from pipeline.report.results import Results
from report_project import CNN, TRANSFORMER, write_project


def loaded(folder) -> Results:
    return Results.load(folder / "plan", folder / "results")


def test_real_images_stand_beside_the_samples_and_under_augmentation_row_by_row(tmp_path, monkeypatch):
    folder, drawn = write_project(tmp_path, {"full": [10.0, None, None]}), []
    assert pictures.augmentation(loaded(folder), "digits", tmp_path) is None  # no real images
    images = np.random.default_rng(0).integers(0, 256, (1, 10, 3, 8, 8), dtype=np.uint8)
    write_sheet(folder / "results/digits/full/seed0/real", images, rows=["real"])
    assert "real images, full" in pictures.samples(loaded(folder), "digits", tmp_path).alt
    monkeypatch.setattr(pictures, "grid", lambda images, *_: drawn.append(images) or images[0])
    figure = pictures.augmentation(loaded(folder), "digits", tmp_path)
    assert figure.alt.endswith("as they are, translation, cutout, all together")
    first, moved, cut, both = drawn
    assert np.array_equal(first, images[0].transpose(0, 2, 3, 1))
    grey = (cut == 128).all(axis=-1)
    assert grey.any() and np.array_equal(cut[~grey], first[~grey]), "cutout changes nothing outside its square"
    assert not np.array_equal(moved, first) and not np.array_equal(both, moved)
    for seed in range(3):
        plan = folder / f"plan/train/digits/full/seed{seed}.yaml"
        content = read_json(plan)
        content["train"]["augment"]["policy"] = []
        write_json(plan, content)
    assert pictures.augmentation(loaded(folder), "digits", tmp_path) is None


def test_images_of_one_channel_are_drawn_grey(tmp_path):
    folder = write_project(tmp_path, {"full": [10.0, None, None]})
    grey = np.random.default_rng(0).integers(0, 256, (1, 16, 1, 8, 8), dtype=np.uint8)
    write_sheet(folder / "results/digits/full/seed0/samples", grey, rows=["samples"])
    sheet = loaded(folder).sheet({"dataset": "digits", "variant": "full", "seed": 0}, "samples")
    assert sheet.images.shape == (1, 16, 8, 8, 3)
    np.testing.assert_array_equal(sheet.images[..., 1], grey[:, :, 0])
    figure = pictures.samples(loaded(folder), "digits", tmp_path)
    with Image.open(figure.path) as picture:
        colours = np.asarray(picture.convert("RGB")).astype(int)
    assert (colours.max(axis=-1) == colours.min(axis=-1)).all()


def test_what_relative_position_learned_has_a_scale(project, tmp_path):
    figure = pictures.relative_positions(loaded(project), "digits", tmp_path)
    assert "range ±" in figure.alt
    with Image.open(figure.path) as picture:
        colours = {pixel for _, pixel in picture.convert("RGB").getcolors(1 << 16)}
    assert len(colours) > 100  # of the scale


def test_the_diagram_is_drawn_from_the_plan_for_transformers_alone(tmp_path):
    boxes = architecture.generator_boxes(TRANSFORMER)
    assert [box[0] for box in boxes] == ["noise", "linear", "8 x 8", "8 x 8", "linear"]
    assert {"width 24", "1 block, grid 4"} <= {*boxes[2][1]} and "pixel shuffle, then" in boxes[3][1]
    image, stage, cls, _ = architecture.discriminator_boxes(TRANSFORMER)
    assert stage[2] == "patches of 2, 48 wide" and not image[2] and cls == ("[cls] first", ["2 blocks"], "")
    for network in (CNN, None, {}):
        assert architecture.diagram(network, "full", "digits", tmp_path, "a plan") is None
    drawn = architecture.diagram(TRANSFORMER, "full", "digits", tmp_path, "a plan")
    assert "patches of 2" in drawn.alt and drawn.path.is_file()
