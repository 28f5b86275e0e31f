"""The released networks written down a second time, from their description: names, shapes, and what they compute.

Tests compare the project's networks and its import with these. Names as the released modules have them.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

HEADS = 4


@dataclass(frozen=True, kw_only=True)
class Official:
    """One released model. Widths and depths by stage; `window` 0: attention over the whole map everywhere."""

    side: int  # pixels
    base: int
    latent: int
    widths: tuple[int, ...]
    depths: tuple[int, ...]
    bicubic: int  # the first so many upsamplings
    g_window: int
    g_norm: bool  # layer norm; else pixel norm, which has no parameters
    g_noise: bool
    patch: int
    d_widths: tuple[int, ...]
    d_depths: tuple[int, ...]
    d_window: int
    d_norm: bool
    d_noise: bool

    @property
    def large(self) -> bool:
        return len(self.widths) > 3


CIFAR = Official(
    side=32, base=8, latent=256, widths=(1024, 256, 64), depths=(5, 4, 2), bicubic=0, g_window=0, g_norm=True,
    g_noise=False, patch=2, d_widths=(288, 384), d_depths=(3, 3), d_window=0, d_norm=True, d_noise=True,
)  # fmt: skip
STL = Official(
    side=48, base=12, latent=512, widths=(1024, 256, 64), depths=(7, 5, 3), bicubic=0, g_window=0, g_norm=False,
    g_noise=False, patch=2, d_widths=(288, 384), d_depths=(3, 3), d_window=0, d_norm=False, d_noise=True,
)  # fmt: skip
CHURCH = Official(
    side=256, base=8, latent=512, widths=(1024, 1024, 1024, 256, 64, 16), depths=(5, 4, 4, 4, 4, 4), bicubic=2,
    g_window=16, g_norm=False, g_noise=True, patch=4, d_widths=(288, 336, 384), d_depths=(3, 3, 4), d_window=16,
    d_norm=True, d_noise=False,
)  # fmt: skip
CELEBA = Official(**{**CHURCH.__dict__, "g_noise": False, "d_window": 8})
MODELS = {"cifar10": CIFAR, "stl10": STL, "church256": CHURCH, "celebahq256": CELEBA}


def generator_shapes(model: Official) -> dict[str, tuple[int, ...]]:
    first = model.base**2 * model.widths[0]
    shapes: dict[str, tuple[int, ...]] = {"l1.weight": (first, model.latent), "l1.bias": (first,)}
    for stage, (width, depth) in enumerate(zip(model.widths, model.depths, strict=True)):
        side = model.base * 2**stage
        shapes[f"pos_embed_{stage + 1}"] = (1, side * side, width)
        window = min(side, model.g_window) if model.g_window and side >= 64 else side
        for block in range(depth):
            shapes |= _block(_g_block(model, stage, block), width, window, model.g_norm, model.g_noise)
    return shapes | {"deconv.0.weight": (3, model.widths[-1], 1, 1), "deconv.0.bias": (3,)}


def discriminator_shapes(model: Official) -> dict[str, tuple[int, ...]]:
    last = model.d_widths[-1]
    shapes: dict[str, tuple[int, ...]] = {"cls_token": (1, 1, last)}
    before = 0
    for stage, (width, depth) in enumerate(zip(model.d_widths, model.d_depths, strict=True)):
        size, side = model.patch * 2**stage, model.side // (model.patch * 2**stage)
        shapes[f"fRGB_{stage + 1}.weight"] = (width - before, 3, size, size)
        shapes[f"fRGB_{stage + 1}.bias"] = (width - before,)
        shapes[f"pos_embed_{stage + 1}"] = (1, side * side, width)
        for block in range(depth):
            name, window = _d_block(model, stage, block)
            shapes |= _block(name, width, window or side, model.d_norm, model.d_noise)
        before = width
    shapes |= _block("last_block.0", last, 0, model.d_norm, model.d_noise)
    norm = {"norm.norm.weight": (last,), "norm.norm.bias": (last,)} if model.d_norm else {}
    return shapes | norm | {"head.weight": (1, last), "head.bias": (1,)}


def generator(state: dict[str, Tensor], model: Official, z: Tensor) -> Tensor:
    """z (B, latent) -> images (B, 3, side, side)."""
    x = (z @ state["l1.weight"].T + state["l1.bias"]).view(len(z), model.base**2, model.widths[0])
    for stage, depth in enumerate(model.depths):
        side = model.base * 2**stage
        if stage:
            image = _image(x, side // 2)
            smooth = stage <= model.bicubic
            image = F.interpolate(image, scale_factor=2, mode="bicubic") if smooth else F.pixel_shuffle(image, 2)
            x = image.flatten(2).permute(0, 2, 1)
        x = x + state[f"pos_embed_{stage + 1}"]
        window = model.g_window if model.g_window and side >= 64 else 0
        for block in range(depth):
            x = _transform(state, _g_block(model, stage, block), x, window, model.g_norm)
    return F.conv2d(_image(x, model.side), state["deconv.0.weight"], state["deconv.0.bias"])


def discriminator(state: dict[str, Tensor], model: Official, images: Tensor) -> Tensor:
    """images (B, 3, side, side) -> scores (B,), without augmentation."""
    x = None
    for stage, depth in enumerate(model.d_depths):
        size, side = model.patch * 2**stage, model.side // (model.patch * 2**stage)
        patches = F.conv2d(images, state[f"fRGB_{stage + 1}.weight"], state[f"fRGB_{stage + 1}.bias"], stride=size)
        patches = patches.flatten(2).permute(0, 2, 1)
        if x is None:
            x = patches
        else:
            x = torch.cat([F.avg_pool2d(_image(x, side * 2), 2).flatten(2).permute(0, 2, 1), patches], dim=-1)
        x = x + state[f"pos_embed_{stage + 1}"]
        for block in range(depth):
            name, window = _d_block(model, stage, block)
            x = _transform(state, name, x, window, model.d_norm)
    x = torch.cat([state["cls_token"].expand(len(images), -1, -1), x], dim=1)
    x = _transform(state, "last_block.0", x, 0, model.d_norm)
    x = _norm(state, "norm", x, model.d_norm)[:, 0]
    return (x @ state["head.weight"].T + state["head.bias"]).flatten()


def random_state(shapes: dict[str, tuple[int, ...]], seed: int) -> dict[str, Tensor]:
    """Weights that keep activations near one; everything differs from its initial value."""
    random = torch.Generator().manual_seed(seed)
    state = {}
    for name, shape in shapes.items():
        scale = 1 / math.sqrt(math.prod(shape[1:]) or 1) if name.endswith("weight") and len(shape) > 1 else 0.3
        state[name] = torch.randn(shape, generator=random) * scale + (1 if "norm" in name and "weight" in name else 0)
        if name.endswith("noise_strength_1"):
            state[name] = torch.zeros(())  # noise would differ from network to network
    return state


def with_index(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """With the index tensors that the released modules store beside their tables."""
    index = {}
    for name, table in state.items():
        if name.endswith("relative_position_bias_table"):
            index[name.removesuffix("_bias_table") + "_index"] = _index((math.isqrt(len(table)) + 1) // 2)
    return state | index


def _g_block(model: Official, stage: int, block: int) -> str:
    if model.large:
        return f"blocks_{stage + 1}.block.{block}"
    return f"blocks.block.{block}" if stage == 0 else f"upsample_blocks.{stage - 1}.block.{block}"


def _d_block(model: Official, stage: int, block: int) -> tuple[str, int]:
    if model.d_window and stage == 0:
        full = block == model.d_depths[0] - 1
        return ("blocks_11.0", 0) if full else (f"blocks_1.{block}", model.d_window)
    return f"blocks_{stage + 1}.{block}", 0


def _block(name: str, width: int, window: int, norm: bool, noise: bool) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {}
    for one in ("norm1", "norm2") if norm else ():
        shapes |= {f"{name}.{one}.norm.weight": (width,), f"{name}.{one}.norm.bias": (width,)}
    if noise:
        shapes[f"{name}.attn.noise_strength_1"] = ()
    if window:
        shapes[f"{name}.attn.relative_position_bias_table"] = ((2 * window - 1) ** 2, HEADS)
    return shapes | {
        f"{name}.attn.qkv.weight": (3 * width, width),
        f"{name}.attn.proj.weight": (width, width),
        f"{name}.attn.proj.bias": (width,),
        f"{name}.mlp.fc1.weight": (4 * width, width),
        f"{name}.mlp.fc1.bias": (4 * width,),
        f"{name}.mlp.fc2.weight": (width, 4 * width),
        f"{name}.mlp.fc2.bias": (width,),
    }


def _transform(state: dict[str, Tensor], name: str, x: Tensor, window: int, norm: bool) -> Tensor:
    batch, tokens, width = x.shape
    side = math.isqrt(tokens)
    if window:
        cells = side // window
        x = x.view(batch, cells, window, cells, window, width).transpose(2, 3).reshape(-1, window * window, width)
    y = _norm(state, f"{name}.norm1", x, norm)
    q, k, v = (y @ state[f"{name}.attn.qkv.weight"].T).view(len(y), -1, 3, HEADS, width // HEADS).permute(2, 0, 3, 1, 4)
    scores = q @ k.transpose(-2, -1) / math.sqrt(width // HEADS)
    table = state.get(f"{name}.attn.relative_position_bias_table")
    if table is not None:
        scores = scores + table[_index(window or side)].permute(2, 0, 1)
    y = (scores.softmax(-1) @ v).transpose(1, 2).reshape(len(y), -1, width)
    x = x + y @ state[f"{name}.attn.proj.weight"].T + state[f"{name}.attn.proj.bias"]
    if window:
        x = x.view(batch, cells, cells, window, window, width).transpose(2, 3).reshape(batch, tokens, width)
    y = _norm(state, f"{name}.norm2", x, norm) @ state[f"{name}.mlp.fc1.weight"].T + state[f"{name}.mlp.fc1.bias"]
    y = y * 0.5 * (1 + torch.erf(y / math.sqrt(2)))
    return x + y @ state[f"{name}.mlp.fc2.weight"].T + state[f"{name}.mlp.fc2.bias"]


def _norm(state: dict[str, Tensor], name: str, x: Tensor, layer: bool) -> Tensor:
    if not layer:
        return x / torch.sqrt(x.pow(2).mean(-1, keepdim=True) + 1e-8)
    return F.layer_norm(x, x.shape[-1:], state[f"{name}.norm.weight"], state[f"{name}.norm.bias"])


def _index(window: int) -> Tensor:
    """Row of the table for every pair of tokens, (n, n)."""
    place = torch.stack(torch.meshgrid(torch.arange(window), torch.arange(window), indexing="ij")).flatten(1)
    offset = place[:, :, None] - place[:, None, :] + window - 1
    return offset[0] * (2 * window - 1) + offset[1]


def _image(x: Tensor, side: int) -> Tensor:
    return x.permute(0, 2, 1).reshape(len(x), -1, side, side)
