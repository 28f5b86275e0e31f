"""One batch over several processes: which of its rows are this process's, and sums over all of them.

Every process draws the random numbers of the whole batch and takes its rows, so the number of processes changes nothing
but the order of sums. With one process every function here gives back what it got, or plain torch's result.
Gradients are reduced by hand: DistributedDataParallel does not support a second derivative (docs/explanation/).
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor

# Of what a network is shown: how many batches stand end to end in it, and whether it is shown a second time.
_shown = {"stacked": 1, "again": False}


def world() -> int:
    """The number of processes that train this cell together; 1 where no group was joined."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """The number of this process, from 0. Process 0 writes."""
    return dist.get_rank() if world() > 1 else 0


def part_rows(size: int, count: int) -> list[slice]:
    """This process's rows of each of `count` equal parts of a batch of `size` images.

    Each part is divided over the processes: part k has the same images, however many there are.
    """
    part, own = size // count, size // (count * world())
    return [slice(k * part + rank() * own, k * part + (rank() + 1) * own) for k in range(count)]


@contextmanager
def shown_batches(**facts: int) -> Iterator[None]:
    """Inside, networks are shown `stacked` batches end to end: the rows that `normal` takes are those of each.

    `again`: what is computed was computed before, and running statistics have it already.
    """
    before = dict(_shown)
    _shown.update(facts)
    try:
        yield
    finally:
        _shown.update(before)


def normal(rows: int, *shape: int, like: Tensor, divided: bool) -> Tensor:
    """N(0, 1) of shape (rows, *shape), in the dtype and on the device of `like`.

    `divided`: `rows` are this process's share of a batch, for all of which numbers are drawn.
    """
    processes = world() if divided else 1
    drawn = torch.randn(rows * processes, *shape, device=like.device, dtype=like.dtype)
    return drawn if processes == 1 else drawn.unflatten(0, (_shown["stacked"], processes, -1))[:, rank()].flatten(0, 1)


class _Total(torch.autograd.Function):
    """The sum over processes. Its derivative is the sum of the derivatives: it can be taken any number of times."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        summed = x.detach().clone(memory_format=torch.contiguous_format)
        dist.all_reduce(summed)
        return summed

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return _Total.apply(gradients[0])


def mean(x: Tensor) -> Tensor:
    """The mean of x over the processes, differentiable any number of times."""
    return x if world() == 1 else _Total.apply(x) / world()


def gather_rows(x: Tensor) -> Tensor:
    """Rows of all processes (B, ...) from this one's (B / processes, ...), differentiable any number of times."""
    if world() == 1:
        return x
    around = [0, 0] * (x.dim() - 1) + [rank() * len(x), (world() - 1 - rank()) * len(x)]
    return _Total.apply(F.pad(x, around))


def own_rows(x: Tensor) -> Tensor:
    """This process's rows of a whole batch: the inverse of `gather_rows`."""
    own = len(x) // world()
    return x if world() == 1 else x[rank() * own : (rank() + 1) * own]


@torch.no_grad()
def average(tensors: Sequence[Tensor]) -> None:
    """Put the mean over the processes into every tensor, in place, by one reduction of all of them laid end to end."""
    if world() == 1 or not tensors:
        return
    flat = torch.cat([tensor.flatten() for tensor in tensors])
    dist.all_reduce(flat)
    flat /= world()
    pieces = flat.split([tensor.numel() for tensor in tensors])
    torch._foreach_copy_(list(tensors), [piece.view_as(tensor) for piece, tensor in zip(pieces, tensors, strict=True)])


def broadcast(x: Tensor) -> Tensor:
    """x as process 0 has it, so that all decide by the same number."""
    if world() > 1:
        dist.broadcast(x, 0)
    return x


def all_reduce_max(number: int) -> int:
    """The largest number that a process gives; every process has to call it. The host alone waits, no device does."""
    if world() == 1:
        return number
    value = torch.tensor([number])
    dist.all_reduce(value, op=dist.ReduceOp.MAX)
    return int(value)


def batch_norm(module: Any, x: Tensor, usual: Callable[[Tensor], Tensor]) -> Tensor:
    """Batch normalisation (torch.nn.BatchNorm's `module`) of x (B, C, ...) by the statistics of the whole batch.

    `usual` is the module's own computation, taken with one process and in evaluation. The variance is a second sum and
    not E[x^2] - E[x]^2, which loses digits where the mean is large.
    """
    running = module.running_mean is not None
    by_batch = module.training or not running
    if world() == 1 and by_batch and running and _shown["again"]:
        copies = module.running_mean.clone(), module.running_var.clone()
        return F.batch_norm(x, *copies, module.weight, module.bias, True, module.momentum, module.eps)
    if world() == 1 or not by_batch:
        return usual(x)
    places = [0, *range(2, x.dim())]
    shape = [1, -1] + [1] * (x.dim() - 2)
    precise = x.to(torch.promote_types(x.dtype, torch.float32))
    centre = mean(precise.mean(dim=places))
    centred = precise - centre.view(shape)
    variance = mean(centred.square().mean(dim=places))
    if running and not _shown["again"]:
        count = world() * x.numel() // x.shape[1]
        with torch.no_grad():
            module.num_batches_tracked.add_(1)
            module.running_mean.lerp_(centre.to(module.running_mean.dtype), module.momentum)
            module.running_var.lerp_((variance * (count / (count - 1))).to(module.running_var.dtype), module.momentum)
    normed = centred * torch.rsqrt(variance + module.eps).view(shape)
    return (normed * module.weight.view(shape) + module.bias.view(shape)).to(x.dtype)
