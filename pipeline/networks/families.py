"""The families of networks: name -> module. A new family is one line here; CONTRIBUTING.md says what its module holds.

The module of a family has, without importing torch where it can:

    GeneratorSettings, DiscriminatorSettings    schemas of `model.generator.<family>`, `model.discriminator.<family>`
    GeneratorSpec, DiscriminatorSpec            schemas of the resolved networks, `pipeline.networks.spec`'s as bases
    resolve_generator, resolve_discriminator    (settings, shared, resolution=, channels=) -> the spec for images of
                                                this size; `shared`: `SharedSettings`, directly under `model`
    GENERATOR, DISCRIMINATOR                    "module:Class", subclasses of those in `pipeline.networks.interface`
    USES_SHARED                                 whether the settings directly under `model` are read
    RECOMPUTES                                  optional: whether `set_recompute` works; False without it
    ATTENTION                                   optional, "module:function": a generator, latents (B, latent_dim) and
                                                seed= -> `pipeline.networks.interface.AttentionMaps`

This file is outside the fingerprint of a training (`pipeline.plan.fingerprint`): a new line trains nothing again.
"""

from importlib import import_module
from types import ModuleType
from typing import Any

FAMILIES = {
    "transgan": "pipeline.networks.transgan.spec",
    "resnet": "pipeline.networks.resnet.spec",
    "stylegan2": "pipeline.networks.stylegan2.spec",
}


def load(family: str) -> ModuleType:
    """The module of a family. Errors: `KeyError` for a name that is no family."""
    return import_module(FAMILIES[family])


def load_attribute(name: str) -> Any:
    """What "module:attribute" names."""
    module, _, attribute = name.partition(":")
    return getattr(import_module(module), attribute)
