"""The Inception network of FID, KID, Inception score and precision/recall, with the two resizes the field uses.

`inception_legacy`: torch-fidelity's bilinear resize, which is TensorFlow 1's, as in the original FID and the papers
before 2022. `inception_clean`: clean-fid's antialiased bicubic resize on floats (Parmar et al. 2022). The network is
the same.
"""

import hashlib
import io
import warnings
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
from torch_fidelity.interpolate_compat_tensorflow import interpolate_bilinear_2d_like_tensorflow1x

from pipeline.base.errors import UserError
from pipeline.metrics.extractor import Extractor
from pipeline.metrics.weights import FIDELITY, PACKAGED, Weights

SIDE = 299
FEATURES = 2048
LARGEST = 64  # images at a time: their activations take about a gigabyte
LAYERS = (
    "Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "MaxPool_1", "Conv2d_3b_1x1", "Conv2d_4a_3x3", "MaxPool_2",
    "Mixed_5b", "Mixed_5c", "Mixed_5d", "Mixed_6a", "Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e",
    "Mixed_7a", "Mixed_7b", "Mixed_7c", "AvgPool",
)  # fmt: skip


def _tensorflow(image: Tensor, size: tuple[int, int]) -> Tensor:
    return interpolate_bilinear_2d_like_tensorflow1x(image, size=size, align_corners=False)


def _pillow(image: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(image, size=size, mode="bicubic", antialias=True, align_corners=False)


@lru_cache(maxsize=8)
def _matrix(resize: Callable[[Tensor, tuple[int, int]], Tensor], side: int, device: torch.device) -> Tensor:
    """(299, side): what a resize does to one side of an image, from what it does to the unit matrix."""
    return resize(torch.eye(side, device=device)[None, None], (SIDE, side))[0, 0]


def _resized(images: Tensor, resize: Callable[[Tensor, tuple[int, int]], Tensor]) -> Tensor:
    """Images (B, C, H, W) resized to 299 by two matrix products: both resizes are linear, one side after the other.

    This takes a tenth of the time of the functions themselves.
    """
    rows, columns = (_matrix(resize, side, images.device) for side in images.shape[-2:])
    return rows @ images @ columns.t()


def resize_legacy(images: Tensor) -> Tensor:
    """Floats 0..255 (B, 3, H, W) -> (B, 3, 299, 299): bilinear without antialiasing, corners as in TensorFlow 1."""
    return _resized(images, _tensorflow)


def resize_clean(images: Tensor) -> Tensor:
    """Floats 0..255 (B, 3, H, W) -> (B, 3, 299, 299): Pillow's bicubic filter, not rounded, clipped, as in clean-fid.

    Pillow itself is not used: this is the same filter to 0.01 of a level, on whole batches and on a GPU.
    """
    return _resized(images, _pillow).clamp_(0, 255)


RESIZES: dict[str, tuple[Callable[[Tensor], Tensor], str]] = {
    "inception_legacy": (resize_legacy, "bilinear as in TensorFlow 1 to 299 (torch-fidelity)"),
    "inception_clean": (resize_clean, "antialiased bicubic to 299 (clean-fid)"),
}


class Inception(nn.Module):
    """Images (B, 3, H, W) uint8 -> features (B, 2048) and logits (B, 1008) without bias, as the score defines them.

    `body` takes (B, 3, 299, 299) in [-1, 127/128]; `head` is the last layer's weight (1008, 2048) or None.
    """

    def __init__(self, resize: Callable[[Tensor], Tensor], body: nn.Module, head: Tensor | None) -> None:
        super().__init__()
        self.resize, self.body = resize, body
        self.head: Tensor | None
        self.register_buffer("head", head)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        # In place: what a resize returns is its own, and memory is slower than arithmetic.
        pixels = self.resize(images.float()).sub_(128).div_(128)
        # Channels last: a CPU's convolutions take a sixth less time.
        features = self.body(pixels.contiguous(memory_format=torch.channels_last)).flatten(1)
        return features, None if self.head is None else features @ self.head.t()


def load_inception(extractor: str, path: Path, weights: Weights) -> Extractor:
    """The network of one of the known files, on a GPU where there is one.

    The file is read once, and what was read is checked. Two of them are TorchScript. One is a torch pickle that must
    hold tensors alone before torch-fidelity reads it. Errors: `UserError` where the file is not what it was.
    """
    content = path.read_bytes()
    if (found := hashlib.sha256(content).hexdigest()) != weights.sha256:
        raise UserError(
            f"{path}: sha256 is {found}, recorded was {weights.sha256}; the file is damaged or was replaced"
        )
    body, head = _network(content, weights)
    resize, words = RESIZES[extractor]
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network = Inception(resize, body, head).requires_grad_(False).eval().to(device)
    return Extractor(
        name=extractor,
        sha256=weights.sha256,
        features=FEATURES,
        resize=words,
        network=network,
        no_logits=weights.no_logits,
        largest=LARGEST,
    )


def _network(content: bytes, weights: Weights) -> tuple[nn.Module, Tensor | None]:
    if weights == FIDELITY:
        torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        return from_fidelity(
            FeatureExtractorInceptionV3("inception", ["2048"], feature_extractor_weights_path=io.BytesIO(content))
        )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*torch.jit.load.*")
        script = torch.jit.load(io.BytesIO(content), map_location="cpu")
    # Both scripts hold the network twice. `layers` is the one without a resize; the packaged script runs it as it is.
    return (script if weights == PACKAGED else script.layers), None


def from_fidelity(network: FeatureExtractorInceptionV3) -> tuple[nn.Module, Tensor]:
    """torch-fidelity's network without its resize, and its last layer: its `2048` and `logits_unbiased`."""
    return nn.Sequential(*(getattr(network, name) for name in LAYERS)), network.fc.weight.detach()
