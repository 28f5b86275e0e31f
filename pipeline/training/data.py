"""Real images on the device, and the order they are shown in."""

import numpy as np
import torch
from torch import Tensor

from pipeline.base.errors import UserError
from pipeline.base.images import to_float

SHARE = 0.25  # of a GPU's free memory, at most, holds images; larger data sets stay on the host


class RealImages:
    """The whole dataset as uint8; batches are indexed, flipped and normalised where they are used.

    On a GPU it lies in the GPU's memory. Where it would take more than a quarter of what is free there, it stays on the
    host, and on a CPU too: the memory-mapped file is indexed as it is, and need not fit in memory.

    The order is a fresh permutation per epoch, a function of (seed, epoch) alone: the n-th image shown depends on n and
    the seed and on nothing that happened before, so that a position is all a resumed run has to know.
    """

    def __init__(self, images: np.ndarray, *, seed: int, flip: bool, device: torch.device):
        self.resident = device.type == "cuda" and images.nbytes <= SHARE * torch.cuda.mem_get_info(device)[0]
        self.images = torch.tensor(images, device=device) if self.resident else images
        self.seed, self.flip, self.device = seed, flip, device
        self.epoch, self.order = -1, torch.empty(0, dtype=torch.long)

    def batch(self, position: int, size: int) -> Tensor:
        """Images number `position` .. `position + size - 1` of the run, (size, C, H, W) float in [-1, 1]."""
        parts, end = [], position + size
        while position < end:
            epoch, start = divmod(position, len(self.images))
            if epoch != self.epoch:
                generator = torch.Generator().manual_seed((self.seed * 1_000_003 + epoch) % 2**63)
                order = torch.randperm(len(self.images), generator=generator)
                # On the device once an epoch: an index that comes from the host would make every step wait.
                self.epoch, self.order = epoch, order.to(self.device) if self.resident else order
            parts.append(self.order[start : start + end - position])
            position += len(parts[-1])
        indices = torch.cat(parts)
        if isinstance(self.images, Tensor):
            images = to_float(self.images[indices])
        else:
            images = to_float(torch.from_numpy(self.images[indices.numpy()]).to(self.device))
        if self.flip:
            flipped = torch.rand(size, 1, 1, 1, device=self.device) < 0.5
            images = torch.where(flipped, images.flip(-1), images)
        return images


def subset(images: np.ndarray, count: int | None) -> np.ndarray:
    """`count` of the images, for experiments on the size of a data set; all of them for None.

    Which ones is the same for every seed of the training, and a smaller count takes some of a larger one's.
    Errors: `UserError` where there are fewer.
    """
    if count is None:
        return images
    if count > len(images):
        raise UserError(f"train.images: given {count}; allowed: at most {len(images)}, the training images; null: all")
    return images[np.sort(np.random.default_rng(0).permutation(len(images))[:count])]
