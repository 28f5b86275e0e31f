"""The settings of networks in params.yaml: checked against the schema of their family, and resolved by it."""

from typing import Any

from pipeline.base.errors import ConfigError, choices
from pipeline.base.schema import bind, check_partial
from pipeline.data.config import DataConfig
from pipeline.networks.config import ModelConfig
from pipeline.networks.families import FAMILIES
from pipeline.networks.families import load as load_family
from pipeline.networks.spec import Impossible, NetworkSpec
from pipeline.plan.layers import NETWORKS, Layer, where, with_models


def check_network_settings(content: dict[str, Any], file: str) -> None:
    """Check every `model.generator` and `model.discriminator` in `content` against its family's schema, in use or not.

    Errors: `ConfigError` for a key or value that the family does not have, and for a network without a family.
    """
    usual, variants = content["model"], content["variants"]

    def models(variant: str) -> list[Any]:
        """`model` of the variant and below it that of the one it is like."""
        return [variants[name].get("model", {}) for name in reversed(with_models(variants, variant))]

    entries: list[tuple[str, Any, list[Any]]] = [("", content, [usual])]
    for table in ("datasets", "profiles"):
        for name, entry in content[table].items():
            own = entry.get("model", {})
            entries.append((f"{table}.{name}.", entry, [own, usual]))
            entries.append((f"{table}.{name}.released.", entry.get("released", {}), [own, usual]))
            for dataset, overlay in entry.get("datasets", {}).items():
                if dataset not in content["datasets"]:
                    allowed = choices(content["datasets"], dataset)
                    raise ConfigError(file, f"{table}.{name}.datasets", dataset, allowed)
                below = [content["datasets"][dataset].get("model", {}), usual]
                entries.append((f"{table}.{name}.datasets.{dataset}.", overlay, below))
            for variant, overlay in entry.get("variants", {}).items():
                if variant not in variants:
                    raise ConfigError(file, f"{table}.{name}.variants", variant, choices(variants, variant))
                entries.append((f"{table}.{name}.variants.{variant}.", overlay, [*models(variant), own, usual]))
    entries += [(f"variants.{name}.", entry, [*models(name), usual]) for name, entry in variants.items()]
    for origin, entry, below in entries:
        for network in NETWORKS:
            settings = entry.get("model", {}).get(network)
            if settings is None:
                continue
            family = next(
                (layer[network]["family"] for layer in [entry["model"], *below] if "family" in layer.get(network, {})),
                None,
            )
            if family is None:
                raise ConfigError(
                    file, f"{origin}model.{network}.family", "nothing", f"a value: {' | '.join(FAMILIES)}"
                )
            schema = getattr(load_family(family), f"{network.capitalize()}Settings")
            check_partial(schema, settings, file=file, prefix=f"{origin}model.{network}")


def resolve_networks(model: ModelConfig, data: DataConfig, layers: list[Layer], file: str, *, cell: str) -> NetworkSpec:
    """Both networks spelled out by their families.

    Errors: `ConfigError` for a setting that does not belong to its family, and for settings that do not fit together.
    """
    resolved = {}
    for network in NETWORKS:
        settings: dict[str, Any] = getattr(model, network)
        key = where(f"model.{network}.family", layers)
        if "family" not in settings:
            raise ConfigError(file, key, "nothing", f"a value: {' | '.join(FAMILIES)}")
        family = load_family(settings["family"])
        schema = getattr(family, f"{network.capitalize()}Settings")
        bound = bind(schema, settings, file=file, prefix=key.removesuffix(".family"))
        try:
            resolve = getattr(family, f"resolve_{network}")
            resolved[network] = resolve(bound, model, resolution=data.resolution, channels=data.channels)
        except Impossible as problem:
            raise ConfigError(file, where(problem.key, layers), problem.given, f"{problem.allowed} ({cell})") from None
    _refuse_unread(model, layers, file)
    return NetworkSpec(resolution=data.resolution, channels=data.channels, **resolved)


def _refuse_unread(model: ModelConfig, layers: list[Layer], file: str) -> None:
    """Refuse transformers' shared settings that are given by or above the layers which replace both networks."""
    families = [getattr(model, network)["family"] for network in NETWORKS]
    if any(load_family(family).USES_SHARED for family in families):
        return
    first = min(
        max(index for index, layer in enumerate(layers) if layer.holds(f"model.{network}.family"))
        for network in NETWORKS
    )
    for layer in layers[first:]:
        for name in layer.content.get("model", {}):
            if name not in NETWORKS:
                given = layer.get(f"model.{name}")
                allowed = f"no such setting: neither network is a transformer, they are of {' and '.join(families)}"
                raise ConfigError(file, layer.key(f"model.{name}"), given, allowed)
