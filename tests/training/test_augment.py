"""What all operations share, and DiffAug's own, from what comes out alone: no test relies on the order of random
draws.
"""

import math

import numpy as np
import pytest
import torch

from pipeline.training import augment as module
from pipeline.training.augment import OPERATIONS, augment

ALL = list(OPERATIONS)


def use(name, images, config):
    """The operation of that name alone."""
    return augment(images, config.model_copy(update={"policy": [name]}))


# ---- every operation ----
def always(augmentation):
    return augmentation(cutout_probability=1.0, erase_probability=1.0, hue_probability=1.0, filter_probability=1.0)


@pytest.mark.parametrize("name", ALL)
def test_shape_and_type_are_kept_and_the_seed_decides(augmentation, name):
    images = torch.rand(6, 3, 8, 8, dtype=torch.float64) * 2 - 1
    before = images.clone()
    results = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        results.append(use(name, images, always(augmentation)))
    assert results[0].shape == images.shape and results[0].dtype == images.dtype
    assert torch.equal(results[0], results[1]) and not torch.equal(results[0], results[2])
    assert torch.equal(images, before)


@pytest.mark.parametrize("name", ALL)
def test_each_image_of_a_batch_has_its_own_draw(augmentation, name):
    out = use(name, (torch.rand(1, 3, 16, 16) * 2 - 1).expand(40, -1, -1, -1), always(augmentation))
    # 40 draws among the fewest possible outcomes (49 shifts) are rarely under 20 different ones.
    assert len({tuple(image.flatten().tolist()) for image in out}) >= 20


@pytest.mark.parametrize("name", ALL)
def test_no_image_depends_on_the_other_images(augmentation, name):
    images = torch.rand(5, 3, 8, 8)
    others = torch.cat([images[:2], torch.randn(3, 3, 8, 8)])
    results = []
    for batch in (images, others):
        torch.manual_seed(1)
        results.append(use(name, batch, always(augmentation)))
    torch.testing.assert_close(results[0][:2], results[1][:2])
    assert not torch.equal(results[0][2:], results[1][2:])


@pytest.mark.parametrize("name", ALL)
def test_differentiable_twice(augmentation, name):
    images = torch.rand(2, 3, 4, 4, dtype=torch.float64, requires_grad=True)

    def fixed(x):
        torch.manual_seed(5)
        return use(name, x, always(augmentation)).sin()  # the operations are linear; sin gives a second derivative

    assert torch.autograd.gradcheck(fixed, (images,), fast_mode=True)
    assert torch.autograd.gradgradcheck(fixed, (images,), fast_mode=True)


def test_an_empty_policy_changes_nothing(augmentation):
    images = torch.randn(3, 3, 8, 8)
    assert torch.equal(augment(images, augmentation(policy=[])), images)


def test_operations_come_in_the_order_of_the_policy(augmentation):
    images, empty = torch.ones(64, 3, 8, 8), 0
    for policy in (["color", "translation"], ["translation", "color"]):
        out = augment(images, augmentation(policy=policy, translation_ratio=0.5))
        moved_in = torch.tensor([bool((image == 0).any()) for image in out])
        # What translation moved in is exactly 0; brightness, if it comes later, does not leave it so.
        assert moved_in.float().mean() > 0.8 if policy[-1] == "translation" else not moved_in.any()
        empty += int(moved_in.sum())
    assert empty


# ---- color ----
def test_color_is_brightness_saturation_and_contrast(augmentation, uniform):
    images = torch.rand(4000, 3, 6, 6, dtype=torch.float64) * 2 - 1
    out = augment(images, augmentation(policy=["color"]))
    # Saturation keeps a pixel's grey and contrast the image's mean, so the three numbers can be read off the result.
    mean, grey = images.mean((1, 2, 3), keepdim=True), images.mean(1, keepdim=True)
    mean_out, grey_out = out.mean((1, 2, 3), keepdim=True), out.mean(1, keepdim=True)
    brightness = mean_out - mean
    contrast = ((grey_out - mean_out) * (grey - mean)).sum((1, 2, 3), keepdim=True) / (grey - mean).square().sum(
        (1, 2, 3), keepdim=True
    )
    both = ((out - grey_out) * (images - grey)).sum((1, 2, 3), keepdim=True) / (images - grey).square().sum(
        (1, 2, 3), keepdim=True
    )
    saturation = both / contrast
    torch.testing.assert_close(
        out, mean + brightness + contrast * (grey - mean) + contrast * saturation * (images - grey)
    )
    for drawn, low, high in ((brightness, -0.5, 0.5), (saturation, 0.0, 2.0), (contrast, 0.5, 1.5)):
        assert low - 1e-9 <= drawn.min() and drawn.max() <= high + 1e-9
        assert uniform(np.histogram(drawn.flatten().numpy(), bins=20, range=(low, high))[0])


def test_color_does_not_clamp(augmentation):
    assert augment(torch.ones(50, 3, 4, 4), augmentation(policy=["color"])).max() > 1.2


# ---- translation ----
def moved(image: np.ndarray, down: int, right: int) -> np.ndarray:
    """`image` (H, W) shifted by whole pixels, 0 moving in."""
    height, width = image.shape
    result = np.zeros_like(image)
    for y in range(height):
        for x in range(width):
            if 0 <= y - down < height and 0 <= x - right < width:
                result[y, x] = image[y - down, x - right]
    return result


