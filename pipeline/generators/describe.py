"""What the networks of a cell are, without data or training."""

import json
from functools import partial
from typing import Any

from pipeline.base.errors import ArgumentParser, ConfigError, choices, command_line
from pipeline.plan.compose import names
from pipeline.plan.config import ResolvedCell, load, resolve_cell


def describe(cell: ResolvedCell) -> dict[str, Any]:
    """Each network spelled out, parameter count and forward FLOPs per image.

    FLOPs are 2 per multiply-add, attention's products included.
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from pipeline.networks.interface import build_discriminator, build_generator

    spec = cell.network
    facts: dict[str, Any] = {"dataset": cell.dataset, "variant": cell.variant, "resolution": spec.resolution}
    with torch.device("meta"), torch.no_grad():
        generator, discriminator = build_generator(spec).eval(), build_discriminator(spec)
        latent = torch.empty(1, generator.latent_dim)
        image = torch.empty(1, spec.channels, spec.resolution, spec.resolution)
        for name, network, forward in (
            ("generator", generator, partial(generator, latent)),
            ("discriminator", discriminator, partial(discriminator, image, twice=True)),
        ):
            with FlopCounterMode(display=False) as counter:
                forward()
            parameters = sum(parameter.numel() for parameter in network.parameters())
            sizes = {"parameters": parameters, "forward_flops": counter.get_total_flops()}
            facts[name] = getattr(spec, name).model_dump() | sizes
    return facts


def lines(description: dict[str, Any]) -> list[str]:
    """The description as text for a person: of each network its size, its settings, and a table of its stages."""
    import pandas as pd

    text = ["{dataset}, {variant}: images of {resolution} x {resolution}".format(**description)]
    for name in ("generator", "discriminator"):
        network = dict(description[name])
        family, parameters, flops = (network.pop(key) for key in ("family", "parameters", "forward_flops"))
        text.append(f"{name} ({family}): {parameters:,} parameters, {flops / 1e9:,.2f} GFLOPs forward per image")
        stages: list[dict[str, Any]] = []
        for key in [key for key, value in network.items() if isinstance(value, list | dict)]:
            value = network.pop(key)
            entries = [{"stage": key, "blocks": [value]}] if isinstance(value, dict) else value
            stages += [{"stage": index, **entry} for index, entry in enumerate(entries)]
        text.append("  " + ", ".join(f"{key} {value}" for key, value in network.items()))
        rows = [{**stage, **block} for stage in stages for block in stage.pop("blocks", [{}])]
        table = pd.DataFrame(rows, dtype=object).fillna("")
        text += ["  " + line for line in table.to_string(index=False).splitlines()]
    return text


@command_line
def main() -> None:
    about = "Stages, parameters and FLOPs of a cell's networks."
    parser = ArgumentParser(prog="transgan describe", description=about)
    parser.add_argument("--dataset", required=True, help="such as cifar10; `transgan list datasets` has all")
    parser.add_argument("--variant", default="full", help="such as grid_attention (full)")
    released = "the released code's choice wherever it differs from the paper's figure"
    parser.add_argument("--released", action="store_true", help=released)
    parser.add_argument("--json", action="store_true", help="machine-readable")
    options = parser.parse_args()
    content = load()
    for group, name in (("dataset", options.dataset), ("variant", options.variant)):
        if name not in (allowed := names(content, group)):
            raise ConfigError("conf/", group, name, choices(allowed, name))
    cell = resolve_cell(content, options.dataset, options.variant, released=options.released)
    description = describe(cell) | {"released": options.released}
    print(json.dumps(description, indent=2) if options.json else "\n".join(lines(description)))
