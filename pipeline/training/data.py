"""Real images on the device, and the order they are shown in."""

from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor

from pipeline.base.errors import UserError
from pipeline.base.images import to_float

SHARE = 0.25  # of a GPU's free memory, at most, holds images; larger data sets stay on the host


class RealImages:
    """The whole dataset as uint8; batches are indexed, flipped and normalised where they are used.

    On a GPU it lies in the GPU's memory. Where it would take more than a quarter of what is free there, it stays on the
    host: a thread gathers the batch that comes next, in pinned memory, while this one is computed with. On a CPU the
    memory-mapped file is indexed as it is, and need not fit in memory.

    The order is a fresh permutation per epoch, a function of (seed, epoch) alone: the n-th image shown depends on n and
    the seed and on nothing that happened before, so that a position is all a resumed run has to know.
    """

    def __init__(self, images: np.ndarray, *, seed: int, flip: bool, device: torch.device):
        self.resident = device.type == "cuda" and images.nbytes <= SHARE * torch.cuda.mem_get_info(device)[0]
        self.images = torch.tensor(images, device=device) if self.resident else images
        self.seed, self.flip, self.device = seed, flip, device
        self.epoch, self.order = -1, torch.empty(0, dtype=torch.long)
        self.next: tuple[int, int, Future[Tensor]] | None = None  # position and size of the batch being gathered
        self.worker = ThreadPoolExecutor(1) if device.type == "cuda" and not self.resident else None

    def batch(self, position: int, size: int) -> Tensor:
        """Images number `position` .. `position + size - 1` of the run, (size, C, H, W) float in [-1, 1]."""
        if self.worker is None:
            chosen = self._gather(position, size)
        else:
            if self.next is None or self.next[:2] != (position, size):
                self.next = position, size, self.worker.submit(self._gather, position, size)
            chosen = self.next[2].result().to(self.device, non_blocking=True)
            self.next = position + size, size, self.worker.submit(self._gather, position + size, size)
        images = to_float(chosen)
        if self.flip:
            flipped = torch.rand(size, 1, 1, 1, device=self.device) < 0.5
            images = torch.where(flipped, images.flip(-1), images)
        return images

    def _gather(self, position: int, size: int) -> Tensor:
        """uint8 images (size, C, H, W): on the GPU where the data set is, else on the host."""
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
            return self.images[indices]
        chosen = torch.from_numpy(self.images[indices.numpy()])
        return chosen.pin_memory() if self.worker else chosen


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
