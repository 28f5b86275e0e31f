"""How a step is computed: precision of products, weights cast once, passes compiled."""

import os
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call
from torch.utils._pytree import tree_map

from pipeline.networks.interface import Linear, Network, StepConstant
from pipeline.training.config import TrainConfig


def set_kernels(config: TrainConfig, device: torch.device) -> None:
    """Which kernels this process uses: threads, products in strict fp32 or TF32, deterministic ones on a GPU."""
    torch.set_num_threads(config.threads)
    # Products and convolutions have switches of their own, whose defaults differ.
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = config.precision == "tf32"
    # cuDNN's attention is the silent first choice on Hopper alone, and its gradients can be NaN with a bias (pytorch
    # issue 196678). Without it an A100, a 4090 and an H200 run the same kernels.
    torch.backends.cuda.enable_cudnn_sdp(False)
    if device.type == "cuda":
        # A GPU has to be asked for deterministic kernels; those that have none warn (docs/how-to/gpu.md). The CPU's
        # kernels used here are deterministic without the switch, which imports the whole compiler (3 s).
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
        torch.use_deterministic_algorithms(True, warn_only=True)


class BFloat16Copies(torch.autograd.Function):
    """fp32 tensors -> bf16 copies, by one kernel for all of them; their gradients come back in fp32 in the same way."""

    @staticmethod
    def forward(ctx: Any, *tensors: Tensor) -> tuple[Tensor, ...]:
        ctx.set_materialize_grads(False)
        return _copies(tensors, torch.bfloat16)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        copies = iter(_copies([gradient for gradient in gradients if gradient is not None], torch.float32))
        return tuple(None if gradient is None else next(copies) for gradient in gradients)


def _copies(tensors: Any, dtype: torch.dtype) -> tuple[Tensor, ...]:
    copies = [torch.empty_like(tensor, dtype=dtype) for tensor in tensors]
    if copies:
        torch._foreach_copy_(copies, list(tensors))
    return tuple(copies)


class StepNetwork:
    """`network` as a function for one step: `call(images)`; after the step's backward passes, `call.finish()`.

    All passes of the step share what depends on parameters alone: a leaf whose gradient they add to, which `finish`
    takes through its computation once. bf16: weights of linear layers are cast here, as part of the graph, so that
    gradients are summed in fp32; all else stays fp32 and runs under autocast. With `recompute` nothing is shared: a
    block that computes itself again must find the tensors it had.
    """

    def __init__(self, network: Network, config: TrainConfig):
        self.network, self.config, self.bf16 = network, config, config.precision == "bf16"
        self.tensors: dict[str, Tensor] = {}
        self.shared: list[tuple[Tensor, Tensor]] = []
        network.start_step()
        if config.recompute:
            return
        weights: dict[str, Tensor] = {}
        for name, child in network.named_modules():
            if isinstance(child, StepConstant):
                value = child.compute()
                self.tensors[f"{name}.shared"] = leaf = value.detach().requires_grad_(value.requires_grad)
                if value.requires_grad and config.execution == "compiled_graphs":
                    leaf.register_hook(copied_out)
                self.shared.append((value, leaf))
            elif self.bf16 and isinstance(child, Linear) and not child.full_precision:
                weights |= {f"{name}.{key}": weight for key, weight in child.named_parameters()}
        if weights:
            self.tensors |= zip(weights, BFloat16Copies.apply(*weights.values()), strict=True)

    def __call__(self, inputs: Tensor, **settings: Any) -> Tensor:
        with torch.autocast(self.network.device.type, torch.bfloat16, enabled=self.bf16):
            return functional_call(self.network, self.tensors, (inputs,), settings)

    def finish(self) -> None:
        """Take the gradients of the shared tensors to their parameters."""
        pairs = [(value, leaf.grad) for value, leaf in self.shared if leaf.grad is not None]
        if pairs:
            values, gradients = zip(*pairs, strict=True)
            torch.autograd.backward(values, gradients)


def add_gradients(loss: Tensor, *networks: StepNetwork) -> None:
    """`loss.backward()`; gradients that are there are added to by one kernel for all, where PyTorch takes one each."""
    leaves = [leaf for one in networks for leaf in (*one.network.parameters(), *(leaf for _, leaf in one.shared))]
    earlier = [(leaf, leaf.grad) for leaf in leaves if leaf.grad is not None]
    for leaf, _ in earlier:
        leaf.grad = None
    loss.backward()
    if both := [(gradient, leaf.grad) for leaf, gradient in earlier if leaf.grad is not None]:
        torch._foreach_add_(*zip(*both, strict=True))
    for leaf, gradient in earlier:
        leaf.grad = gradient


@cache
def compiled(function: Callable, execution: str) -> Callable:
    """`function` as `execution` says; a compiled one takes up to minutes at its first call."""
    if execution == "eager":
        return function
    mode = "reduce-overhead" if execution == "compiled_graphs" else None
    whole: Callable = torch.compile(function, fullgraph=True, dynamic=False, mode=mode)

    def replay(*arguments: object, **settings: object) -> object:
        torch.compiler.cudagraph_mark_step_begin()
        return tree_map(torch.clone, whole(*arguments, **settings))  # the next replay overwrites what it returned

    return replay if mode else whole


def copied_out(gradient: Tensor | None) -> Tensor | None:
    """A hook of tensors with gradients (None: there is none): the next replay of a CUDA graph would overwrite them."""
    return None if gradient is None else gradient.clone()
