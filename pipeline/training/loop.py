"""The training loop. The clock is kimg: thousands of real images shown to D."""

import copy
import math
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from pipeline.images import to_uint8
from pipeline.model.generator import Generator
from pipeline.training.config import TrainConfig, TrainPlan
from pipeline.training.data import RealImages
from pipeline.training.progress import Progress
from pipeline.training.step import Networks, build, discriminator_step, ema_beta, generator_step

FIXED_LATENTS_SEED = 0      # the same latents in every cell, so that grids of variants can be compared image by image


@dataclass
class Outcome:
    """What a run leaves: networks, one history row a tick, fixed-latent grids (uint8, N C H W) and their kimg."""

    networks: Networks
    status: str = "ok"                      # ok | diverged
    kimg: float = 0.0
    history: list[dict[str, float]] = field(default_factory=list)
    grids: list[np.ndarray] = field(default_factory=list)
    grids_kimg: list[float] = field(default_factory=list)


def train(plan: TrainPlan, images: np.ndarray, device: torch.device, progress: Progress) -> Outcome:
    """Train one cell on images (N, C, H, W) uint8.

    Deterministic on the CPU: same plan, images and machine give the same bytes. A loss, gradient or weight that is not
    finite ends the run with status `diverged` and the weights of the last tick at which all were.
    """
    config = plan.train
    torch.set_num_threads(config.threads)
    if device.type == "cuda":
        # The CPU's kernels used here are deterministic as they are, and the switch alone imports the whole compiler (3 s).
        torch.use_deterministic_algorithms(True, warn_only=True)
    torch.manual_seed(plan.seed)
    outcome = Outcome(networks=build(plan.network, config, device))
    data = RealImages(images, seed=plan.seed, flip=config.flip, device=device)
    per_step = config.critic_steps * config.batch_discriminator
    # Rounded first: 32.24 kimg are 403 steps of 80 images, and 403.00000000000006 in floating point.
    steps = math.ceil(round(config.kimg * 1000 / per_step, 6))
    ticks, snapshots = _moments(steps, config.ticks), _moments(steps, config.snapshots)
    latents = torch.randn(config.snapshot_images, plan.network.generator.latent_dim, generator=torch.Generator().manual_seed(FIXED_LATENTS_SEED))
    _snapshot(outcome, latents.to(device), kimg=0.0)
    last_good, scalars = _weights(outcome.networks), []
    progress.start(steps * per_step / 1000)
    for step in range(1, steps + 1):
        _set_rates(outcome.networks, config, 1 - (step - 1) / steps)
        scalars.append(iteration(outcome.networks, data, config, step))
        if step in ticks:
            row = _row(scalars, kimg=step * per_step / 1000, step=step)
            if not (all(math.isfinite(value) for value in row.values()) and _finite(outcome.networks)):
                outcome.status = "diverged"
                _restore(outcome.networks, last_good)
                _drop_snapshots(outcome)
                break
            outcome.kimg, scalars = row["kimg"], []
            outcome.history.append(row)
            last_good = _weights(outcome.networks)
            progress.tick(row)
        if step in snapshots:
            _snapshot(outcome, latents.to(device), kimg=step * per_step / 1000)
    progress.stop(outcome.status)
    return outcome


def iteration(networks: Networks, data: RealImages, config: TrainConfig, step: int) -> dict[str, Tensor]:
    """The D steps and the G step of iteration `step` (from 1)."""
    size, scalars = config.batch_discriminator, {}
    for critic in range(config.critic_steps):
        number = (step - 1) * config.critic_steps + critic
        real = data.batch(number * size, size)
        scalars |= discriminator_step(networks, real, config, penalised=number % config.penalty_interval == 0)
    images = step * config.critic_steps * size
    return scalars | generator_step(networks, config, ema_beta=ema_beta(config, images))


def _moments(steps: int, count: int) -> set[int]:
    """`count` steps (or all, if fewer) spread evenly over 1..steps, the last always among them."""
    return {round(steps * (index + 1) / count) for index in range(count)} - {0} | {steps}


def _set_rates(networks: Networks, config: TrainConfig, remaining: float) -> None:
    rate = config.lr * remaining if config.lr_decay else config.lr
    for optimizer in (networks.optimizer_g, networks.optimizer_d):
        for group in optimizer.param_groups:
            group["lr"] = rate


def _row(scalars: list[dict[str, Tensor]], *, kimg: float, step: int) -> dict[str, float]:
    """Means over a tick of whatever the steps reported; the only time that scalars leave the device."""
    names = sorted({name for entry in scalars for name in entry})
    means = torch.stack([torch.stack([entry[name] for entry in scalars if name in entry]).float().mean() for name in names])
    values = dict(zip(names, means.tolist(), strict=True))
    values["wasserstein"] = values["score_real"] - values["score_fake"]
    return {"kimg": kimg, "step": step, **dict(sorted(values.items()))}


@torch.no_grad()
def _snapshot(outcome: Outcome, latents: Tensor, *, kimg: float) -> None:
    """Keep a grid of the fixed latents. Training's random numbers stay as they are, even where a network draws noise."""
    with torch.random.fork_rng([latents.device] if latents.is_cuda else []):
        outcome.grids.append(to_uint8(outcome.networks.ema(latents)).cpu().numpy())
    outcome.grids_kimg.append(kimg)


def _drop_snapshots(outcome: Outcome) -> None:
    """Drop the grids drawn after the last tick at which everything was finite."""
    kept = sum(kimg <= outcome.kimg for kimg in outcome.grids_kimg)
    outcome.grids, outcome.grids_kimg = outcome.grids[:kept], outcome.grids_kimg[:kept]


def _modules(networks: Networks) -> tuple[Generator, Generator, torch.nn.Module]:
    return networks.generator, networks.ema, networks.discriminator


def _weights(networks: Networks) -> list[dict[str, Tensor]]:
    return [copy.deepcopy(module.state_dict()) for module in _modules(networks)]


def _restore(networks: Networks, weights: list[dict[str, Tensor]]) -> None:
    for module, state in zip(_modules(networks), weights, strict=True):
        module.load_state_dict(state)


def _finite(networks: Networks) -> bool:
    return all(bool(parameter.isfinite().all()) for module in _modules(networks) for parameter in module.parameters())
