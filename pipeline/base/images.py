"""Between uint8 images and network inputs, in one place: the one quantisation rule of the project."""

import torch
from torch import Tensor


def to_float(images: Tensor) -> Tensor:
    """uint8 0..255 -> float32 in [-1, 1]: x / 127.5 - 1."""
    return images.float() / 127.5 - 1


def to_uint8(images: Tensor) -> Tensor:
    """float in [-1, 1] -> uint8: round((x + 1) 127.5), clamped to 0..255. The inverse of `to_float` on its values."""
    return ((images.float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
