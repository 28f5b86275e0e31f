"""Glyph metrics: floors whose answer is known, a decoder that is a network to the rest, exact errors."""

import numpy as np
import pytest
from PIL import Image

from pipeline.base.errors import UserError
from pipeline.base.files import read_json, write_json
from pipeline.data.array import write_dataset
from pipeline.data.glyphs import GROUNDS, HUES, Glyphs
from pipeline.generators import library
from pipeline.generators.write_images import write_folder
from pipeline.metrics import glyphs as metrics
from pipeline.metrics.config import ReferencePlan
from pipeline.metrics.extractors.extractor import load_reference
from pipeline.metrics.extractors.own import load_decoder
from pipeline.metrics.reference import build_reference
from pipeline.metrics.registry import parse
from pipeline.metrics.suite import measure

COUNT = 1200
NAMES = ["valid_glyphs", "modes_glyphs", "kl_glyphs", "memorised_glyphs"]


def drawn(seed, count=COUNT, pairs=False):
    return np.concatenate(list(Glyphs(16, pairs=pairs).chunks(count, seed)))


def settings(metrics):
    sizes = {"splits": None, "subsets": None, "subset_size": None}
    return ReferencePlan(metrics=metrics, threads=1, weights=None, digits_classifier=None, **sizes)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """(pairs) -> the reference of a small data set, and its known answers."""

    def make(pairs):
        folder = tmp_path_factory.mktemp("glyphs")
        kind = "glyphs_pairs" if pairs else "glyphs"
        facts = {"dataset": kind, "data": {"source": kind}, "split": "seed 0", "test_split": "seed 1", "resize": "none"}
        train, test = (drawn(seed, pairs=pairs) for seed in (0, 1))
        write_dataset(folder / "data", train, None, facts, test=test)
        names = [*NAMES, "agree_glyphs"] if pairs else NAMES
        known = build_reference(settings(names), data=str(folder / "data"), out=str(folder / "reference"))
        return load_reference(folder / "reference"), known, folder / "reference"

    return {pairs: make(pairs) for pairs in (False, True)}


def measured(built, images, *names, pairs=False):
    reference = built[pairs][0]
    samples = {"glyphs_decoder": reference.extractors["glyphs_decoder"].extract(images, 500)}
    return measure(settings(list(names or NAMES)), reference.real, samples)[0]


def test_real_images_are_valid_and_spread_as_a_perfect_sampler_does(built):
    values = measured(built, drawn(7))
    assert values["valid_glyphs_90"] > 0.99 and values["valid_glyphs_50"] == 1
    for name, (mean, spread) in perfect(built, "modes_glyphs", "kl_glyphs", "memorised_glyphs").items():
        assert values[name] == pytest.approx(mean, abs=4 * spread), name


def perfect(built, *names):
    width = built[False][0].real["glyphs_decoder", "train"].features.shape[1]
    found = {}
    for name in names:
        protocol = parse(name)
        found |= dict(zip(protocol.values, protocol.formula.perfect(COUNT, width), strict=True))
    return found


def test_known_answers_stand_in_the_reference(built):
    known = built[False][1]
    assert known["valid_glyphs_50_noise"] == known["modes_glyphs_noise"] == 0
    assert known["kl_glyphs_noise"] == known["kl_glyphs_constant"] == pytest.approx(np.log(480))
    assert known["valid_glyphs_90_blurred"] < 0.05 < 0.99 < known["valid_glyphs_90_test"]
    assert known["memorised_glyphs_memorised"] == 1 and known["memorised_glyphs_halves"] > 0.4
    cells = known["modes_glyphs_memorised"] * 480
    assert cells == pytest.approx(480 * (1 - (479 / 480) ** 100), abs=12)  # 90 of 480, whatever their number
    assert known["modes_glyphs_one_image"] == 1 / 480 and known["memorised_glyphs_test"] == 0


def test_half_the_shapes_are_half_the_cells(built):
    glyphs, random = Glyphs(16), np.random.default_rng(3)
    factors = glyphs.sample(6000, random)
    factors = factors[factors[:, glyphs.column("shape")] < 5]
    values = measured(built, glyphs.render(factors, random))
    assert values["modes_glyphs"] == pytest.approx(0.5, abs=0.01) and values["valid_glyphs_90"] > 0.99
    assert values["kl_glyphs_shape"] == pytest.approx(np.log(2), abs=0.01) and values["kl_glyphs_hue"] < 0.01


def test_pairs_agree_where_they_are_real_and_by_chance_where_they_are_shuffled(built):
    glyphs, random = Glyphs(16, pairs=True), np.random.default_rng(3)
    factors = glyphs.sample(COUNT, random)
    real = measured(built, glyphs.render(factors, random), "agree_glyphs", pairs=True)
    assert real["agree_glyphs"] == 1 and real["kappa_glyphs"] == 1
    factors[:, glyphs.column("shape_2")] = random.permutation(factors[:, glyphs.column("shape_2")])
    shuffled = measured(built, glyphs.render(factors, random), "agree_glyphs", "kl_glyphs", pairs=True)
    assert shuffled["agree_glyphs"] == pytest.approx(0.1, abs=0.04) and shuffled["kl_glyphs_hue"] < 0.02
    assert shuffled["kappa_glyphs"] == pytest.approx(0, abs=0.04)
    with pytest.raises(UserError, match="agree_glyphs: given images of one glyph; allowed: glyphs_pairs"):
        measured(built, drawn(7, 10), "agree_glyphs")


