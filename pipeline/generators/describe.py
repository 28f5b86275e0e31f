"""What the networks of a cell are, without data or training.

python -m pipeline.generators.describe --dataset cifar10 --variant full [--released] [--json]
"""

import argparse
import json
from collections.abc import Callable
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from pipeline.base.errors import ConfigError, choices, command_line
from pipeline.networks.interface import build_discriminator, build_generator
from pipeline.networks.spec import FamilySpec, NetworkSpec
from pipeline.plan.config import PARAMS, ResolvedCell, load, resolve_cell


def describe(cell: ResolvedCell) -> dict[str, Any]:
    """Each network as its family describes it, parameter count and forward FLOPs per image.

    FLOPs are 2 per multiply-add, attention's products included.
    """
    spec = cell.network
    with torch.device("meta"):
        generator, discriminator = build_generator(spec), build_discriminator(spec)
        latent = torch.empty(1, generator.latent_dim)
        image = torch.empty(1, spec.channels, spec.resolution, spec.resolution)
        flops_g = _flops(lambda: generator.eval()(latent))
        flops_d = _flops(lambda: discriminator(image, twice=True))
    return {
        "dataset": cell.dataset,
        "variant": cell.variant,
        "resolution": spec.resolution,
        "generator": _described(spec.generator, generator, flops_g),
        "discriminator": _described(spec.discriminator, discriminator, flops_d),
    }


def _described(spec: FamilySpec, network: torch.nn.Module, flops: int) -> dict[str, Any]:
    size = {"parameters": _parameters(network), "forward_flops": flops}
    return {"family": spec.family, **spec.describe(), **size}


def _parameters(network: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def _flops(forward: Callable[[], object]) -> int:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        forward()
    return counter.get_total_flops()


def lines(description: dict[str, Any], spec: NetworkSpec) -> list[str]:
    """The description as text for a person."""
    text = [
        f"{description['dataset']}, {description['variant']}: "
        f"images of {description['resolution']} x {description['resolution']}"
    ]
    for name in ("generator", "discriminator"):
        network = description[name]
        text.append(
            f"{name} ({network['family']}): {network['parameters']:,} parameters, "
            f"{network['forward_flops'] / 1e9:,.2f} GFLOPs forward per image"
        )
        text += getattr(spec, name).lines()
    return text


@command_line
def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.generators.describe", description="Stages, parameters and FLOPs of a cell's networks."
    )
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--variant", default="full")
    parser.add_argument(
        "--released", action="store_true", help="the released code's choice wherever it differs from the paper's figure"
    )
    parser.add_argument("--json", action="store_true", help="machine-readable")
    parser.add_argument("--params", default=PARAMS, help="parameter file (params.yaml)")
    arguments = parser.parse_args()
    content = load(arguments.params)
    for table in ("dataset", "variant"):
        if getattr(arguments, table) not in content[f"{table}s"]:
            raise ConfigError(
                arguments.params,
                f"{table}s",
                getattr(arguments, table),
                choices(content[f"{table}s"], getattr(arguments, table)),
            )
    cell = resolve_cell(content, arguments.dataset, arguments.variant, released=arguments.released)
    description = {**describe(cell), "released": arguments.released}
    print(json.dumps(description, indent=2) if arguments.json else "\n".join(lines(description, cell.network)))


if __name__ == "__main__":
    main()