def test_translation_reaches_every_whole_shift_within_its_bound_equally_often(augmentation, uniform):
    image = np.arange(1.0, 65).reshape(8, 8)
    # int(8 * 0.2 + 0.5) = 2 pixels at most; images are square.
    shifts = {moved(image, down, right).tobytes(): (down, right) for down in range(-2, 3) for right in range(-2, 3)}
    out = use("translation", torch.from_numpy(image).expand(3000, 2, 8, 8), augmentation(translation_ratio=0.2))
    assert torch.equal(out[:, 0], out[:, 1])
    found = [shifts[one.numpy().tobytes()] for one in out[:, 0]]
    counts = [found.count(shift) for shift in shifts.values()]
    assert min(counts) > 0 and uniform(counts)


def test_translation_by_nothing_is_the_identity(augmentation):
    images = torch.randn(4, 3, 8, 8)
    assert torch.equal(use("translation", images, augmentation(translation_ratio=0.0)), images)
    assert torch.equal(use("translation", images, augmentation(translation_ratio=0.06)), images)  # int(0.98) = 0 pixels


# ---- cutout and erase ----
def holes(images: torch.Tensor) -> list[tuple[range, range]]:
    """Rows and columns of the rectangle of zeros in each image that was all ones; fails where it is no rectangle."""
    found = []
    for image in images:
        zero = image == 0
        assert torch.equal(zero, zero[:1].expand_as(zero)) and bool((zero | (image == 1)).all())
        rows, columns = zero[0].any(1).nonzero().flatten().tolist(), zero[0].any(0).nonzero().flatten().tolist()
        assert int(zero[0].sum()) == len(rows) * len(columns) and rows
        assert rows == list(range(rows[0], rows[-1] + 1)) and columns == list(range(columns[0], columns[-1] + 1))
        found.append((range(rows[0], rows[-1] + 1), range(columns[0], columns[-1] + 1)))
    return found


@pytest.mark.parametrize(("side", "ratio", "size"), [(8, 0.5, 4), (6, 0.5, 3), (8, 0.3, 2)])
def test_cutout_is_a_square_with_a_uniform_centre_clipped_at_the_border(augmentation, uniform, side, ratio, size):
    # DiffAugment: pixels i + centre - size // 2 clamped to the image, centre in 0 .. side (odd sizes: side - 1).
    intervals = []
    for centre in range(side + 1 - size % 2):
        places = {min(max(i + centre - size // 2, 0), side - 1) for i in range(size)}
        intervals.append(range(min(places), max(places) + 1))
    found = holes(
        use("cutout", torch.ones(3000, 3, side, side), augmentation(cutout_ratio=ratio, cutout_probability=1.0))
    )
    for axis in (0, 1):
        seen = [intervals.index(hole[axis]) for hole in found]
        assert uniform(np.bincount(seen, minlength=len(intervals)))
    seen = [(intervals.index(rows), intervals.index(columns)) for rows, columns in found]
    assert abs(np.corrcoef(np.array(seen).T)[0, 1]) < 0.1


@pytest.mark.parametrize("operation", ["cutout", "erase"])
@pytest.mark.parametrize("probability", [0.0, 0.3, 1.0])
def test_a_batch_is_cut_whole_or_not_at_all(augmentation, operation, probability):
    settings, cut = augmentation(cutout_probability=probability, erase_probability=probability), 0
    for _ in range(600):
        touched = (use(operation, torch.ones(3, 1, 8, 8), settings) == 0).flatten(1).any(1)
        assert touched.all() or not touched.any()
        cut += bool(touched.all())
    assert abs(cut / 600 - probability) <= 4.5 * math.sqrt(probability * (1 - probability) / 600)


def test_erase_draws_height_and_width_once_per_batch_within_the_range(augmentation):
    sizes = []
    for _ in range(100):
        found = holes(
            use("erase", torch.ones(24, 1, 32, 32), augmentation(erase_range=[0.2, 0.7], erase_probability=1.0))
        )
        size = tuple(max(len(hole[axis]) for hole in found) for axis in (0, 1))
        for axis in (0, 1):
            inside = {len(hole[axis]) for hole in found if hole[axis].start > 0 and hole[axis].stop < 32}
            assert inside <= {size[axis]}  # only the border shortens a side
        sizes.append(size)
    sizes = np.array(sizes)
    # int(0.2 * 32 + 0.5) = 6 .. int(0.7 * 32 + 0.5) = 22 pixels, both drawn over the whole range, independently.
    assert sizes.min() in (6, 7) and sizes.max() in (21, 22)
    assert abs(np.corrcoef(sizes.T)[0, 1]) < 0.4


def test_the_derivative_of_a_translation_is_that_of_its_gather_to_the_second_order():
    images, gradient = (
        torch.randn(8, 3, 8, 8, dtype=torch.float64, requires_grad=True),
        torch.randn(8, 3, 8, 8).double(),
    )
    shift = torch.randint(-3, 4, (8, 2))
    first, second = [], []
    for translate in (module.apply_translation, module.translated):
        moved = translate(images.square(), shift)
        (one,) = torch.autograd.grad((moved * gradient).sum(), images, create_graph=True)
        first.append(one.detach())
        second.append(torch.autograd.grad(one.square().sum(), images)[0])
    assert torch.equal(*first) and torch.equal(*second) and first[0].any() and second[0].any()
