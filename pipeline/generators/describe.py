"""What the networks of a cell are, without data or training."""

import argparse
import json
from collections.abc import Callable
from typing import Any

from pipeline.base.errors import ConfigError, choices, command_line
from pipeline.networks.spec import NetworkSpec
from pipeline.plan.compose import names
from pipeline.plan.config import PARAMS, ResolvedCell, load, resolve_cell


def describe(cell: ResolvedCell) -> dict[str, Any]:
    """Each network as its family describes it, parameter count and forward FLOPs per image.

    FLOPs are 2 per multiply-add, attention's products included.
    """
    import torch

    from pipeline.networks.interface import build_discriminator, build_generator

    spec = cell.network
    with torch.device("meta"):
        generator, discriminator = build_generator(spec), build_discriminator(spec)
        latent = torch.empty(1, generator.latent_dim)
        image = torch.empty(1, spec.channels, spec.resolution, spec.resolution)
        flops = {
            "generator": _flops(lambda: generator.eval()(latent)),
            "discriminator": _flops(lambda: discriminator(image, twice=True)),
        }
    networks = {"generator": generator, "discriminator": discriminator}
    return {
        "dataset": cell.dataset,
        "variant": cell.variant,
        "resolution": spec.resolution,
        **{
            name: {
                "family": getattr(spec, name).family,
                **getattr(spec, name).describe(),
                "parameters": sum(parameter.numel() for parameter in network.parameters()),
                "forward_flops": flops[name],
            }
            for name, network in networks.items()
        },
    }


def _flops(forward: Callable[[], object]) -> int:
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter, torch.no_grad():
        forward()
    return counter.get_total_flops()


def lines(description: dict[str, Any], spec: NetworkSpec) -> list[str]:
    """The description as text for a person."""
    text = ["{dataset}, {variant}: images of {resolution} x {resolution}".format(**description)]
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
        prog="transgan describe", description="Stages, parameters and FLOPs of a cell's networks."
    )
    parser.add_argument("--dataset", required=True, help="such as cifar10; `transgan list datasets` has all")
    parser.add_argument("--variant", default="full", help="such as grid_attention (full)")
    parser.add_argument(
        "--released", action="store_true", help="the released code's choice wherever it differs from the paper's figure"
    )
    parser.add_argument("--json", action="store_true", help="machine-readable")
    parser.add_argument("--params", default=PARAMS, help="parameter file (params.yaml)")
    arguments = parser.parse_args()
    content = load(arguments.params)
    for group in ("dataset", "variant"):
        given, known = getattr(arguments, group), names(content, group)
        if given not in known:
            raise ConfigError("conf/", group, given, choices(known, given))
    cell = resolve_cell(content, arguments.dataset, arguments.variant, released=arguments.released)
    description = {**describe(cell), "released": arguments.released}
    print(json.dumps(description, indent=2) if arguments.json else "\n".join(lines(description, cell.network)))


if __name__ == "__main__":
    main()
