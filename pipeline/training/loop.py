"""The training loop. The clock is kimg: thousands of real images shown to D."""

import copy
import math
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from pipeline.base.errors import UserError
from pipeline.base.images import to_uint8
from pipeline.networks.distributed import all_reduce_max, broadcast, world
from pipeline.networks.interface import Generator
from pipeline.training import divergence
from pipeline.training.config import TrainPlan
from pipeline.training.data import RealImages, subset
from pipeline.training.execution import set_kernels
from pipeline.training.state import Networks, build, scheduled
from pipeline.training.step import iteration

FIXED_LATENTS_SEED = 0  # the same latents in every cell, so that grids of variants can be compared image by image
SPREAD_LATENTS = 16  # of them, whose images' spread is in the history


@dataclass
class Outcome:
    """What a run leaves: networks, one history row a tick, fixed-latent grids (uint8, N C H W) and their kimg.

    With the second group of fields and the random number generators it is also all that a run goes on from.
    """

    networks: Networks
    real_spread: float = 0.0  # `divergence.real_spread` of the data set
    status: str = "ok"  # ok | diverged
    detail: str | None = None  # why it diverged
    kimg: float = 0.0  # of the weights
    history: list[dict[str, float]] = field(default_factory=list)
    machine: list[dict[str, float]] = field(default_factory=list)  # time and memory, a row a tick: no two runs agree
    grids: list[np.ndarray] = field(default_factory=list)
    grids_kimg: list[float] = field(default_factory=list)

    step: int = 0  # iterations done
    scalars: dict[str, list[Tensor]] = field(default_factory=dict)  # reported since the last tick, on the device
    last_good: list[dict[str, Tensor]] = field(default_factory=list)  # G, its average and D at the last healthy tick
    seconds: float = 0.0  # trained so far, all sittings together
    resumed: list[float] = field(default_factory=list)  # kimg at which it went on after an interruption
    processes: list[list[float]] = field(default_factory=list)  # [kimg, number]: by how many processes from there on


class Observer:
    """What `train` tells the outside, and asks of it. It can change no number of a training; this one does nothing.

    `pipeline.runs` has the real one: progress, checkpoints, signals.
    """

    def resume(self, outcome: Outcome) -> None:
        """Before the first iteration: may put back an earlier state."""

    def start(self, total_kimg: float, *, kimg: float, seconds: float) -> None:
        """Training begins at `kimg`, after `seconds` of earlier sittings."""

    def tick(self, row: dict[str, float], device: torch.device) -> dict[str, float]:
        """A row of the history is there; returns what the machine did meanwhile."""
        return {"kimg": row["kimg"]}

    def weights(self, outcome: Outcome, kimg: float) -> None:
        """The averaged generator of this moment is one to be kept."""

    def after_iteration(self, outcome: Outcome) -> None:
        """Keeps `outcome.seconds`, may store the state, may raise."""

    def stop(self, status: str) -> None:
        """Training has ended."""


def train(plan: TrainPlan, images: np.ndarray, device: torch.device, observer: Observer) -> Outcome:
    """Train one cell on images (N, C, H, W) uint8.

    Deterministic on the CPU: same plan, images and machine give the same bytes, however often the run is interrupted
    and resumed. A loss, gradient or weight that is not finite, or a collapse (`divergence.py`), ends the run with
    status `diverged` and the weights of the last healthy tick.
    Errors: `UserError` where processes that train together no longer have the same weights.
    """
    config = plan.train
    assert config.kimg is not None, "a plan has its budget in kimg"
    set_kernels(config, device)
    torch.manual_seed(plan.seed)
    images = subset(images, config.images)
    outcome = Outcome(build(plan.network, config, device), divergence.real_spread(images), processes=[[0.0, world()]])
    data = RealImages(images, seed=plan.seed, flip=config.flip, device=device)
    per_step = config.critic_steps * config.batch_discriminator
    # Rounded first: 32.24 kimg are 403 steps of 80 images, and 403.00000000000006 in floating point.
    steps = math.ceil(round(config.kimg * 1000 / per_step, 6))
    ticks, snapshots, kept = (
        {round(steps * (index + 1) / count) for index in range(count)} - {0} | {steps} if count else set()
        for count in (config.ticks, config.snapshots, config.weight_snapshots)
    )  # spread evenly over 1..steps, the last among them
    # In the parts that training itself computes at a time, so that they need no more memory than it does.
    at_once = config.batch_generator // (config.parts * world())
    latents, spread_latents = (
        torch.randn(count, outcome.networks.ema.latent_dim, generator=torch.Generator().manual_seed(FIXED_LATENTS_SEED))
        .to(device)
        .split(at_once)
        for count in (config.snapshot_images, SPREAD_LATENTS)
    )
    _snapshot(outcome, latents, kimg=0.0)
    outcome.last_good = copy.deepcopy([module.state_dict() for module in outcome.networks.modules])
    observer.resume(outcome)
    observer.start(steps * per_step / 1000, kimg=outcome.step * per_step / 1000, seconds=outcome.seconds)
    while outcome.step < steps and outcome.status == "ok":
        outcome.step += 1
        now, settings = outcome.step * per_step / 1000, scheduled(config, (outcome.step - 1) / steps)
        for name, value in iteration(outcome.networks, data, settings, outcome.step).items():
            outcome.scalars.setdefault(name, []).append(value)
        if outcome.step in ticks:
            _tick(outcome, spread_latents, now, observer, last=outcome.step == steps)
        if outcome.step in snapshots and outcome.status == "ok":
            _snapshot(outcome, latents, kimg=now)
        if outcome.step in kept and outcome.status == "ok":
            observer.weights(outcome, now)
        observer.after_iteration(outcome)
    if outcome.status == "ok":
        outcome.kimg = steps * per_step / 1000
    observer.stop(outcome.status)
    return outcome


