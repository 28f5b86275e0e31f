"""Real images on the device, and the order they are shown in."""

import numpy as np
import torch
from torch import Tensor

from pipeline.base.images import to_float

CHUNK = 1024  # images copied to a GPU at a time


class RealImages:
    """The whole dataset as uint8 where it is used; batches are indexed, flipped and normalised there.

    On a GPU it lies in the GPU's memory; on a CPU the memory-mapped file is indexed as it is, and need not fit in
    memory.

    The order is a fresh permutation per epoch, a function of (seed, epoch) alone: the n-th image shown depends on n and
    the seed and on nothing that happened before, so that a position is all a resumed run has to know.
    """

    def __init__(self, images: np.ndarray, *, seed: int, flip: bool, device: torch.device):
        self.images = images if device.type == "cpu" else resident(images, device)
        self.seed, self.flip, self.device = seed, flip, device
        self.epoch, self.order = -1, torch.empty(0, dtype=torch.long)

    def batch(self, position: int, size: int) -> Tensor:
        """Images number `position` .. `position + size - 1` of the run, (size, C, H, W) float in [-1, 1]."""
        indices = torch.cat([self._run(position + done, size - done) for done in self._starts(position, size)])
        chosen = torch.from_numpy(self.images[indices.numpy()]) if self.device.type == "cpu" else self.images[indices]
        images = to_float(chosen)
        if self.flip:
            flipped = torch.rand(size, 1, 1, 1, device=self.device) < 0.5
            images = torch.where(flipped, images.flip(-1), images)
        return images

    def _starts(self, position: int, size: int) -> list[int]:
        """Offsets within the batch at which an epoch's order has to be looked up."""
        count = len(self.images)
        first = min(size, count - position % count)
        return [0, *range(first, size, count)]

    def _run(self, position: int, most: int) -> Tensor:
        epoch, place = divmod(position, len(self.images))
        if epoch != self.epoch:
            generator = torch.Generator().manual_seed((self.seed * 1_000_003 + epoch) % 2**63)
            # On the device once an epoch: an index that comes from the host would make every step wait.
            self.epoch, self.order = epoch, torch.randperm(len(self.images), generator=generator).to(self.device)
        return self.order[place : place + most]


def resident(images: np.ndarray, device: torch.device) -> Tensor:
    """The images in the device's memory, copied piece by piece so that the host never holds them all."""
    copy = torch.empty(images.shape, dtype=torch.uint8, device=device)
    for start in range(0, len(images), CHUNK):
        copy[start : start + CHUNK] = torch.from_numpy(np.array(images[start : start + CHUNK]))
    return copy
