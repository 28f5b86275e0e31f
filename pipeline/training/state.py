"""The networks of a training with their optimisers and objective: built, averaged, compared over processes."""

import copy
from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.networks.distributed import all_reduce_max, broadcast, world
from pipeline.networks.families import load_attribute
from pipeline.networks.interface import Discriminator, Generator, build_discriminator, build_generator
from pipeline.networks.spec import NetworkSpec
from pipeline.training.config import TrainConfig
from pipeline.training.execution import copied_out
from pipeline.training.losses import Loss
from pipeline.training.penalties import Penalty
from pipeline.training.registry import LOSSES, NO_PENALTY, PENALTIES


@dataclass
class Networks:
    """Both networks, the generator's weight average, the optimisers, and the objective."""

    generator: Generator
    ema: Generator
    discriminator: Discriminator
    optimizer_g: torch.optim.Optimizer
    optimizer_d: torch.optim.Optimizer
    loss: Loss
    penalty: Penalty | None

    @property
    def modules(self) -> tuple[Generator, Generator, Discriminator]:
        """G, its average and D."""
        return self.generator, self.ema, self.discriminator


def build(spec: NetworkSpec, config: TrainConfig, device: torch.device) -> Networks:
    """Initialise on the CPU from the global generator, so that weights do not depend on the device, then move.

    All processes start with those of process 0: the CPUs of several hosts may round differently.
    """
    generator, discriminator = build_generator(spec).to(device), build_discriminator(spec).to(device)
    for network in (generator, discriminator):
        network.set_recompute(config.recompute)
        for tensor in network.state_dict().values() if world() > 1 else ():
            broadcast(tensor)
    ema = copy.deepcopy(generator).eval().requires_grad_(False)
    if config.execution == "compiled_graphs":
        for parameter in (*generator.parameters(), *discriminator.parameters()):
            parameter.register_hook(copied_out)
    optimizer_g, optimizer_d = (
        torch.optim.Adam(network.parameters(), lr=config.lr, betas=(config.beta1, config.beta2), fused=True)
        for network in (generator, discriminator)
    )
    loss = load_attribute(LOSSES[config.loss])()
    penalty = load_attribute(PENALTIES[config.penalty])(config.penalty_target) if config.penalty != NO_PENALTY else None
    return Networks(generator, ema, discriminator, optimizer_g, optimizer_d, loss, penalty)


@torch.no_grad()
def update_ema(ema: Generator, generator: Generator, beta: float) -> None:
    """ema <- beta ema + (1 - beta) generator for parameters; statistics (of batch norm) are copied."""
    torch._foreach_lerp_(list(ema.parameters()), list(generator.parameters()), 1 - beta)
    pairs = zip(ema.buffers(), generator.buffers(), strict=True)
    # Constants never change and counters are not read: neither is worth a kernel a step.
    statistics = [pair for pair in pairs if pair[0].is_floating_point() and pair[0].numel()]
    if statistics:
        averages, values = zip(*statistics, strict=True)
        torch._foreach_copy_(averages, values)


@torch.no_grad()
def ema_distance(generator: Generator, ema: Generator) -> Tensor:
    """||G - EMA||_2 / ||G||_2 over all parameters: how far the average lies behind; a scalar on the device."""
    squares = [
        ((one - other).square().sum(), one.square().sum())
        for one, other in zip(generator.parameters(), ema.parameters(), strict=True)
    ]
    apart, size = (torch.stack(parts).float().sum() for parts in zip(*squares, strict=True))
    return (apart / size).sqrt()


def all_finite(networks: Networks) -> bool:
    """Whether every parameter is, in every process."""
    broken = any(not weight.isfinite().all() for module in networks.modules for weight in module.parameters())
    return not all_reduce_max(int(broken))


@torch.no_grad()
def same_everywhere(networks: Networks) -> bool:
    """Whether all processes have the same weights, to the bit."""
    if world() == 1:
        return True
    # Sums of integers do not depend on their order.
    sums = [weight.flatten().view(torch.int32).sum() for module in networks.modules for weight in module.parameters()]
    checksum = int(torch.stack(sums).sum() % 2**62)
    return all_reduce_max(checksum) == checksum == -all_reduce_max(-checksum)