class Silent:
    """A generator of random numbers for `Glyphs.render` that adds no noise."""

    def normal(self, mean, deviation, shape):
        return np.zeros(shape)


def read_again(images):
    """Images (N, H, W, 3) read by another way than the decoder's: a straight line through ink and colour, mask by mask.

    Returns the factors (N, 4) and the explained share (N,). Masks are those of images drawn without noise.
    """
    kinds = np.array([(shape, place, 0, 0) for shape in range(10) for place in range(4)])
    plain = Glyphs(16).render(kinds, Silent()).astype(float)
    colour = HUES[0][None, :, None, None] - GROUNDS[0][None, :, None, None]
    masks = ((plain - GROUNDS[0][None, :, None, None]) / colour).mean(1).reshape(len(kinds), -1)
    factors, explained = [], []
    for image in images.reshape(len(images), -1, 3).astype(float):
        total = ((image - image.mean(0)) ** 2).sum()
        lines = [np.polynomial.polynomial.polyfit(mask, image, 1, full=True) for mask in masks]
        left = [float(found[0].sum()) for _, found in lines]
        best = int(np.argmin(left))
        ground, slope = lines[best][0]
        hue, paper = (
            int(np.linalg.norm(np.asarray(palette) - colour, axis=1).argmin())
            for palette, colour in ((HUES, ground + slope), (GROUNDS, ground))
        )
        factors.append((*kinds[best, :2], hue, paper))
        explained.append(1 - left[best] / total)
    return np.array(factors), np.array(explained)


def test_another_decoder_reads_the_same_from_the_pictures_of_the_published_generator(built, tmp_path):
    drawn_images = library.load_generator("glyphs/full").sample(200, seed=3)
    write_folder(tmp_path / "drawn", iter(drawn_images), [f"{number:03}.png" for number in range(200)])
    images = np.stack([np.asarray(Image.open(file)) for file in sorted((tmp_path / "drawn").iterdir())])
    factors, explained = read_again(images)
    values = measured(built, images.transpose(0, 3, 1, 2), "valid_glyphs", "modes_glyphs", "kl_glyphs")
    for level in (50, 70, 90):
        assert values[f"valid_glyphs_{level}"] == pytest.approx((explained > level / 100).mean(), abs=0.0051)
    read = factors[explained > 0.7]
    assert values["modes_glyphs"] == pytest.approx(len(np.unique(read, axis=0)) / 480, abs=2 / 480)
    for column, (name, size) in enumerate((("shape", 10), ("place", 4), ("hue", 6), ("ground", 2))):
        shares = np.bincount(read[:, column], minlength=size) / len(read)
        divergence = sum(share * np.log(share * size) for share in shares if share)
        assert values[f"kl_glyphs_{name}"] == pytest.approx(divergence, abs=0.02)


def test_pairs_that_agree_because_one_shape_is_drawn_most_are_told_from_pairs_that_know_each_other(built):
    """The first trained pairs agreed to 0.7, nearly all of it by chance: their blobs were read as an 8."""
    glyphs, random = Glyphs(16, pairs=True), np.random.default_rng(3)
    factors = glyphs.sample(COUNT, random)
    for name in ("shape", "shape_2"):
        factors[:, glyphs.column(name)] = np.where(random.random(COUNT) < 0.8, 8, factors[:, glyphs.column(name)])
    values = measured(built, glyphs.render(factors, random), "agree_glyphs", pairs=True)
    first, second = (factors[:, glyphs.column(name)] for name in ("shape", "shape_2"))
    table = np.histogram2d(first, second, bins=np.arange(11) - 0.5)[0]
    expected = table.sum(1, keepdims=True) * table.sum(0) / COUNT
    different = 1 - np.eye(10)
    assert values["agree_glyphs"] > 0.6
    assert values["kappa_glyphs"] == pytest.approx(1 - (table * different).sum() / (expected * different).sum())
    factors[:, [glyphs.column("shape"), glyphs.column("shape_2")]] = 8
    assert measured(built, glyphs.render(factors, random), "agree_glyphs", pairs=True)["kappa_glyphs"] == 0


@pytest.mark.parametrize(("count", "size"), [(50, 10), (300, 4), (200, 480)])
def test_a_perfect_samplers_values_are_exact(count, size):
    random = np.random.default_rng(0)
    draws = random.integers(size, size=(2000, count))
    covered = np.array([len(np.unique(row)) / size for row in draws])
    divergence = np.array([metrics.divergence(row, size) for row in draws])
    pairs = (covered, metrics.covered(count, size)), (divergence, metrics.uniform_divergence(count, size))
    for values, (mean, spread) in pairs:
        assert values.mean() == pytest.approx(mean, abs=4 * values.std() / 2000**0.5 + 1e-12)
        assert values.std() == pytest.approx(spread, rel=0.08, abs=1e-6)


def test_another_font_is_refused(built, tmp_path):
    path = built[False][2] / "glyphs_decoder.json"
    write_json(tmp_path / path.name, read_json(path) | {"drawn_sha256": "0" * 64})
    with pytest.raises(UserError, match="font is drawn otherwise here; prepare the data set and its reference again"):
        load_decoder("glyphs_decoder", tmp_path / path.name)


def test_images_that_are_no_glyphs_are_refused(tmp_path):
    write_dataset(tmp_path / "data", drawn(0, 40), None, {"dataset": "faces", "split": "all", "resize": "none"})
    with pytest.raises(UserError, match="glyphs_decoder: the images of faces are no glyphs; take its metrics out"):
        build_reference(settings(["valid_glyphs"]), data=str(tmp_path / "data"), out=str(tmp_path / "reference"))
