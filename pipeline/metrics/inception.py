"""The Inception network of FID, KID and Inception score, with the two resizes the field uses, and VGG-16 of precision.

`inception_legacy`: torch-fidelity's bilinear resize, which is TensorFlow 1's, as in the original FID and the papers
before 2022. `inception_clean`: clean-fid's antialiased bicubic resize on floats (Parmar et al. 2022). The network is
the same. Both resizes are the libraries' functions.
"""

import hashlib
import io
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from cleanfid.resize import build_resizer
from torch import Tensor, nn
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
from torch_fidelity.feature_extractor_vgg16 import FeatureExtractorVGG16
from torch_fidelity.interpolate_compat_tensorflow import interpolate_bilinear_2d_like_tensorflow1x

from pipeline.base.errors import UserError
from pipeline.metrics.extractor import Extractor, best_device
from pipeline.metrics.registry import VGG
from pipeline.metrics.weights import FIDELITY, PACKAGED, VGG16, Weights

SIDE = 299
FEATURES, VGG_FEATURES = 2048, 4096
LARGEST = 64  # images at a time: their activations take about a gigabyte
RESIZERS = 4  # threads of the clean resize: Pillow takes 5 ms an image
LAYERS = (
    "Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "MaxPool_1", "Conv2d_3b_1x1", "Conv2d_4a_3x3", "MaxPool_2",
    "Mixed_5b", "Mixed_5c", "Mixed_5d", "Mixed_6a", "Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e",
    "Mixed_7a", "Mixed_7b", "Mixed_7c", "AvgPool",
)  # fmt: skip


def resize_legacy(images: Tensor) -> Tensor:
    """uint8 (B, 3, H, W) -> floats (B, 3, 299, 299): torch-fidelity's bilinear resize, corners as in TensorFlow 1."""
    return interpolate_bilinear_2d_like_tensorflow1x(images.float(), size=(SIDE, SIDE), align_corners=False)


def resize_clean(images: Tensor) -> Tensor:
    """uint8 (B, 3, H, W) -> floats (B, 3, 299, 299): clean-fid's, Pillow's bicubic filter on floats, clipped."""
    resize = build_resizer("clean")
    pictures = images.permute(0, 2, 3, 1).contiguous().cpu().numpy()
    with ThreadPoolExecutor(RESIZERS) as pool:
        resized = [torch.from_numpy(picture) for picture in pool.map(resize, pictures)]
    return torch.stack(resized).permute(0, 3, 1, 2).to(images.device)


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
        pixels = (self.resize(images) - 128) / 128
        # Channels last: a CPU's convolutions take a sixth less time.
        features = self.body(pixels.contiguous(memory_format=torch.channels_last)).flatten(1)
        return features, None if self.head is None else features @ self.head.t()


def load_inception(extractor: str, path: Path, weights: Weights) -> Extractor:
    """The network of one of the known files, on a GPU where there is one.

    The file is read once, and what was read is checked. Two of them are TorchScript. One is a torch pickle that must
    hold tensors alone before torch-fidelity reads it. Errors: `UserError` where the file is not what it was.
    """
    body, head = _network(_checked(path, weights), weights)
    resize, words = RESIZES[extractor]
    network = Inception(resize, body, head).requires_grad_(False).eval().to(best_device())
    return Extractor(
        name=extractor,
        sha256=weights.sha256,
        features=FEATURES,
        resize=words,
        network=network,
        no_logits=weights.no_logits,
        largest=LARGEST,
    )


def load_vgg(path: Path) -> Extractor:
    """torch-fidelity's VGG-16 (its layer `fc2_relu`), from torchvision's weights. Errors: as `load_inception`."""
    content = _checked(path, VGG16)
    torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)  # tensors alone, before the library reads it
    network = FeatureExtractorVGG16("vgg16", ["fc2_relu"], feature_extractor_weights_path=io.BytesIO(content))
    return Extractor(
        name=VGG,
        sha256=VGG16.sha256,
        features=VGG_FEATURES,
        resize="bilinear as in TensorFlow 1 to 224 (torch-fidelity)",
        network=Vgg(network).eval().to(best_device()),
        no_logits=VGG16.no_logits,
        largest=LARGEST,
    )


class Vgg(nn.Module):
    """Images (B, 3, H, W) uint8 -> features (B, 4096) and no logits."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> tuple[Tensor, None]:
        return self.network(images)[0], None


def _checked(path: Path, weights: Weights) -> bytes:
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    if digest != weights.sha256:
        raise UserError(
            f"{path}: sha256 is {digest}, recorded was {weights.sha256}; the file is damaged or was replaced"
        )
    return content


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
