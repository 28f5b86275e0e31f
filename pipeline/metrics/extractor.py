"""What every evaluating network looks like to the metrics: uint8 images in, features and perhaps logits out."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from pipeline.base.files import atomic_write
from pipeline.base.npy import NpyWriter
from pipeline.base.parallel import device_of, replicas, shared_out

DTYPE = "float32 features, float64 statistics"


def best_device() -> torch.device:
    """A GPU where there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


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

    def extract(self, images: np.ndarray, batch: int) -> tuple[np.ndarray, np.ndarray | None]:
        """Features (N, d) and logits (N, classes), float32, of uint8 images (N, C, H, W)."""
        features, logits = zip(*self._pairs(images, batch), strict=True)
        return np.concatenate(features), None if logits[0] is None else np.concatenate(logits)

    def extract_to(self, images: np.ndarray, batch: int, *, features: Path, logits: Path | None, what: str) -> None:
        """The same, a batch at a time from a memory-mapped array into .npy files, so that memory holds one batch.

        `what` is what the progress bar says is being looked at; the bar also says how long that will take.
        """
        with (
            atomic_write(features) as temporary,
            tqdm(total=len(images), desc=f"{self.name}: {what}", unit="image", disable=None) as bar,
            ExitStack() as stack,
        ):
            rows = stack.enter_context(NpyWriter(temporary, (len(images), self.features), np.float32))
            classes: NpyWriter | None = None
            for part, scores in self._pairs(images, batch):
                rows.write(part)
                if logits is not None and scores is not None:
                    if classes is None:
                        shape = (len(images), scores.shape[1])
                        classes = stack.enter_context(NpyWriter(logits, shape, np.float32))
                    classes.write(scores)
                bar.update(len(part))
            for file in (rows, classes):
                if file is not None:
                    file.close()

    def step(self, batch: int) -> int:
        """Images at a time for a wanted `batch`: no more than the network takes."""
        return min(batch, self.largest)

    def _pairs(self, images: np.ndarray, batch: int) -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
        """Features and logits of a batch after the other, computed on every visible GPU."""
        step = self.step(batch)
        parts = (np.array(images[start : start + step]) for start in range(0, len(images), step))
        # The 10-bit products that convolutions on a GPU use by default move a feature in its third digit.
        with torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False):
            yield from shared_out(replicas(self.network), _forward, parts)


@torch.inference_mode()
def _forward(network: nn.Module, images: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    features, logits = network(torch.from_numpy(images).to(device_of(network)))
    return features.cpu().numpy(), None if logits is None else logits.cpu().numpy()
