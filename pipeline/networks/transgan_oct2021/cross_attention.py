"""Attention from the tokens of a map to a latent sequence, which the released code calls self-modulation."""

from torch import Tensor, nn, zeros

from pipeline.networks.linear import Linear
from pipeline.networks.transgan.attention import attend


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
        self.noise_strength = nn.Parameter(zeros(()))

    def forward(self, x: Tensor, sequence: Tensor) -> Tensor:
        q = self._divided(self.query(x))
        k, v = self._divided(self.key(sequence)), self._divided(self.value(sequence))
        found: Tensor = self.proj(attend(q, k, v, None, fused=True).transpose(1, 2).flatten(2))
        return x + found

    def _divided(self, t: Tensor) -> Tensor:
        """(B, n, C) -> (B, heads, n, C / heads)."""
        return t.unflatten(-1, (self.heads, -1)).transpose(1, 2)
