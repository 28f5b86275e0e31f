"""Self-attention on a map of tokens: standard, grid (paper 4.3), axis and Nystroem, with the same parameters each.

Every kind has `qkv` (C -> 3C, no bias; output = q, k, v, each heads x d) and `proj` (C -> C), so that the rows of the
ablation differ in the attention pattern alone. Tokens are in row-major order of their H x W map.

Two paths compute softmax(q k^T / sqrt(d) + bias) v. `fused=True` uses PyTorch's fused kernels, right for whatever is
differentiated once. No fused kernel has a second derivative, which the gradient penalty needs: `fused=False` is the
explicit matmul - softmax - matmul.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.networks.distributed import normal
from pipeline.networks.interface import Linear, StepConstant, full_precision
from pipeline.networks.transgan.derivatives import BiasedAttention, OffsetTable, TwiceAttention, few_launches
from pipeline.networks.transgan.spec import BlockSpec

# Device -> what its fused kernels take: head sizes that are multiples of the first, batches up to the second.
LIMITS: dict[str, tuple[int, int | None]] = {"cuda": (8, 65_535)}
ITERATIONS = 6  # of the pseudo-inverse in Nystroem attention


def attend(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, *, fused: bool) -> Tensor:
    """softmax(q k^T / sqrt(d) + bias) v for q, k, v of shape (..., heads, n, d); bias (heads, n, n) or None."""
    if fused:
        flat = [tensor.flatten(0, -4) for tensor in (q, k, v)]
        if BiasedAttention.applies(q, bias):
            mixed: Tensor = BiasedAttention.apply(*flat, bias)
        else:
            mixed = fused_attention(*flat, bias)  # type: ignore[call-arg]
        return mixed.unflatten(0, q.shape[:-3])
    if few_launches(q):
        flat = [tensor.flatten(0, -3) for tensor in (q, k, v)]
        return TwiceAttention.apply(*flat, bias).unflatten(0, q.shape[:-2])
    scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1)
    if bias is not None:
        scores = scores + bias
    return scores.softmax(dim=-1) @ v


def fused_attention(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None) -> Tensor:
    """PyTorch's fused attention of q, k, v (B, heads, n, d), in the form that its CUDA kernels take.

    With any other number of dimensions, a head size that is no multiple of 8 or a bias whose last stride is not 1
    PyTorch takes the explicit path, in silence; more than 65,535 in the batch are no valid launch grid.
    """
    size, mask = q.shape[-1], None if bias is None else bias.unsqueeze(0)
    unit, largest = LIMITS.get(q.device.type, (1, None))
    if padding := -size % unit:
        q, k, v = (F.pad(tensor, (0, padding)) for tensor in (q, k, v))
    # Without a limit the batch is not compared with one: torch.export would take its size for a constant.
    count = 1 if largest is None else -(-q.shape[0] // largest)
    parts = zip(*(tensor.chunk(count) for tensor in (q, k, v)), strict=True) if count > 1 else [(q, k, v)]
    results = [F.scaled_dot_product_attention(a, b, c, attn_mask=mask, scale=size**-0.5) for a, b, c in parts]
    mixed = torch.cat(results) if count > 1 else results[0]
    return mixed[..., :size] if padding else mixed


def attend_in_windows(
    q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, side: int, height: int, width: int, *, fused: bool
) -> Tensor:
    """Attention of (B, heads, side^2, d) within non-overlapping windows of height x width tokens."""
    rows, columns = side // height, side // width

    def windows(t: Tensor) -> Tensor:  # (B, windows, heads, height width, d), windows in row-major order
        t = t.unflatten(2, (rows, height, columns, width))
        return t.permute(0, 2, 4, 1, 3, 5, 6).flatten(1, 2).flatten(3, 4)

    mixed = attend(windows(q), windows(k), windows(v), bias, fused=fused)
    mixed = mixed.unflatten(3, (height, width)).unflatten(1, (rows, columns))
    return mixed.permute(0, 3, 1, 4, 2, 5, 6).flatten(2, 5)


class RelativePosition(StepConstant):
    """Learned bias E for every pair of tokens in an h x w window, by their offset (paper 5.2, Swin-style table).

    `table` has ((2h - 1)(2w - 1), heads) entries; the row of query token i and key token j is
    (y_i - y_j + h - 1)(2w - 1) + (x_i - x_j + w - 1). Returns (heads, h w, h w).
    """

    index: Tensor

    def __init__(self, height: int, width: int, heads: int):
        super().__init__()
        self.table = nn.Parameter(torch.zeros((2 * height - 1) * (2 * width - 1), heads))
        y, x = (t.flatten() for t in torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij"))
        rows = (y[:, None] - y[None, :] + height - 1) * (2 * width - 1) + (x[:, None] - x[None, :] + width - 1)
        self.register_buffer("index", rows.flatten(), persistent=False)
        self.height, self.width = height, width

    def compute(self) -> Tensor:
        """The bias, contiguous."""
        if few_launches(self.table):
            return OffsetTable.apply(self.table, self.index, self.height, self.width)
        return self.table.t().index_select(1, self.index).unflatten(1, (self.height * self.width, -1))


class SelfAttention(nn.Module):
    """Every token to every token of its `window` x `window` cell: the whole map (standard), or a part (grid).

    With noise, per-token Gaussian noise times a learned scalar (init 0) is added before qkv (released code). Input and
    output (B, N, C). The other kinds change `tables` and `mix`.
    """

    def __init__(self, spec: BlockSpec):
        super().__init__()
        self.kind, self.heads, self.side = spec.attention, spec.heads, spec.side
        self.window, self.landmarks = spec.window, spec.landmarks
        self.qkv = Linear(spec.width, 3 * spec.width, bias=False)
        self.proj = Linear(spec.width, spec.width)
        self.noise_strength = nn.Parameter(torch.zeros(())) if spec.noise else None
        self.relative_position: Any = self.tables() if spec.relative_position else None

    def tables(self) -> nn.Module:
        return RelativePosition(self.window, self.window, self.heads)

    def mix(self, q: Tensor, k: Tensor, v: Tensor, *, fused: bool) -> Tensor:
        """(B, heads, N, d) each -> (B, heads, N, d)."""
        bias = None if self.relative_position is None else self.relative_position()
        if self.kind == "standard":  # perhaps with a class token, which has no place on the map
            return attend(q, k, v, bias, fused=fused)
        return attend_in_windows(q, k, v, bias, self.side, self.window, self.window, fused=fused)

    def forward(self, x_BNC: Tensor, *, fused: bool = True) -> Tensor:
        batch, tokens, width = x_BNC.shape
        if self.noise_strength is not None:
            noise = normal(batch, tokens, 1, like=x_BNC, divided=self.training)
            x_BNC = x_BNC + noise * self.noise_strength
        qkv = self.qkv(x_BNC).view(batch, tokens, 3, self.heads, width // self.heads)
        q, k, v = (part.transpose(1, 2) for part in qkv.unbind(2))
        mixed = self.mix(q, k, v, fused=fused)
        return self.proj(mixed.transpose(1, 2).reshape(batch, tokens, width))


class AxisAttention(SelfAttention):
    """Row attention, then column attention on its output: A_columns (A_rows V).

    The factorisation of axial attention (Ho et al. 2019, arXiv 1912.12180: attention along one axis at a time, rows
    then columns), with one set of q, k, v and one `proj` for both, so that parameters equal the other kinds'. A token
    reaches every token of the map within one layer. With relative position each axis has its own table.
    """

    def tables(self) -> nn.Module:
        rows, columns = (RelativePosition(*shape, self.heads) for shape in ((1, self.side), (self.side, 1)))
        return nn.ModuleDict({"rows": rows, "columns": columns})

    def mix(self, q: Tensor, k: Tensor, v: Tensor, *, fused: bool) -> Tensor:
        for axis, height, width in (("rows", 1, self.side), ("columns", self.side, 1)):
            bias = None if self.relative_position is None else self.relative_position[axis]()
            v = attend_in_windows(q, k, v, bias, self.side, height, width, fused=fused)
        return v


class NystromAttention(SelfAttention):
    """Nystroem approximation (Xiong et al. 2021, arXiv 2102.03902): softmax(q k~) pinv(softmax(q~ k~)) softmax(q~ k) v.

    Landmarks q~, k~ are means over consecutive runs of tokens; the pseudo-inverse is the paper's iteration of six
    third-order steps, scaled per matrix so that no image depends on its batch, and always in fp32. The depthwise
    convolution that the original adds is left out (TransGAN has no convolution), and so is its relative position:
    no scores of token by token are formed that a bias could be added to.
    """

    def mix(self, q: Tensor, k: Tensor, v: Tensor, *, fused: bool) -> Tensor:
        scale = q.shape[-1] ** -0.5
        q_marks, k_marks = (t.unflatten(-2, (self.landmarks, -1)).mean(dim=-2) for t in (q, k))
        to_marks = (q * scale @ k_marks.transpose(-2, -1)).softmax(dim=-1)
        between = (q_marks * scale @ k_marks.transpose(-2, -1)).softmax(dim=-1)
        with full_precision(q):
            inverse = pseudo_inverse(between.to(torch.promote_types(between.dtype, torch.float32)), ITERATIONS)
        return to_marks @ (inverse @ attend(q_marks, k, v, None, fused=fused))


KINDS = {"standard": SelfAttention, "grid": SelfAttention, "axis": AxisAttention, "nystrom": NystromAttention}


class CrossAttention(nn.Module):
    """x (B, N, C) + what its tokens find in a sequence (B, M, E): queries of x; keys and values of the sequence.

    `noise_strength` is no part of the result and gets no gradient: the released module declares it and never reads it.
    It is here so that checkpoints go in and out whole.
    """

    def __init__(self, width: int, sequence_width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.query = Linear(width, width, bias=False)
        self.key = Linear(sequence_width, width, bias=False)
        self.value = Linear(sequence_width, width, bias=False)
        self.proj = Linear(width, width)
        self.noise_strength = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor, sequence: Tensor) -> Tensor:
        together = (self.query(x), self.key(sequence), self.value(sequence))
        q, k, v = (t.unflatten(-1, (self.heads, -1)).transpose(1, 2) for t in together)
        return x + self.proj(attend(q, k, v, None, fused=True).transpose(1, 2).flatten(2))


def pseudo_inverse(a: Tensor, iterations: int) -> Tensor:
    """Moore-Penrose inverse of (..., m, m) by Z <- Z (13 I - AZ (15 I - AZ (7 I - AZ))) / 4, from
    Z = A^T / (|A|_1 |A|_inf) with each matrix's own norms (Xiong et al. 2021, eq. 14).
    """
    eye = torch.eye(a.shape[-1], device=a.device, dtype=a.dtype)
    norms = a.abs().sum(dim=-2).amax(dim=-1) * a.abs().sum(dim=-1).amax(dim=-1)
    z = a.transpose(-2, -1) / norms[..., None, None]
    for _ in range(iterations):
        az = a @ z
        z = 0.25 * z @ (13 * eye - az @ (15 * eye - az @ (7 * eye - az)))
    return z
