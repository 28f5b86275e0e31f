"""Where a generator's tokens look, and what its relative positions learned.

No part of training: `pipeline.networks.families` names this module apart from the networks, so an edit trains nothing
again.
"""

from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from pipeline.networks.interface import AttentionMaps
from pipeline.networks.transgan.attention import GridAttention, RelativePosition, SelfAttention
from pipeline.networks.transgan.networks import Generator, GeneratorStage

LARGEST = 64  # tokens a side of the largest map looked at: full attention on more does not fit into memory


def attention_maps(generator: Generator, latents: Tensor, *, seed: int) -> AttentionMaps:
    """The last block on the largest map of at most 64 x 64 tokens, for latents (B, latent_dim)."""
    stages = cast(list[GeneratorStage], list(generator.stages))  # or of a related family: with side and blocks
    index, stage = max(
        ((index, stage) for index, stage in enumerate(stages) if stage.side <= LARGEST),
        key=lambda entry: (entry[1].side, entry[0]),
    )
    module = list(stage.blocks)[-1].attention
    assert isinstance(module, SelfAttention)
    queries = sorted({(stage.side // 4, stage.side // 4), (stage.side // 2, stage.side // 2)})
    places = [y * stage.side + x for y, x in queries]
    weights = effective_attention(generator, module, latents, places, seed=seed)
    return AttentionMaps(
        kind=kind(module),
        stage=index,
        side=stage.side,
        window=getattr(module, "window", stage.side),
        queries=queries,
        weights=weights.unflatten(-1, (stage.side, stage.side)).numpy(),
        tables=tables(module),
    )


def effective_attention(
    generator: Generator, module: SelfAttention, latents: Tensor, queries: list[int], *, seed: int
) -> Tensor:
    """Weights (B, heads, queries, N) with which each query token of `module` mixes the values of all N tokens.

    Every kind of attention is linear in its values, so a query's weights are the gradient of its output with respect to
    values of one channel: exact for grid, axis and Nystroem attention too, whatever they form inside.
    """
    mix = module.mix
    kept: dict[str, Tensor] = {}

    def keeping(q: Tensor, k: Tensor, v: Tensor, *, fused: bool) -> Tensor:
        kept["q"], kept["k"] = q, k
        return mix(q, k, v, fused=fused)

    module.mix = keeping  # type: ignore[method-assign]  # a method of this one module, taken off again below
    try:
        with torch.no_grad():
            torch.manual_seed(seed)
            generator(latents)
    finally:
        del module.mix
    q, k = kept["q"], kept["k"]
    values = torch.zeros(*q.shape[:-1], 1, requires_grad=True)
    mixed = mix(q, k, values, fused=False)
    rows = [torch.autograd.grad(mixed[..., query, 0].sum(), values, retain_graph=True)[0][..., 0] for query in queries]
    return torch.stack(rows, dim=2).detach()


def tables(module: SelfAttention) -> list[tuple[str, np.ndarray]]:
    """(name, table (heads, 2h - 1, 2w - 1)) of the relative positions of a block; none where it has none.

    Rows and columns are turned so that they are the key's offset from the query: the table is indexed by the opposite.
    """
    position = module.relative_position
    if position is None:
        return []
    parts = dict(position.items()) if isinstance(position, nn.ModuleDict) else {"": position}
    tables_of = {name: part for name, part in parts.items() if isinstance(part, RelativePosition)}
    return [(f"_{name}" if name else "", _table(part, module, name)) for name, part in tables_of.items()]


def _table(part: RelativePosition, module: SelfAttention, axis: str) -> np.ndarray:
    side = module.window if isinstance(module, GridAttention) else module.side
    height, width = {"rows": (1, side), "columns": (side, 1)}.get(axis, (side, side))
    table = part.table.detach().t().reshape(-1, 2 * height - 1, 2 * width - 1)
    return table.flip(1, 2).numpy()


def kind(module: SelfAttention) -> str:
    """grid, axis, nystrom or standard."""
    return type(module).__name__.removesuffix("Attention").lower().replace("self", "standard")
