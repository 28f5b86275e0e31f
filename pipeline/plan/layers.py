"""Layers of settings: the base, then what a dataset, a profile and a variant change, later ones winning.

A variant may say `like: <another>`: it then starts from that one's settings, wherever they stand (the variant's own, a
dataset's for it, a profile's for it), and changes what it gives itself.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.base.schema import merge

NETWORKS = ("generator", "discriminator")
SECTIONS = ("model", "train", "evaluate")


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One mapping of settings and the key it stands under in the file ('' for the base)."""

    origin: str
    content: Mapping[str, Any]

    def get(self, key: str) -> Any:
        """The value of a dotted key, None where it is not set."""
        node: Any = self.content
        for part in key.split("."):
            if isinstance(node, list) and part.isdigit() and int(part) < len(node):
                node = node[int(part)]
            elif isinstance(node, Mapping) and part in node:
                node = node[part]
            else:
                return None
        return node

    def holds(self, key: str) -> bool:
        """Whether it sets a dotted key, to null perhaps."""
        parent, _, last = key.rpartition(".")
        node = self.get(parent) if parent else self.content
        if isinstance(node, list):
            return last.isdigit() and int(last) < len(node)
        return isinstance(node, Mapping) and last in node

    def key(self, key: str) -> str:
        """A dotted key as it stands in the file."""
        return f"{self.origin}.{key}" if self.origin else key


def with_models(variants: Mapping[str, Any], variant: str) -> list[str]:
    """The variant after the one that it is `like`, if any: earlier names give what later ones change."""
    model = variants[variant].get("like")
    return [variant] if model is None else [model, variant]


def cell_layers(content: Mapping[str, Any], dataset: str, variant: str, *, released: bool = False) -> list[Layer]:
    """All layers of dataset x variant under the selected profile, the base first.

    `released` adds the released code's differences after the dataset's own settings.
    """
    entry, profile = content["datasets"][dataset], content["profiles"][content["profile"]]
    names = with_models(content["variants"], variant)
    chosen = f"profiles.{content['profile']}"
    named = {
        "": content,
        f"datasets.{dataset}": entry,
        f"datasets.{dataset}.released": entry.get("released", {}) if released else {},
        chosen: profile,
        f"{chosen}.datasets.{dataset}": profile.get("datasets", {}).get(dataset, {}),
    }
    for name in names:
        named[f"variants.{name}"] = content["variants"][name]
        named[f"datasets.{dataset}.variants.{name}"] = entry.get("variants", {}).get(name, {})
        named[f"{chosen}.variants.{name}"] = profile.get("variants", {}).get(name, {})
    return [Layer(origin=origin, content=_sections(settings)) for origin, settings in named.items()]


def _sections(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {section: entry[section] for section in SECTIONS if section in entry}


def merge_layers(layers: Sequence[Layer]) -> dict[str, Any]:
    """Mappings merge, lists are replaced whole. A layer that names another family for a network starts that network
    anew.
    """
    merged: dict[str, Any] = {}
    for layer in layers:
        for network in NETWORKS:
            family = layer.get(f"model.{network}.family")
            below = merged.get("model", {}).get(network, {})
            if family is not None and below.get("family") not in (None, family):
                merged["model"][network] = {}
        merged = merge(merged, layer.content)
    return merged


def where(key: str, layers: Sequence[Layer]) -> str:
    """The key as it stands in the file: that of the last layer that sets it."""
    return next((layer.key(key) for layer in reversed(layers) if layer.holds(key)), key)


def shadowed(base: Layer, overlays: Sequence[Layer]) -> dict[str, str]:
    """Base keys another layer sets, with that layer's origin (the last one wins)."""
    return {key: layer.origin for key in leaves(base.content) for layer in overlays if layer.holds(key)}


def leaves(content: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Dotted keys of everything that is no mapping."""
    keys = []
    for name, value in content.items():
        keys += leaves(value, f"{prefix}{name}.") if isinstance(value, Mapping) else [f"{prefix}{name}"]
    return keys
