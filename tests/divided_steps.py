"""Training steps of small networks, by one process or several: what tests/training/test_processes.py compares.

python tests/divided_steps.py RANK PROCESSES STORE OUT CASE...: computes cases as one of the processes.
Process 0 writes OUT.CASE.safetensors.
"""

import sys
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from safetensors.torch import save_file

from pipeline.networks.spec import NetworkSpec
from pipeline.plan.config import load, resolve_cell
from pipeline.training.state import build, ema_beta
from pipeline.training.step import discriminator_gradients, discriminator_step, generator_gradients, generator_step
from trainings import AUGMENT, TRAIN

BATCH = 12  # divided by 1, 2 and 3 processes, and by 2 parts in each
ITERATIONS = 1
USUAL = {
    "batch_generator": BATCH,
    "batch_discriminator": BATCH,
    "critic_steps": 2,
    "drift_weight": 0.5,
    "augment": AUGMENT.model_copy(update={"groups": 4, "cutout_probability": 0.7}),
}
EVERY_OPERATION = AUGMENT.model_copy(
    update={"policy": ["translation", "cutout", "color", "erase", "hue", "filter"], "groups": 4}
)


@dataclass(frozen=True)
class Case:
    """Networks of a digits cell and what differs from the usual settings. `double`: computed in fp64."""

    variant: str = "full"
    changes: dict[str, Any] = field(default_factory=dict)
    noise: bool = False  # per-token noise in both transformers
    double: bool = True


def _case(variant: str = "full", *, noise: bool = False, double: bool = True, **changes: Any) -> Case:
    return Case(variant, changes, noise, double)


CASES = {
    "wgan_gp": _case(),
    "wgan_gp, fp32": _case(double=False),
    "hinge, r1": _case(loss="hinge", penalty="r1"),
    "non_saturating, r2": _case(loss="non_saturating", penalty="r2"),
    "relativistic, r1_r2": _case(loss="relativistic", penalty="r1_r2", penalty_weight=0.5),
    "finite_difference": _case(penalty="finite_difference"),
    "every augmentation": _case(augment=EVERY_OPERATION),
    "kept gradients": _case(keep_generator_gradients=True),
    "kept gradients, parts": _case(keep_generator_gradients=True, accumulate=2),
    "parts": _case(accumulate=2),
    "parts, recompute, noise": _case(noise=True, accumulate=2, recompute=True),
    "noise": _case(noise=True),
    "layer norm": _case("layer_norm", penalty="r1"),
    "batch norm": _case("batch_norm"),
    "batch norm, recompute": _case("batch_norm", recompute=True, penalty="r1_r2"),
    "batch norm, fp32": _case("batch_norm", double=False),
    "wgan_gp resnet": _case("wgan_gp"),
    "sngan": _case("sngan", penalty="none", loss="hinge"),
    "sngan, recompute": _case("sngan", recompute=True),
    "autogan": _case("autogan", penalty="gradient_norm"),
    "stylegan2": _case("stylegan2", penalty="r1"),
    "stylegan2, recompute": _case("stylegan2", recompute=True, penalty="gradient_norm"),
    "compiled": _case(execution="compiled", noise=True),
    "bf16": _case(precision="bf16", double=False),
}


def steps(case: Case) -> dict[str, torch.Tensor]:
    """First gradients of both networks, and after whole iterations weights, buffers, average and scalars."""
    torch.set_default_dtype(torch.float64 if case.double else torch.float32)
    config = TRAIN.model_copy(update={**USUAL, **case.changes})
    torch.manual_seed(3)
    networks = build(_networks(case), config, torch.device("cpu"))
    with torch.no_grad():
        for name, weight in networks.discriminator.named_parameters():
            if name.endswith(("head.weight", "table")):
                weight.normal_()  # as initialised the scores are nearly flat
        for network in (networks.generator, networks.discriminator):
            for name, weight in network.named_parameters():
                if name.endswith("noise_strength"):
                    weight.fill_(0.5)
    real = torch.rand(ITERATIONS, config.critic_steps, BATCH, 1, 8, 8) * 2 - 1
    found: dict[str, torch.Tensor] = {}

    torch.manual_seed(5)
    weight = config.penalty_weight if networks.penalty else None
    found |= _named("first d", discriminator_gradients(networks, real[0, 0], config, weight=weight))
    found["gradient d"] = _flat(networks.discriminator)
    networks.optimizer_d.zero_grad()
    found |= _named("first g", generator_gradients(networks, config, real=real[0, 0]))
    found["gradient g"] = _flat(networks.generator)
    found["left in d"] = _flat(networks.discriminator)
    networks.optimizer_g.zero_grad()
    for number, batches in enumerate(real):
        for batch in batches:
            scalars = discriminator_step(networks, batch, config, weight=weight)
        scalars |= generator_step(networks, config, real=batch, ema_beta=ema_beta(config, 1000 * number))
    found |= _named("last", scalars)
    for name in ("generator", "ema", "discriminator"):
        for key, value in getattr(networks, name).state_dict().items():
            found[f"{name}.{key}"] = value.detach().clone().contiguous()
    return {name: value.double() for name, value in found.items()}


def _networks(case: Case) -> NetworkSpec:
    spec = resolve_cell(load(Path(__file__).parent.parent / "params.yaml"), "digits", case.variant).network
    return NetworkSpec.model_validate(_with_noise(spec.model_dump())) if case.noise else spec


def _with_noise(content: Any) -> Any:
    if isinstance(content, dict):
        return {key: True if key == "noise" else _with_noise(value) for key, value in content.items()}
    return [_with_noise(one) for one in content] if isinstance(content, list) else content


def _flat(network: torch.nn.Module) -> torch.Tensor:
    found = [weight.grad.flatten() for weight in network.parameters() if weight.grad is not None]
    return torch.cat(found) if found else torch.zeros(1)


def _named(prefix: str, scalars: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {f"{prefix} {name}": value.detach().clone().reshape(1) for name, value in scalars.items()}


def main() -> None:
    rank, processes, store, out = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]
    torch.set_num_threads(1)
    compiler = torch.compile  # code generation takes minutes; what is traced is what would be generated
    torch.compile = lambda function, **settings: compiler(function, backend="aot_eager", **settings)
    if processes > 1:
        dist.init_process_group(
            "gloo",
            store=dist.FileStore(store, processes),
            rank=rank,
            world_size=processes,
            timeout=timedelta(minutes=5),
        )
    for name in sys.argv[5:]:
        result = steps(CASES[name])
        if rank == 0:
            save_file(result, f"{out}.{name}.safetensors")
    if processes > 1:
        dist.destroy_process_group()


if __name__ == "__main__":
    main()
