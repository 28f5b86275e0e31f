"""The CelebA-HQ networks of October 2021 written down a second time: names, shapes, and what they compute.

Slow and literal: a state dict in the released names, and formulas. Nothing here comes from the package.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

HEADS, BASE, SIDE, PATCH = 4, 8, 256, 2
# The same make for images of 8 x 8, as settings of `model.generator.transgan` and `model.discriminator.transgan`.
GENERATOR = {
    "latent_dim": 16,
    "base_side": 2,
    "stages": [
        {"upsample": "none", "width": 64, "depth": 0},
        {"upsample": "bicubic", "width": 64, "depth": 1},
        {"upsample": "pixel_shuffle", "width": 16, "depth": 2, "smooth": True},
    ],
    "cross_attention": True,
}
DISCRIMINATOR = {
    "patch": 2,
    "overlap": 1,
    "stages": [{"width": 16, "depth": 2, "full_blocks": 1}, {"width": 32, "depth": 1}],
    "cls_depth": 1,
    "relative_position": False,
    "norm": "layer",
}


@dataclass(frozen=True, kw_only=True)
class October:
    """Widths of the generator's six maps (8 to 256 pixels a side) and of D's three; blocks of each but the first."""

    latent: int = 512
    widths: tuple[int, ...] = (1024, 1024, 1024, 256, 64, 16)
    depth: int = 4
    d_widths: tuple[int, ...] = (96, 192, 384)
    d_depths: tuple[int, ...] = (3, 3, 4)


WHOLE = October()
SMALL = October(latent=8, widths=(256, 256, 256, 64, 16, 4), depth=1, d_widths=(16, 32, 64), d_depths=(2, 2, 1))
WINDOWS = {2: 16, 3: 32, 4: 16, 5: 16, 6: 16}  # of the generator's maps; the whole map for the first two of them


def generator_shapes(model: October) -> dict[str, tuple[int, ...]]:
    first = BASE**2 * model.widths[0]
    shapes: dict[str, tuple[int, ...]] = {"embed_pos": (1, BASE**2, model.widths[0])}
    for name in ("l1", "embedding_transform"):
        shapes |= {f"{name}.weight": (first, model.latent), f"{name}.bias": (first,)}
    for stage, width in enumerate(model.widths, start=1):
        shapes[f"pos_embed_{stage}"] = (1, (BASE * 2 ** (stage - 1)) ** 2, width)
        for block in range(model.depth if stage > 1 else 0):
            name, cross = f"blocks_{stage}.block.{block}", f"blocks_{stage}.block.{block}.cross_attention"
            shapes |= _block(name, width)
            shapes |= {
                f"{name}.attn.noise_strength_1": (),
                f"{name}.attn.relative_position_bias_table": ((2 * WINDOWS[stage] - 1) ** 2, HEADS),
                f"{cross}.noise_strength_1": (),
                f"{cross}.q_transform.weight": (width, width),
                f"{cross}.k_transform.weight": (width, model.widths[0]),
                f"{cross}.v_transform.weight": (width, model.widths[0]),
                f"{cross}.proj.weight": (width, width),
                f"{cross}.proj.bias": (width,),
            }
    return shapes | {"deconv.0.weight": (3, model.widths[-1], 1, 1), "deconv.0.bias": (3,)}


def discriminator_shapes(model: October) -> dict[str, tuple[int, ...]]:
    last, before = model.d_widths[-1], 0
    shapes: dict[str, tuple[int, ...]] = {"cls_token": (1, 1, last)}
    for stage, (width, kernel) in enumerate(zip(model.d_widths, (4, 4, 8), strict=True), start=1):
        shapes[f"fRGB_{stage}.weight"] = (width - before, 3, kernel, kernel)
        shapes[f"fRGB_{stage}.bias"] = (width - before,)
        shapes[f"pos_embed_{stage}"] = (1, (SIDE // (PATCH * 2 ** (stage - 1))) ** 2, width)
        before = width
    for name, stage, _ in _d_blocks(model):
        shapes |= _block(name, model.d_widths[stage]) | _norms(name, model.d_widths[stage])
    shapes |= _block("last_block.0", last) | _norms("last_block.0", last)
    head = {"head.weight": (1, last), "head.bias": (1,)}
    return shapes | {"norm.norm.weight": (last,), "norm.norm.bias": (last,)} | head


def generator(state: dict[str, Tensor], model: October, z: Tensor) -> Tensor:
    """z (B, latent) -> images (B, 3, 256, 256). Noise strengths are taken to be zero."""
    x = (z @ state["l1.weight"].T + state["l1.bias"]).view(len(z), BASE**2, -1) + state["pos_embed_1"]
    sequence = (z @ state["embedding_transform.weight"].T + state["embedding_transform.bias"]).view(len(z), BASE**2, -1)
    sequence = sequence + state["embed_pos"]
    for stage in range(2, 7):
        image = _image(x)
        if stage in (5, 6):
            image = F.avg_pool2d(F.interpolate(image, scale_factor=4, mode="bicubic"), 4)
        image = F.interpolate(image, scale_factor=2, mode="bicubic") if stage < 4 else F.pixel_shuffle(image, 2)
        x = _tokens(image) + state[f"pos_embed_{stage}"]
        for block in range(model.depth):
            name = f"blocks_{stage}.block.{block}"
            x = _cross(state, f"{name}.cross_attention", x, sequence)
            x = _transform(state, name, x, WINDOWS[stage], norm=_pixel_norm)
    return F.conv2d(_image(x), state["deconv.0.weight"], state["deconv.0.bias"])


def discriminator(state: dict[str, Tensor], model: October, images: Tensor) -> Tensor:
    """images (B, 3, 256, 256) -> scores (B,), without augmentation."""
    patches = [
        _tokens(F.conv2d(images, state[f"fRGB_{stage}.weight"], state[f"fRGB_{stage}.bias"], stride, padding))
        for stage, stride, padding in ((1, 2, 1), (2, 4, 0), (3, 8, 0))
    ]
    x = images
    for name, stage, window in _d_blocks(model):
        if name.endswith("_1.0"):
            x = patches[0] + state["pos_embed_1"]
        elif name.endswith(("_2.0", "_3.0")):
            pooled = _tokens(F.avg_pool2d(_image(x), 2))
            x = torch.cat([pooled, patches[stage]], dim=-1) + state[f"pos_embed_{stage + 1}"]
        x = _transform(state, name, x, window or math.isqrt(x.shape[1]), norm=_layer_norm)
    x = torch.cat([state["cls_token"].expand(len(images), -1, -1), x], dim=1)
    x = _transform(state, "last_block.0", x, 0, norm=_layer_norm)
    x = _layer_norm(state, "norm", x)[:, 0]
    return (x @ state["head.weight"].T + state["head.bias"]).flatten()


def _d_blocks(model: October) -> list[tuple[str, int, int]]:
    """(name, stage from 0, window or 0 for the whole map) of D's blocks before the [cls] token, in order."""
    first, second, third = model.d_depths
    return [
        *((f"blocks_1.{block}", 0, 4) for block in range(first)),
        *((f"blocks_2.{block}", 1, 4) for block in range(second - 1)),
        ("blocks_21.0", 1, 0),
        *((f"blocks_3.{block}", 2, 0) for block in range(third)),
    ]


