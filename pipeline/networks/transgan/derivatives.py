"""Operations whose derivatives PyTorch takes more slowly, in more memory or in more kernels than a closed form.

    TwiceGelu           GELU that is differentiated twice, on every device
    BiasedAttention     fused attention with a learned bias, on the CPU, where PyTorch's gives no gradient to a mask
    RmsNorm, TwiceAttention, OffsetTable
                        on CUDA, where a training step is bound by the number of kernels launched

The compiler fuses PyTorch's own formulas by itself, and inside torch.func.grad loses the second derivative of a custom
function: compiled code uses none of these.
"""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

CHUNK = 2**22  # scores held at a time in the backward pass of BiasedAttention: 16 MiB in fp32
LEAST_TOKENS = 128  # on fewer PyTorch's explicit path is as fast and its n x n weights are small (measured)


def few_launches(x: Tensor) -> bool:
    """Whether x is where closed forms save launches: on a GPU, not compiled."""
    return x.is_cuda and not torch.compiler.is_compiling()


class GeluDerivative(torch.autograd.Function):
    """g, x -> g gelu'(x), with its own derivative in closed form: gelu''(x) = (2 - x^2) exp(-x^2 / 2) / sqrt(2 pi)."""

    @staticmethod
    def forward(ctx: Any, gradient: Tensor, x: Tensor) -> Tensor:
        ctx.save_for_backward(gradient, x)
        return torch.ops.aten.gelu_backward(gradient, x)

    @staticmethod
    def backward(ctx: Any, upper: Tensor) -> tuple[Tensor, Tensor]:
        gradient, x = ctx.saved_tensors
        square, scale = x * x, (2 * math.pi) ** -0.5
        second = torch.rsub(square, 2 * scale, alpha=scale) * torch.exp(-0.5 * square) * (gradient * upper)
        return torch.ops.aten.gelu_backward(upper, x), second


class TwiceGelu(torch.autograd.Function):
    """Exact GELU for what is differentiated twice: PyTorch's second derivative takes three times as long on a CPU."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return F.gelu(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return GeluDerivative.apply(gradient, *ctx.saved_tensors)


class RmsNormDerivative(torch.autograd.Function):
    """g, x, r -> J g = r (g - y mean(g y)), the derivative of y = r x applied to g. J is its own transpose."""

    @staticmethod
    def forward(ctx: Any, g: Tensor, x: Tensor, r: Tensor) -> Tensor:
        if x.is_cuda:
            j_g: Tensor = torch.ops.aten._fused_rms_norm_backward(g, x, [x.shape[-1]], r, None, [True, False])[0]
        else:
            j_g = r * (g - x * r * (g * x * r).mean(dim=-1, keepdim=True))
        ctx.save_for_backward(g, x, r, j_g)
        return j_g

    @staticmethod
    def backward(ctx: Any, upper: Tensor) -> tuple[Tensor, Tensor, None]:
        g, x, r, j_g = ctx.saved_tensors
        y, j_upper, products = x * r, RmsNormDerivative.apply(upper, x, r), x.new_empty(3, *x.shape)
        for product, a, b in zip(products, (g, upper, upper), (y, y, j_g), strict=True):
            torch.mul(a, b, out=product)
        gy, uy, ujg = products.mean(dim=-1, keepdim=True)
        of_x = torch.addcmul(ujg * y, uy, j_g).addcmul_(gy, j_upper).mul_(-r)
        return j_upper, of_x, None


class RmsNorm(torch.autograd.Function):
    """x (..., C) -> y = r x with r = 1 / sqrt(mean_C(x^2) + eps), differentiable any number of times."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, eps: float) -> Tensor:
        y, r = torch.ops.aten._fused_rms_norm(x, [x.shape[-1]], None, eps)
        ctx.save_for_backward(x, r)
        return y

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return RmsNormDerivative.apply(gradient, *ctx.saved_tensors), None


