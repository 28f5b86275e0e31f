"""DiffAug (Zhao et al. 2020) as TransGAN uses it (paper 5.1). Sizes and probabilities are those of the released code.

Every operation takes images (B, C, H, W) in [-1, 1] and returns the same shape, differentiable in the images, twice
where the gradient penalty needs it. Its randomness is apart from its arithmetic: `sample_*` makes the random numbers of
a batch, tensors with one row an image, from torch's global generator of the images' device; `apply_*` is a pure
function, so that a part of a batch with its rows gives that part of the result, and it compiles. Empty areas are 0, mid
grey. Results are not clamped.
"""

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline.training.config import AugmentConfig

Numbers = tuple[Tensor, ...]  # random numbers of one operation, a row per image
Parameters = list[Numbers]  # of a batch: an entry per operation


def augment(images: Tensor, config: AugmentConfig) -> Tensor:
    """The operations of `config.policy`, in that order."""
    return apply(images, sample_parameters(images, config), config)


def sample_parameters(images: Tensor, config: AugmentConfig) -> Parameters:
    """Random numbers for a batch shaped like `images`, for each operation of the policy."""
    return [OPERATIONS[name][0](images, config) for name in config.policy]


def apply(images: Tensor, parameters: Parameters, config: AugmentConfig) -> Tensor:
    """The operations of the policy with random numbers sampled before."""
    for name, numbers in zip(config.policy, parameters, strict=True):
        images = OPERATIONS[name][1](images, *numbers)
    return images


def rows(parameters: Parameters, part: slice) -> Parameters:
    """The random numbers of some of the batch's images."""
    return [tuple(number[part] for number in numbers) for numbers in parameters]


def sample_color(images: Tensor, config: AugmentConfig) -> Numbers:
    """Brightness in [-0.5, 0.5), saturation in [0, 2), contrast in [0.5, 1.5), each (B, 1, 1, 1)."""
    draws = torch.rand(3, len(images), 1, 1, 1, device=images.device, dtype=images.dtype)
    return draws[0] - 0.5, draws[1] * 2, draws[2] + 0.5


def apply_color(images: Tensor, brightness: Tensor, saturation: Tensor, contrast: Tensor) -> Tensor:
    """Brightness is added; saturation is a factor about a pixel's mean, contrast about the image's."""
    images = images + brightness
    images = torch.lerp(images.mean(dim=1, keepdim=True), images, saturation)
    return torch.lerp(images.mean(dim=(1, 2, 3), keepdim=True), images, contrast)


def sample_translation(images: Tensor, config: AugmentConfig) -> Numbers:
    """Pixels down and to the right, (B, 2), uniform in +-int(side * translation_ratio + 0.5)."""
    most = int(images.shape[-1] * config.translation_ratio + 0.5)
    return (torch.randint(-most, most + 1, (2, len(images)), device=images.device).t(),)


def apply_translation(images: Tensor, shift: Tensor) -> Tensor:
    """Each image shifted by whole pixels; what moves in is 0."""
    # The compiler cannot differentiate twice through a function of ours.
    return (translated if torch.compiler.is_compiling() else Translation.apply)(images, shift)