def _block(name: str, width: int) -> dict[str, tuple[int, ...]]:
    return {
        f"{name}.attn.qkv.weight": (3 * width, width),
        f"{name}.attn.proj.weight": (width, width),
        f"{name}.attn.proj.bias": (width,),
        f"{name}.mlp.fc1.weight": (4 * width, width),
        f"{name}.mlp.fc1.bias": (4 * width,),
        f"{name}.mlp.fc2.weight": (width, 4 * width),
        f"{name}.mlp.fc2.bias": (width,),
    }


def _norms(name: str, width: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.norm{i}.norm.{part}": (width,) for i in (1, 2) for part in ("weight", "bias")}


def _cross(state: dict[str, Tensor], name: str, x: Tensor, sequence: Tensor) -> Tensor:
    width = x.shape[-1] // HEADS
    q, k, v = (
        (t @ state[f"{name}.{letter}_transform.weight"].T).unflatten(-1, (HEADS, width))
        for letter, t in (("q", x), ("k", sequence), ("v", sequence))
    )
    weights = (torch.einsum("bnhd,bmhd->bhnm", q, k) / math.sqrt(width)).softmax(dim=-1)
    found = torch.einsum("bhnm,bmhd->bnhd", weights, v).flatten(2)
    return x + found @ state[f"{name}.proj.weight"].T + state[f"{name}.proj.bias"]


def _transform(state: dict[str, Tensor], name: str, x: Tensor, window: int, *, norm) -> Tensor:
    """A pre-norm block; attention inside cells of `window` x `window` tokens, 0: over all tokens, without a map."""
    batch, tokens, width = x.shape
    if window:
        cells = math.isqrt(tokens) // window
        x = x.view(batch, cells, window, cells, window, width).transpose(2, 3).reshape(-1, window * window, width)
    qkv = (norm(state, f"{name}.norm1", x) @ state[f"{name}.attn.qkv.weight"].T).unflatten(-1, (3, HEADS, -1))
    q, k, v = qkv.unbind(2)
    scores = torch.einsum("bnhd,bmhd->bhnm", q, k) / math.sqrt(width // HEADS)
    table = state.get(f"{name}.attn.relative_position_bias_table")
    if table is not None:
        scores = scores + table[_offsets(window)].permute(2, 0, 1)
    y = torch.einsum("bhnm,bmhd->bnhd", scores.softmax(-1), v).flatten(2)
    x = x + y @ state[f"{name}.attn.proj.weight"].T + state[f"{name}.attn.proj.bias"]
    if window:
        x = x.view(batch, cells, cells, window, window, width).transpose(2, 3).reshape(batch, tokens, width)
    y = norm(state, f"{name}.norm2", x) @ state[f"{name}.mlp.fc1.weight"].T + state[f"{name}.mlp.fc1.bias"]
    y = y * 0.5 * (1 + torch.erf(y / math.sqrt(2)))
    return x + y @ state[f"{name}.mlp.fc2.weight"].T + state[f"{name}.mlp.fc2.bias"]


def _offsets(window: int) -> Tensor:
    """Row of the table for every pair of tokens, (n, n)."""
    y, x = (t.flatten() for t in torch.meshgrid(torch.arange(window), torch.arange(window), indexing="ij"))
    down, right = y[:, None] - y[None, :] + window - 1, x[:, None] - x[None, :] + window - 1
    return down * (2 * window - 1) + right


def _pixel_norm(state: dict[str, Tensor], name: str, x: Tensor) -> Tensor:
    return x / (x.square().mean(dim=-1, keepdim=True) + 1e-8).sqrt()


def _layer_norm(state: dict[str, Tensor], name: str, x: Tensor) -> Tensor:
    return F.layer_norm(x, x.shape[-1:], state[f"{name}.norm.weight"], state[f"{name}.norm.bias"])


def _image(x: Tensor) -> Tensor:
    side = math.isqrt(x.shape[1])
    return x.permute(0, 2, 1).reshape(len(x), -1, side, side)


def _tokens(x: Tensor) -> Tensor:
    return x.flatten(2).permute(0, 2, 1)
