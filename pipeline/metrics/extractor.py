"""What every evaluating network looks like to the metrics: uint8 images in, features and perhaps logits out."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
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
    no_logits: str | None = None

    def rows(self, index: np.ndarray | slice) -> "Features":
        """A selection of the images."""
        logits = None if self.logits is None else np.asarray(self.logits[index])
        return Features(np.asarray(self.features[index]), logits, self.no_logits)


@dataclass(frozen=True, kw_only=True)
class Extractor:
    """A network in evaluation mode with the facts that a value measured by it carries.

    `network` maps images (B, C, H, W) uint8 on its own device to features (B, d) and logits (B, classes) or None. It
    resizes images itself, and `resize` says how.
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
        features, logits = zip(*self._pairs(images, batch), strict=True)
        scores = [part for part in logits if part is not None]
        return Features(np.concatenate(features), np.concatenate(scores) if scores else None, self.no_logits)

    def extract_to(self, images: np.ndarray, batch: int, folder: Path, *, what: str, logits: bool = True) -> Features:
        """The same through features.npy and logits.npy in `folder`, memory-mapped, so that memory holds one batch.

        `what` is what the progress bar says is being looked at; the bar also says how long that will take.
        Errors: `UserError` where the disk refuses.
        """
        files = {"features": folder / "features.npy"} | ({"logits": folder / "logits.npy"} if logits else {})
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with ExitStack() as stack, tqdm(total=len(images), desc=f"{self.name}: {what}", disable=None) as bar:
                opened: dict[str, NpyWriter] = {}
                for pair in self._pairs(images, batch):
                    for name, part in zip(("features", "logits"), pair, strict=True):
                        if part is not None and name in files:
                            if name not in opened:
                                path = stack.enter_context(atomic_write(files[name]))
                                shape = (len(images), part.shape[1])
                                opened[name] = stack.enter_context(NpyWriter(path, shape, np.float32))
                            opened[name].write(part)
                    bar.update(len(pair[0]))
                for file in opened.values():
                    file.close()
        except OSError as problem:
            raise UserError(
                f"{folder}: features of {len(images):,} images could not be written ({problem.strerror or problem}); "
                "make room there, or let TMPDIR name a folder with more"
            ) from None
        maps = {
            name: np.load(path, mmap_mode="r", allow_pickle=False) for name, path in files.items() if path.is_file()
        }
        return Features(maps["features"], maps.get("logits"), self.no_logits)

    def _pairs(self, images: np.ndarray, batch: int) -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
        """Features and logits of a batch after the other, computed on every visible GPU."""
        step = min(batch, self.largest)
        parts = (np.array(images[start : start + step]) for start in range(0, len(images), step))
        # The 10-bit products that convolutions on a GPU use by default move a feature in its third digit.
        with torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False):
            yield from shared_out(replicas(self.network), _forward, parts)


@torch.inference_mode()
def _forward(network: nn.Module, images: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    features, logits = network(torch.from_numpy(images).to(device_of(network)))
    return features.cpu().numpy(), None if logits is None else logits.cpu().numpy()
