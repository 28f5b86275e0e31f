"""What all passes of one training step share: weights cast once, tensors that depend on parameters alone computed
once.
"""

from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call

from pipeline.networks.interface import Linear, Network, StepConstant
from pipeline.training.config import TrainConfig


def copied_out(gradient: Tensor | None) -> Tensor | None:
    """A hook of tensors with gradients: the next replay of a CUDA graph would overwrite one that is not copied.

    None where a pass gives a parameter no gradient.
    """
    return None if gradient is None else gradient.clone()


class StepCache:
    """`network` as a function for one step: `cache(images)`; after the step's backward passes, `cache.finish()`.

    bf16: weights of linear layers are cast to bf16 here, everything else stays fp32 and the passes run under autocast,
    so that norms, sums of residuals and softmax keep fp32 where autocast says so. The casts are part of the graph:
    gradients arrive in the fp32 weights, and are summed there. A shared tensor is a leaf whose gradient all passes add
    to; `finish` takes it through its computation once. With `recompute` nothing is shared: a block that computes itself
    again must find the tensors it had.
    """

    def __init__(self, network: Network, config: TrainConfig):
        self.network, self.half = network, config.precision == "bf16"
        self.device = network.device
        self.tensors: dict[str, Tensor] = {}
        self.shared: list[tuple[Tensor, Tensor]] = []
        network.start_step()
        if config.recompute:
            return
        for name, child in network.named_modules():
            if isinstance(child, StepConstant):
                value = child.compute()
                self.tensors[f"{name}.shared"] = leaf = value.detach().requires_grad_(value.requires_grad)
                if value.requires_grad and config.execution == "compiled_graphs":
                    leaf.register_hook(copied_out)
                self.shared.append((value, leaf))
            elif self.half and isinstance(child, Linear) and not child.full_precision:
                self.tensors |= {f"{name}.{key}": weight.bfloat16() for key, weight in child.named_parameters()}

    def __call__(self, inputs: Tensor, **settings: Any) -> Tensor:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.half):
            return functional_call(self.network, self.tensors, (inputs,), settings)

    def finish(self) -> None:
        """Take the gradients of the shared tensors to their parameters."""
        pairs = [(value, leaf.grad) for value, leaf in self.shared if leaf.grad is not None]
        if pairs:
            values, gradients = zip(*pairs, strict=True)
            torch.autograd.backward(values, gradients)