class Translation(torch.autograd.Function):
    """`translated`, whose derivative is the opposite translation: a gather's own is a scatter, 36 kernels on a GPU."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, shift: Tensor) -> Tensor:
        ctx.save_for_backward(shift)
        return translated(images, shift)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return Translation.apply(gradients[0], -ctx.saved_tensors[0]), None


def translated(images: Tensor, shift: Tensor) -> Tensor:
    """Square images (B, C, side, side) shifted by a gather."""
    batch, channels, side, _ = images.shape
    source = torch.arange(side, device=images.device) + shift.t().unsqueeze(-1)  # (axes, B, side)
    nearest = source.clamp(0, side - 1)
    (rows, columns), (rows_inside, columns_inside) = nearest.unbind(0), (source == nearest).unbind(0)
    index = (rows[:, :, None] * side + columns[:, None, :]).reshape(batch, 1, -1).expand(-1, channels, -1)
    inside = (rows_inside[:, :, None] & columns_inside[:, None, :]).unsqueeze(1)
    return images.flatten(2).gather(2, index).view_as(images) * inside


def sample_cutout(images: Tensor, config: AugmentConfig) -> Numbers:
    """A square of `cutout_ratio` of the side, in each group of the batch with `cutout_probability`.

    Its centre is uniform over the image, so that part of it may lie outside (as in DiffAugment).
    """
    side = int(images.shape[-1] * config.cutout_ratio + 0.5)
    return sample_rectangles(images, side, config.cutout_probability, config)


def sample_erase(images: Tensor, config: AugmentConfig) -> Numbers:
    """A rectangle, in each group of the batch with `erase_probability`.

    Its height and width are whole pixels, uniform over `erase_range` of the side, ends included, drawn per group.
    """
    low, high = (int(share * images.shape[-1] + 1e-6) for share in config.erase_range)
    sides = torch.randint(low, high + 1, (2, config.groups), device=images.device)
    return sample_rectangles(images, sides, config.erase_probability, config)


def sample_rectangles(images: Tensor, sides: int | Tensor, probability: float, config: AugmentConfig) -> Numbers:
    """Which pixels stay, (B, 1, H, W), where a rectangle is cut out of every image of a group or of none.

    `sides`: of every rectangle, or height and width per group, (2, groups); the groups are equal runs of the batch, up
    to one image. The rectangle's centre is uniform inside the image.
    """
    batch, side, device = len(images), images.shape[-1], images.device
    group = torch.arange(batch, device=device) * config.groups // batch
    lengths = sides[:, group].unsqueeze(-1) if isinstance(sides, Tensor) else sides
    start = (torch.rand(2, batch, 1, device=device) * (side + 1 - lengths % 2)).long() - lengths // 2
    cut = (torch.rand(config.groups, device=device) < probability)[group]
    pixel = torch.arange(side, device=device)
    keep_rows, keep_columns = ((pixel < start) | (pixel >= start + lengths * cut.unsqueeze(-1))).unbind(0)
    return ((keep_rows[:, :, None] | keep_columns[:, None, :]).unsqueeze(1),)


def sample_hue(images: Tensor, config: AugmentConfig) -> Numbers:
    """With `hue_probability` an angle uniform in [-pi, pi), else 0, per image (B, 1, 1, 1)."""
    draws = torch.rand(2, len(images), 1, 1, 1, device=images.device, dtype=images.dtype)
    return (torch.where(draws[0] < config.hue_probability, draws[1] * (2 * math.pi) - math.pi, 0.0),)


def apply_hue(images: Tensor, angle: Tensor) -> Tensor:
    """Colours rotated about the grey axis (ADA's hue rotation)."""
    if images.shape[1] != 3:
        return images
    # Rodrigues' rotation about the unit vector (1, 1, 1) / sqrt(3): parallel part kept, the rest turned.
    parallel = images.mean(dim=1, keepdim=True)
    across = images - parallel
    turned = (across.roll(1, dims=1) - across.roll(-1, dims=1)) / math.sqrt(3)
    return parallel + across * angle.cos() + turned * angle.sin()


def sample_filter(images: Tensor, config: AugmentConfig) -> Numbers:
    """The filter of each image, (B, taps): with `filter_probability` per image and band, one of ADA's four frequency
    bands amplified by 2^N(0, 1), power kept.
    """
    batch, device = len(images), images.device
    bank, power = _bank(device, images.dtype)
    gains = torch.ones(batch, 4, device=device, dtype=images.dtype)
    for band in range(4):
        chosen = torch.rand(batch, device=device) < config.filter_probability
        gain = torch.where(chosen, torch.exp2(torch.randn(batch, device=device, dtype=images.dtype)), 1.0)
        each = torch.where(torch.arange(4, device=device) == band, gain[:, None], 1.0)
        gains = gains * each / (power * each.square()).sum(dim=1, keepdim=True).sqrt()
    return (gains @ bank,)


def apply_filter(images: Tensor, kernel: Tensor) -> Tensor:
    """Every channel filtered by its image's kernel (B, taps), along rows and then columns, the borders mirrored."""
    kernel, pad = kernel.repeat_interleave(images.shape[1], dim=0), kernel.shape[1] // 2
    x = images.flatten(0, 1).unsqueeze(0)
    for dim, weight in ((-1, kernel[:, None, None, :]), (-2, kernel[:, None, :, None])):
        side = x.shape[dim]
        pixel = torch.arange(-pad, side + pad, device=x.device) % (2 * side - 2)  # the pad may be longer than the image
        x = x.index_select(dim, torch.where(pixel < side, pixel, 2 * side - 2 - pixel))
        x = F.conv2d(x, weight, groups=len(kernel))
    return x.view_as(images)


@lru_cache(maxsize=8)
def _bank(device: torch.device, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """The filters and the bands' expected shares of an image's power, on the device once and for all."""
    power = torch.tensor([10.0, 1.0, 1.0, 1.0], device=device, dtype=dtype) / 13
    return band_filters().to(device=device, dtype=dtype), power


def band_filters() -> Tensor:
    """ADA's four zero-phase band-pass filters from the sym2 wavelet, (4, taps), fp64; their sum is the identity.

    Source: Karras et al. 2020, appendix B: H_lo(z) H_lo(1/z) / 2 is dilated and applied once per octave.
    """
    low = np.array([-0.12940952255092145, 0.22414386804185735, 0.836516303737469, 0.48296291314469025])
    smooth, rough = (np.convolve(h, h[::-1]) / 2 for h in (low, low * [1, -1, 1, -1]))
    bank = np.eye(4, 1)
    for band in range(1, 4):
        dilated = np.zeros((4, 2 * bank.shape[1] - 1))
        dilated[:, ::2] = bank
        bank = np.stack([np.convolve(row, smooth) for row in dilated])
        start = (bank.shape[1] - len(rough)) // 2
        bank[band, start : start + len(rough)] += rough
    return torch.from_numpy(bank)


OPERATIONS: dict[str, tuple[Callable[[Tensor, AugmentConfig], Numbers], Callable[..., Tensor]]] = {
    "translation": (sample_translation, apply_translation),
    "cutout": (sample_cutout, torch.mul),
    "color": (sample_color, apply_color),
    "erase": (sample_erase, torch.mul),
    "hue": (sample_hue, apply_hue),
    "filter": (sample_filter, apply_filter),
}
