"""Layers of settings: the base, then what a dataset, a profile and a variant change, later ones winning."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.schema import merge

NETWORKS = ("generator", "discriminator")


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
