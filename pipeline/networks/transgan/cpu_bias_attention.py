"""Fused attention with a learned bias on the CPU, where PyTorch has none: its fused kernel gives no gradient to a
mask.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

CHUNK = 2**22  # scores held at a time in the backward pass: 16 MiB in fp32
LEAST = 128  # tokens; on fewer PyTorch's explicit path is as fast and its n x n weights are small (measured)


class BiasedAttention(torch.autograd.Function):
    """softmax(q k^T / sqrt(d) + bias) v for q, k, v (B, heads, n, d) and bias (heads, n, n), differentiable once.

    Forward is PyTorch's fused kernel, which keeps one number a row instead of n x n weights. Backward forms the weights
    again from that number (the logarithm of each row's sum), a few images at a time, as flash attention does (Dao et
    al. 2022, algorithm 4), and adds up the bias's gradient on the way.
    """

    @staticmethod
    def forward(q: Tensor, k: Tensor, v: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        return torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(q, k, v, attn_mask=bias.unsqueeze(0))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor, Tensor], output: tuple[Tensor, Tensor]) -> None:
        ctx.save_for_backward(*inputs, *output)
        ctx.mark_non_differentiable(output[1])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor, _: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        q, k, v, bias, out, logsum = ctx.saved_tensors
        scale, tokens = q.shape[-1] ** -0.5, q.shape[-2]
        of_q, of_k, of_v = (torch.empty_like(tensor) for tensor in (q, k, v))
        of_bias = torch.zeros_like(bias)
        step = max(1, CHUNK // (q.shape[1] * tokens * tokens))
        for part in (slice(start, start + step) for start in range(0, len(q), step)):
            weights = (
                (q[part] @ k[part].transpose(-2, -1))
                .to(bias.dtype)
                .mul_(scale)
                .add_(bias)
                .sub_(logsum[part].unsqueeze(-1))
                .exp_()
            )
            of_v[part] = weights.to(q.dtype).transpose(-2, -1) @ gradient[part]
            inner = (gradient[part] * out[part]).sum(dim=-1, keepdim=True, dtype=bias.dtype)
            of_scores = (gradient[part] @ v[part].transpose(-2, -1)).to(bias.dtype).sub_(inner).mul_(weights)
            of_bias += of_scores.sum(dim=0)
            of_scores = of_scores.mul_(scale).to(q.dtype)
            of_q[part] = of_scores @ k[part]
            of_k[part] = of_scores.transpose(-2, -1) @ q[part]
        return of_q, of_k, of_v, of_bias


def biased_attention(q: Tensor, k: Tensor, v: Tensor, bias: Tensor) -> Tensor:
    """The value alone, (B, heads, n, d)."""
    return BiasedAttention.apply(q, k, v, bias)[0]


def applies(q: Tensor, bias: Tensor | None) -> bool:
    """Whether the bias needs a gradient on the CPU, on enough tokens to pay; compiled code has its own way."""
    return (
        q.shape[-2] >= LEAST
        and bias is not None
        and bias.requires_grad
        and torch.is_grad_enabled()
        and q.device.type == "cpu"
        and not torch.compiler.is_compiling()
    )
