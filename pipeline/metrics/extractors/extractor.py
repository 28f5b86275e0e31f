"""What every evaluating network looks like to the metrics: uint8 images in, features and perhaps logits out."""

from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from pipeline.base.machine import device_of, replicas, shared_out

DTYPE = "float32 features, float64 statistics"


def best_device() -> torch.device:
    """A GPU where there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@dataclass(frozen=True)
class Features:
    """Images as one network sees them: features (n, d), logits (n, classes), or why there are none."""

    features: np.ndarray
    logits: np.ndarray | None = None
    no_logits: str | None = field(default=None, kw_only=True)

    def rows(self, index: np.ndarray | slice) -> "Features":
        """A selection of the images."""
        return replace(self, features=self.features[index], logits=None if self.logits is None else self.logits[index])


@dataclass(frozen=True, kw_only=True)
class Extractor:
    """A network in evaluation mode with the facts that a value measured by it carries.

    `network` maps images (B, C, H, W) uint8 on its own device to features (B, d) and, where it has any, logits
    (B, classes). It resizes images itself, and `resize` says how.
    """

    name: str
    sha256: str  # of its weights' file
    features: int  # d
    resize: str  # in words; none where images are read as they are
    network: nn.Module
    no_logits: str | None = None  # why it has none
    largest: int = 10_000  # images at a time at most, whatever is asked for: memory

    def extract(self, images: np.ndarray, batch: int, *, what: str = "images") -> Features:
        """Features (N, d) and logits (N, classes), float32, of uint8 images (N, C, H, W), which may be memory-mapped.

        Computed on every visible GPU; a progress bar calls the images `what`. Features of 200,000 images at d = 2,048
        take 1.7 GB of memory.
        """
        arrays: list[np.ndarray] = []
        step, done = min(batch, self.largest), 0
        parts = (np.array(images[start : start + step]) for start in range(0, len(images), step))
        # The 10-bit products that convolutions on a GPU use by default move a feature in its third digit.
        with (
            torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False),
            tqdm(total=len(images), desc=f"{self.name}: {what}", disable=None) as bar,
        ):
            for found in shared_out(replicas(self.network), _forward, parts):
                arrays = arrays or [np.empty((len(images), part.shape[1]), np.float32) for part in found]
                for array, part in zip(arrays, found, strict=True):
                    array[done : done + len(part)] = part
                done += len(found[0])
                bar.update(len(found[0]))
        return Features(*arrays, no_logits=self.no_logits)


@torch.inference_mode()
def _forward(network: nn.Module, images: np.ndarray) -> list[np.ndarray]:
    found = network(torch.from_numpy(images).to(device_of(network)))
    return [array.cpu().numpy() for array in found if array is not None]
