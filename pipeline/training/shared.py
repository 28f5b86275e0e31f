"""What all passes of one training step share: weights cast once, relative-position biases gathered once."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from pipeline.model.attention import RelativePosition
from pipeline.training.config import TrainConfig

# Computed in fp32 whatever the precision (see their modules): what leaves a network are pixels and scores.
IN_FP32 = ("to_rgb", "head")


class Shared:
    """`module` as a function for one step: `shared(images)`; after the step's backward passes, `shared.finish()`.

    bf16: linear weights are cast to bf16 here, everything else stays fp32 and the passes run under autocast, so that
    norms, sums of residuals and softmax keep fp32 where autocast says so. The casts are part of the graph: gradients arrive
    in the fp32 weights, and are summed there. A gathered bias is a leaf whose gradient all passes add to; `finish` takes it
    through the gathering once.
    With `recompute` nothing is shared: a block that computes itself again must find the tensors it had.
    """

    def __init__(self, module: nn.Module, config: TrainConfig):
        self.module, self.half = module, config.precision == "bf16"
        self.device = next(module.parameters()).device.type
        self.tensors: dict[str, Tensor] = {}
        self.gathered: list[tuple[Tensor, Tensor]] = []
        if config.recompute:
            return
        for name, child in module.named_modules():
            if isinstance(child, RelativePosition):
                bias = child.gather()
                self.tensors[f"{name}.gathered"] = leaf = bias.detach().requires_grad_(bias.requires_grad)
                self.gathered.append((bias, leaf))
            elif self.half and isinstance(child, nn.Linear) and name not in IN_FP32:
                self.tensors |= {f"{name}.{key}": weight.bfloat16() for key, weight in child.named_parameters()}

    def __call__(self, *arguments: Any, **settings: Any) -> Tensor:
        with torch.autocast(self.device, torch.bfloat16, enabled=self.half):
            return functional_call(self.module, self.tensors, arguments, settings)

    def finish(self) -> None:
        """Gradients of the gathered biases to their tables."""
        pairs = [(bias, leaf.grad) for bias, leaf in self.gathered if leaf.grad is not None]
        if pairs:
            torch.autograd.backward(*map(list, zip(*pairs, strict=True)))
