"""Which image is shown when, and what the networks see of it (the quantisation itself: tests/base/test_images.py)."""

import numpy as np
import pytest
import torch

from pipeline.base.errors import UserError
from pipeline.base.images import to_uint8
from pipeline.training.data import RealImages, subset

COUNT = 10


def dataset(seed=0, flip=False, count=COUNT):
    """`count` images of 1 x 1 pixel whose value is their index."""
    return RealImages(
        np.arange(count, dtype=np.uint8).reshape(count, 1, 1, 1), seed=seed, flip=flip, device=torch.device("cpu")
    )


def shown(data, position, size):
    batch = data.batch(position, size)
    assert batch.shape == (size, 1, 1, 1)
    return to_uint8(batch).flatten().tolist()


# ---- order ----
def test_every_epoch_shows_every_image_once_in_an_order_of_its_own():
    data = dataset()
    epochs = [shown(data, epoch * COUNT, COUNT) for epoch in range(6)]
    assert all(sorted(epoch) == list(range(COUNT)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 6


@pytest.mark.parametrize("size", [1, 3, 7, 10, 13, 35])
def test_batches_of_any_size_cut_the_same_sequence(size):
    sequence = [image for position in range(70) for image in shown(dataset(), position, 1)]
    data = dataset()
    assert [image for position in range(0, 70 - size + 1, size) for image in shown(data, position, size)] == sequence[
        : 70 // size * size
    ]


def test_the_position_alone_decides():
    used = dataset()
    for position in (38, 5, 61, 5, 0):  # back and forth, within and across epochs
        assert shown(used, position, 8) == shown(dataset(), position, 8)
        torch.rand(3)  # nor does the global generator have a part in it


def test_another_seed_is_another_order():
    orders = {tuple(shown(dataset(seed), 0, COUNT)) for seed in range(20)}
    assert len(orders) == 20


def test_every_image_is_equally_likely_at_every_place(uniform):
    data, counts = dataset(), np.zeros((COUNT, COUNT))
    for epoch in range(1000):
        counts[range(COUNT), shown(data, epoch * COUNT, COUNT)] += 1
    assert uniform(counts.flatten())


def test_a_seed_made_of_a_date_and_time_is_a_seed():
    assert sorted(shown(dataset(seed=20261122133000), 0, COUNT)) == list(range(COUNT))


# ---- pixels ----
def test_images_are_shown_as_they_are_without_flips(images):
    data = RealImages(images, seed=3, flip=False, device=torch.device("cpu"))
    batch = data.batch(0, len(images))
    expected = {(image.astype(np.float32) / np.float32(127.5) - 1).tobytes() for image in images}
    assert {image.numpy().tobytes() for image in batch} == expected


def test_half_of_the_images_are_mirrored_left_to_right_each_by_its_own_draw():
    images = np.arange(6, dtype=np.uint8).reshape(1, 1, 2, 3).repeat(3, axis=1)
    data = RealImages(images, seed=0, flip=True, device=torch.device("cpu"))
    plain, mirrored = torch.from_numpy(images[0]), torch.from_numpy(images[0, :, :, ::-1].copy())
    flips = []
    for step in range(20):
        for image in to_uint8(data.batch(step * 50, 50)):
            flips.append(torch.equal(image, mirrored))
            assert flips[-1] or torch.equal(image, plain)
    assert abs(sum(flips) / 1000 - 0.5) < 0.07
    pairs = [one == other for one, other in zip(flips, flips[1:], strict=False)]
    assert abs(sum(pairs) / 999 - 0.5) < 0.07


def test_a_read_only_mapped_file_is_indexed_where_it_lies_and_batches_are_copies(tmp_path, images):
    np.save(tmp_path / "images.npy", images)
    mapped = np.load(tmp_path / "images.npy", mmap_mode="r")
    data = RealImages(mapped, seed=0, flip=True, device=torch.device("cpu"))
    assert data.images is mapped
    data.batch(0, 8).zero_()
    assert np.array_equal(mapped, images)


def test_a_subset_is_part_of_every_larger_one_and_more_than_there_are_is_refused():
    images = np.arange(50, dtype=np.uint8)[:, None, None, None]
    small, large = (set(subset(images, count).ravel().tolist()) for count in (10, 30))
    assert len(small) == 10 and small < large and subset(images, None) is images
    assert np.array_equal(subset(images, 50), images) and small != set(range(10))
    with pytest.raises(UserError, match="train.images: given 51; allowed: at most 50"):
        subset(images, 51)