def _tick(outcome: Outcome, latents: tuple[Tensor, ...], kimg: float, observer: Observer, *, last: bool) -> None:
    """A row of the history, and the diagnosis: the weights are kept if all is well.

    If the run is over, those of the last healthy tick are put back, and the grids drawn after it are dropped.
    """
    row, outcome.scalars = _row(outcome, latents, kimg), {}
    modules, problem = outcome.networks.modules, None
    weights = [weight for module in modules for weight in module.parameters()]
    broken = not all(map(math.isfinite, row.values())) or any(not weight.isfinite().all() for weight in weights)
    if all_reduce_max(broken):
        problem = f"a loss, gradient or weight is not finite at {kimg:g} kimg"
    elif not divergence.same_everywhere(weights):
        raise UserError(f"the processes of this training have different weights at {kimg:g} kimg; train on equal GPUs")
    else:
        outcome.history.append(row)
        outcome.machine.append(observer.tick(row, latents[0].device))
        if symptom := divergence.collapsed(outcome.history, ended=last):
            first = outcome.history[-symptom[1]]["kimg"]
            problem = f"collapsed: {symptom[0]}, in every tick from {first:g} to {kimg:g} kimg"
        elif divergence.symptom_of(row) is None:
            outcome.kimg, outcome.last_good = kimg, copy.deepcopy([module.state_dict() for module in modules])
    if problem:
        outcome.status, outcome.detail = "diverged", problem
        for module, state in zip(modules, outcome.last_good, strict=True):
            module.load_state_dict(state)
        kept = sum(kimg <= outcome.kimg for kimg in outcome.grids_kimg)
        outcome.grids, outcome.grids_kimg = outcome.grids[:kept], outcome.grids_kimg[:kept]


def _row(outcome: Outcome, latents: tuple[Tensor, ...], kimg: float) -> dict[str, float]:
    """Means over a tick of what the steps reported, and the state of G; only here scalars leave the device."""
    networks = outcome.networks
    means = {name: torch.stack(values).float().mean() for name, values in outcome.scalars.items()}
    means["sample_spread"] = divergence.sample_spread(_draw(networks.ema, latents))
    means["ema_distance"] = divergence.ema_distance(networks.generator, networks.ema)
    # What is decided by it (a collapse) is decided by the same numbers in every process.
    values = dict(zip(means, broadcast(torch.stack(list(means.values()))).tolist(), strict=True))
    values |= {"wasserstein": values["score_real"] - values["score_fake"], "real_spread": outcome.real_spread}
    return {"kimg": kimg, "step": outcome.step, **dict(sorted(values.items()))}


@torch.no_grad()
def _draw(ema: Generator, latents: tuple[Tensor, ...]) -> Tensor:
    """Images of `latents`. Training's random numbers stay as they are, even where a network draws noise."""
    with torch.random.fork_rng([latents[0].device] if latents[0].is_cuda else []):
        return torch.cat([ema(part) for part in latents])


def _snapshot(outcome: Outcome, latents: tuple[Tensor, ...], *, kimg: float) -> None:
    """Keep a grid of the fixed latents."""
    outcome.grids.append(to_uint8(_draw(outcome.networks.ema, latents)).cpu().numpy())
    outcome.grids_kimg.append(kimg)
