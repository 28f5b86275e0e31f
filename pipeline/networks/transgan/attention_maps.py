"""Where a generator's tokens look, and what its relative positions learned. No part of training."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from pipeline.networks.interface import AttentionMaps
from pipeline.networks.transgan.attention import RelativePosition, SelfAttention
from pipeline.networks.transgan.networks import Generator

LARGEST = 64  # tokens a side of the largest map looked at: full attention on more does not fit into memory


def attention_maps(generator: Generator, latents: Tensor, *, seed: int) -> AttentionMaps:
    """The last block on the largest map of at most 64 x 64 tokens, for latents (B, latent_dim)."""
    stages: list[Any] = list(generator.stages)
    side, index = max((stage.side, index) for index, stage in enumerate(stages) if stage.side <= LARGEST)
    module = stages[index].blocks[-1].attention
    queries = sorted({(side // 4, side // 4), (side // 2, side // 2)})
    weights = effective_attention(generator, module, latents, [y * side + x for y, x in queries], seed=seed)
    return AttentionMaps(
        kind=module.kind,
        stage=index,
        side=side,
        window=module.window,
        queries=queries,
        weights=weights.unflatten(-1, (side, side)).numpy(),
        tables=tables(module),
    )


def effective_attention(
    generator: Generator, module: SelfAttention, latents: Tensor, queries: list[int], *, seed: int
) -> Tensor:
    """Weights (B, heads, queries, N) with which each query token of `module` mixes the values of all N tokens.

    Every kind of attention is linear in its values, so a query's weights are the gradient of its output with respect to
    values of one channel: exact for grid, axis and Nystroem attention too, whatever they form inside.
    """
    kept: list[Tensor] = []
    hook = module.qkv.register_forward_hook(lambda _module, _inputs, qkv: kept.append(qkv))
    with hook, torch.no_grad():
        torch.manual_seed(seed)
        generator(latents)
    q, k, _ = kept[0].unflatten(-1, (3, module.heads, -1)).permute(2, 0, 3, 1, 4)
    values = torch.zeros(*q.shape[:-1], 1, requires_grad=True)
    mixed = module.mix(q, k, values, fused=False)
    rows = [torch.autograd.grad(mixed[..., query, 0].sum(), values, retain_graph=True)[0][..., 0] for query in queries]
    return torch.stack(rows, dim=2).detach()


def tables(module: SelfAttention) -> list[tuple[str, np.ndarray]]:
    """(name, table (heads, 2h - 1, 2w - 1)) of the relative positions of a block; none where it has none.

    Rows and columns are turned so that they are the key's offset from the query: the table is indexed by the opposite.
    """
    found = []
    for name, part in module.named_modules():
        if isinstance(part, RelativePosition):
            table = part.table.detach().t().reshape(-1, 2 * part.height - 1, 2 * part.width - 1)
            axis = name.removeprefix("relative_position").replace(".", "_")  # "", or "_rows" and "_columns"
            found.append((axis, table.flip(1, 2).numpy()))
    return found
