"""The Inception network of FID, KID and Inception score, with the two resizes the field uses, and VGG-16 of precision.

`inception_legacy`: torch-fidelity's bilinear resize, which is TensorFlow 1's, as in the original FID and the papers
before 2022. `inception_clean`: clean-fid's antialiased bicubic resize on floats (Parmar et al. 2022). The network is
the same. Both resizes are the libraries' functions.
"""

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

from pipeline.metrics.extractors import weights
from pipeline.metrics.extractors.extractor import Extractor, best_device
from pipeline.metrics.extractors.registry import VGG

SIDE = 299
LARGEST = 64  # images at a time: their activations take about a gigabyte
RESIZERS = 4  # threads of the clean resize: Pillow takes 5 ms an image


def resize_legacy(images: Tensor) -> Tensor:
    """uint8 (B, 3, H, W) -> floats (B, 3, 299, 299): torch-fidelity's bilinear resize, corners as in TensorFlow 1."""
    return interpolate_bilinear_2d_like_tensorflow1x(images.float(), size=(SIDE, SIDE), align_corners=False)


def resize_clean(images: Tensor) -> Tensor:
    """uint8 (B, 3, H, W) -> floats (B, 3, 299, 299): clean-fid's, Pillow's bicubic filter on floats, clipped."""
    pictures = images.permute(0, 2, 3, 1).contiguous().cpu().numpy()
    with ThreadPoolExecutor(RESIZERS) as pool:
        resized = [torch.from_numpy(picture) for picture in pool.map(build_resizer("clean"), pictures)]
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


def load_network(name: str, path: Path) -> Extractor:
    """The network of one of the known files, on a GPU where there is one.

    Two of Inception's files are TorchScript. The others are torch pickles, which must hold tensors alone before
    torch-fidelity unpickles them. VGG-16 is torch-fidelity's (its layer `fc2_relu`), from torchvision's weights.
    Errors: `UserError` for a file that is none of them.
    """
    content = path.read_bytes()  # once: what is checked is what is loaded
    published = weights.identify(path, content, (weights.VGG16,) if name == VGG else weights.INCEPTION)
    resize, words = RESIZES.get(name, (nn.Identity(), "bilinear as in TensorFlow 1 to 224 (torch-fidelity)"))
    network: nn.Module
    if published in (weights.CLEAN, weights.PACKAGED):
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*torch.jit.load.*")
            script = torch.jit.load(io.BytesIO(content), map_location="cpu")
        # Both scripts hold the network twice: `layers` has no resize; the packaged script runs it as it is.
        network = Inception(resize, script if published == weights.PACKAGED else script.layers, None)
    else:
        torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        if name == VGG:
            network = FeatureExtractorVGG16("vgg16", ["fc2_relu"], feature_extractor_weights_path=io.BytesIO(content))
        else:
            file = io.BytesIO(content)
            library = FeatureExtractorInceptionV3("inception", ["2048"], feature_extractor_weights_path=file)
            network = Inception(resize, *from_fidelity(library))
    network, digest = network.requires_grad_(False).eval().to(best_device()), published.checksum.partition(" ")[2]
    return Extractor(name=name, sha256=digest, resize=words, network=network, largest=LARGEST)


def from_fidelity(network: FeatureExtractorInceptionV3) -> tuple[nn.Module, Tensor]:
    """torch-fidelity's network without its resize, and its last layer: its `2048` and `logits_unbiased`."""
    *layers, last = network.children()
    return nn.Sequential(*layers), last.weight.detach()
