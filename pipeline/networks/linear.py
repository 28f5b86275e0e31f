"""The linear layer of both networks. On the CPU its fp32 products are oneDNN's.

PyTorch gives fp32 products to MKL, which on AMD processors does without AVX-512 and takes twice as long
(docs/performance.md); bf16 products and compiled code go to oneDNN anyway.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LEAST = (
    2**27
)  # multiplications; below, what it costs to come here from Python is more than what is gained (the demo's layers)
AVAILABLE = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")


class Product(torch.autograd.Function):
    """x (n, i), weight (o, i), bias (o) or None -> x weight^T + bias, (n, o). Its derivatives are products again, to
    any order.
    """

    @staticmethod
    def forward(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor | None], output: Tensor) -> None:
        ctx.save_for_backward(inputs[0], inputs[1])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        needs_x, needs_weight, needs_bias = ctx.needs_input_grad
        return (
            Product.apply(gradient, weight.t(), None) if needs_x else None,
            Product.apply(gradient.t(), x.t(), None) if needs_weight else None,
            gradient.sum(dim=0) if needs_bias else None,
        )


def applies(x: Tensor, weight: Tensor) -> bool:
    """Whether this is an eager fp32 product on the CPU, and large enough."""
    wanted = (
        AVAILABLE
        and x.numel() * weight.shape[0] >= LEAST
        and x.device.type == "cpu"
        and x.dtype == weight.dtype == torch.float32
    )
    return wanted and not torch.compiler.is_compiling() and not torch.is_autocast_enabled("cpu")


class Linear(nn.Linear):
    """x (..., i) -> x weight^T + bias, (..., o).

    `full_precision`: under bf16 its weights are not cast, for layers whose outputs are pixels or scores.
    """

    def __init__(self, inputs: int, outputs: int, bias: bool = True, *, full_precision: bool = False):
        super().__init__(inputs, outputs, bias)
        self.full_precision = full_precision

    def forward(self, x: Tensor) -> Tensor:
        if not applies(x, self.weight):
            return F.linear(x, self.weight, self.bias)
        return Product.apply(x.reshape(-1, x.shape[-1]), self.weight, self.bias).reshape(*x.shape[:-1], -1)
