"""What every evaluating network looks like to the metrics: uint8 images in, features and perhaps logits out."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from pipeline.base.arrays import NpyWriter
from pipeline.base.errors import UserError
from pipeline.base.files import atomic_write
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
        logits = None if self.logits is None else np.asarray(self.logits[index])
        return Features(np.asarray(self.features[index]), logits, no_logits=self.no_logits)


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

    def extract(self, images: np.ndarray, batch: int) -> Features:
        """Features (N, d) and logits (N, classes), float32, of uint8 images (N, C, H, W)."""
        columns = zip(*self._batches(images, batch), strict=True)
        return Features(*map(np.concatenate, columns), no_logits=self.no_logits)

    def extract_to(self, images: np.ndarray, batch: int, folder: Path, *, what: str, logits: bool = True) -> Features:
        """The same through features.npy and logits.npy in `folder`, memory-mapped, so that memory holds one batch.

        `what` names the images in the progress bar. Errors: `UserError` where the disk refuses.
        """
        paths = [folder / "features.npy", *([folder / "logits.npy"] if logits else [])]
        writers: dict[Path, NpyWriter] = {}
        try:
            with ExitStack() as stack, tqdm(total=len(images), desc=f"{self.name}: {what}", disable=None) as bar:
                for arrays in self._batches(images, batch):
                    for path, array in zip(paths, arrays, strict=False):
                        if path not in writers:
                            file = stack.enter_context(atomic_write(path))
                            writers[path] = stack.enter_context(NpyWriter(file, np.float32))
                        writers[path].write(array)
                    bar.update(len(arrays[0]))
                for writer in writers.values():
                    writer.close()
        except OSError as problem:
            raise UserError(
                f"{folder}: features of {len(images):,} images could not be written ({problem.strerror or problem}); "
                "make room there, or let TMPDIR name a folder with more"
            ) from None
        mapped = [np.load(path, mmap_mode="r", allow_pickle=False) for path in writers]
        return Features(*mapped, no_logits=self.no_logits)

    def _batches(self, images: np.ndarray, batch: int) -> Iterator[list[np.ndarray]]:
        """Features, and logits where there are any, of one batch after the other, computed on every visible GPU."""
        step = min(batch, self.largest)
        parts = (np.array(images[start : start + step]) for start in range(0, len(images), step))
        # The 10-bit products that convolutions on a GPU use by default move a feature in its third digit.
        with torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False):
            yield from shared_out(replicas(self.network), _forward, parts)


@torch.inference_mode()
def _forward(network: nn.Module, images: np.ndarray) -> list[np.ndarray]:
    found = network(torch.from_numpy(images).to(device_of(network)))
    return [array.cpu().numpy() for array in found if array is not None]