class OffsetTable(torch.autograd.Function):
    """A table (offsets, heads) at `index` (n n,) -> (heads, n, n), for n = height x width tokens.

    `index` is that of `RelativePosition`. The derivative sums all pairs of one offset: the queries of every key are
    written as far to the right as the key's place in the table asks, so that each offset is a column. PyTorch's
    deterministic scatter sorts instead, in 19 kernels.
    """

    @staticmethod
    def forward(ctx: Any, table: Tensor, index: Tensor, height: int, width: int) -> Tensor:
        ctx.height, ctx.width = height, width
        return table.t().index_select(1, index).unflatten(1, (height * width, height * width))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        height, width, heads, tokens = ctx.height, ctx.width, *gradient.shape[:2]
        row, offsets = 2 * width - 1, (2 * height - 1) * (2 * width - 1)
        skewed = gradient.new_zeros(heads, tokens, offsets)
        strides = (tokens * offsets, width * offsets - row, offsets - 1, row, 1)
        places = skewed.as_strided((heads, height, width, height, width), strides, offsets // 2)
        places.copy_(gradient.mT.reshape(places.shape))
        return skewed.sum(dim=1).t(), None, None, None


class TwiceAttentionDerivative(torch.autograd.Function):
    """g, q, k, v, bias, P -> the derivatives of P v in q, k, v and bias. All (B, n, .) but the bias (heads, n, n).

    P = softmax(q k^T / sqrt(d) + bias), so the derivatives in q, k and bias of what is returned go through it too.
    """

    @staticmethod
    def forward(
        ctx: Any, g: Tensor, q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, weights: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        of_weights = torch.bmm(g, v.mT, out_dtype=weights.dtype) if g.dtype != weights.dtype else torch.bmm(g, v.mT)
        of_scores = torch._softmax_backward_data(of_weights, weights, -1, weights.dtype)
        of_product = product_derivative(of_scores, q)
        ctx.heads = None if bias is None else len(bias)
        ctx.save_for_backward(g, q, k, v, weights, of_weights)
        ctx.set_materialize_grads(False)
        of_v = torch.bmm(weights.to(g.dtype).mT, g)
        return torch.bmm(of_product, k), torch.bmm(of_product.mT, q), of_v, over_images(of_scores, ctx.heads)

    @staticmethod
    def backward(
        ctx: Any, u_q: Tensor | None, u_k: Tensor | None, u_v: Tensor | None, u_bias: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor | None, None]:
        g, q, k, v, weights, of_weights = ctx.saved_tensors
        uppers = ((u_q, q), (u_k, k), (u_v, v))
        u_q, u_k, u_v = (torch.zeros_like(t) if u is None else u.contiguous() for u, t in uppers)
        u_scores = scores_of(torch.bmm(u_q, k.mT).baddbmm_(q, u_k.mT), q, u_bias).to(weights.dtype)
        of_weights = of_weights - (of_weights * weights).sum(dim=-1, keepdim=True)
        u_scores = u_scores - (u_scores * weights).sum(dim=-1, keepdim=True)
        # But for a constant in each row, which the softmax's derivative takes away.
        u_weights = (u_scores * of_weights).add_(torch.bmm(g, u_v.mT))
        through = torch._softmax_backward_data(u_weights, weights, -1, weights.dtype)
        first, second = (torch.mul(t, weights, out=torch.empty_like(t, dtype=q.dtype)) for t in (u_scores, of_weights))
        third, scale = product_derivative(through, q), q.shape[-1] ** -0.5
        return (
            torch.bmm(first, v).baddbmm_(weights.to(q.dtype), u_v),
            torch.bmm(third, k).baddbmm_(second, u_k, alpha=scale),
            torch.bmm(third.mT, q).baddbmm_(second.mT, u_q, alpha=scale),
            torch.bmm(first.mT, g),
            over_images(through, ctx.heads),
            None,
        )


def scores_of(product: Tensor, q: Tensor, bias: Tensor | None) -> Tensor:
    """product / sqrt(d) + bias for q k^T (B heads, n, n), q (B heads, n, d) and bias (heads, n, n)."""
    scale = q.shape[-1] ** -0.5
    if bias is None:
        return product * scale
    return torch.add(bias, product.unflatten(0, (-1, len(bias))), alpha=scale).flatten(0, 1)


def product_derivative(of_scores: Tensor, q: Tensor) -> Tensor:
    """The derivative in q k^T from that in the scores, in the precision of q (B heads, n, d)."""
    return torch.mul(of_scores, q.shape[-1] ** -0.5, out=torch.empty_like(of_scores, dtype=q.dtype))


def over_images(of_scores: Tensor, heads: int | None) -> Tensor | None:
    """(B heads, n, n) summed over B, for the bias; None without one."""
    return None if heads is None else of_scores.unflatten(0, (-1, heads)).sum(dim=0)


class TwiceAttention(torch.autograd.Function):
    """softmax(q k^T / sqrt(d) + bias) v, differentiable twice. q, k, v (B heads, n, d), bias (heads, n, n) or None.

    Products are in the precision of q, k and v, the softmax in fp32 at least.
    """

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None) -> Tensor:
        scores = scores_of(torch.bmm(q, k.mT), q, bias)
        weights = scores.softmax(dim=-1, dtype=torch.promote_types(scores.dtype, torch.float32))
        ctx.save_for_backward(q, k, v, bias, weights)
        return torch.bmm(weights.to(v.dtype), v)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        return TwiceAttentionDerivative.apply(gradient.contiguous(), *ctx.saved_tensors)


class BiasedAttention(torch.autograd.Function):
    """softmax(q k^T / sqrt(d) + bias) v for q, k, v (B, heads, n, d) and bias (heads, n, n), differentiable once.

    Forward is PyTorch's fused kernel, which keeps one number a row instead of n x n weights. Backward forms the weights
    again from that number (the logarithm of each row's sum), a few images at a time, as flash attention does (Dao et
    al. 2022, algorithm 4), and adds up the bias's gradient on the way.
    """

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, bias: Tensor) -> Tensor:
        fused = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
        out, logsum = fused(q, k, v, attn_mask=bias.unsqueeze(0))
        ctx.save_for_backward(q, k, v, bias, out, logsum)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        q, k, v, bias, out, logsum = ctx.saved_tensors
        scale, tokens = q.shape[-1] ** -0.5, q.shape[-2]
        of_q, of_k, of_v = (torch.empty_like(tensor) for tensor in (q, k, v))
        of_bias = torch.zeros_like(bias)
        step = max(1, CHUNK // (q.shape[1] * tokens * tokens))
        for part in (slice(start, start + step) for start in range(0, len(q), step)):
            scores = (q[part] @ k[part].transpose(-2, -1)).to(bias.dtype)
            weights = scores.mul_(scale).add_(bias).sub_(logsum[part].unsqueeze(-1)).exp_()
            of_v[part] = weights.to(q.dtype).transpose(-2, -1) @ gradient[part]
            inner = (gradient[part] * out[part]).sum(dim=-1, keepdim=True, dtype=bias.dtype)
            of_scores = (gradient[part] @ v[part].transpose(-2, -1)).to(bias.dtype).sub_(inner).mul_(weights)
            of_bias += of_scores.sum(dim=0)
            of_scores = of_scores.mul_(scale).to(q.dtype)
            of_q[part] = of_scores @ k[part]
            of_k[part] = of_scores.transpose(-2, -1) @ q[part]
        return of_q, of_k, of_v, of_bias

    @staticmethod
    def applies(q: Tensor, bias: Tensor | None) -> bool:
        """Whether the bias needs a gradient on the CPU, on enough tokens to pay; compiled code has its own way."""
        return (
            q.shape[-2] >= LEAST_TOKENS
            and bias is not None
            and bias.requires_grad
            and torch.is_grad_enabled()
            and q.device.type == "cpu"
            and not torch.compiler.is_compiling()
        )
