"""Settings that are fine one by one and impossible together: refused before any work, in one line."""

from collections.abc import Iterator
from operator import attrgetter
from typing import Any

from pipeline.base.errors import ConfigError
from pipeline.base.schema import bind
from pipeline.data.config import DataConfig
from pipeline.metrics.config import EvaluateConfig, refusals
from pipeline.networks.config import NETWORKS, ModelConfig
from pipeline.networks.families import load as load_family
from pipeline.networks.spec import Impossible, NetworkSpec
from pipeline.plan.compose import ComposedCell
from pipeline.training.config import NO_PENALTY, READ_BY, TrainConfig


def resolve_networks(model: ModelConfig, data: DataConfig, composed: ComposedCell, *, cell: str) -> NetworkSpec:
    """Both networks spelled out by their families.

    Errors: `ConfigError` for a setting that its family does not have, and for settings that do not fit together.
    """
    resolved: dict[str, Any] = {}
    images: dict[str, Any] = {"resolution": data.resolution, "channels": data.channels}
    for network in NETWORKS:
        choice = getattr(model, network)
        family, own = load_family(choice.family), f"model.{network}.{choice.family}"
        settings = getattr(choice, choice.family)
        if settings is None:
            schema = getattr(family, f"{network.capitalize()}Settings")
            settings = bind(schema, {}, file=composed.where(f"model.{network}.family")[0], prefix=own)
        try:
            resolved[network] = getattr(family, f"resolve_{network}")(settings, model, **images)
        except Impossible as problem:
            key = problem.key
            if key.startswith(f"model.{network}.") and key != f"model.{network}.family":
                key = key.replace(f"model.{network}", own)
            raise ConfigError(*composed.where(key), problem.given, f"{problem.allowed} ({cell})") from None
    return NetworkSpec(**images, **resolved)


def check_cell(
    data: DataConfig, network: NetworkSpec, train: TrainConfig, evaluate: EvaluateConfig, composed: ComposedCell
) -> None:
    """Refuse settings of a cell that do not fit together.

    Errors: `ConfigError`, which names the file and the key that gave the setting, what was given and what is allowed.
    """
    for broken, key, allowed in _rules(network, train):
        if broken:
            raise ConfigError(*composed.where(f"train.{key}"), attrgetter(key)(train), allowed)
    for key, given, allowed in refusals(evaluate, resolution=data.resolution, channels=data.channels):
        raise ConfigError(*composed.where(f"evaluate.{key}"), given, allowed)
    families = [getattr(network, name).family for name in NETWORKS]
    if not any(load_family(family).USES_SHARED for family in families):
        allowed = f"no such setting: neither network is a transformer, they are of {' and '.join(families)}"
        for layer in composed.layers:  # of a variant: transformers' shared settings
            of_variant = layer.prefix or layer.file.startswith("conf/variant/")
            for key, value in layer.settings.items() if of_variant else ():
                if key.startswith("model.") and key.split(".")[1] not in NETWORKS:
                    raise ConfigError(layer.file, layer.prefix + key, value, allowed)


def _rules(network: NetworkSpec, train: TrainConfig) -> Iterator[tuple[object, str, str]]:
    """(whether it is broken, key of `train`, what is allowed) of each rule; after a broken one none is asked for."""
    augment, policy, penalty = train.augment, set(train.augment.policy), train.penalty
    both = (train.kimg is None) == (train.generator_steps is None)
    yield both, "kimg", "exactly one of kimg and generator_steps; the other null"
    yield len(policy) < len(augment.policy), "augment.policy", "every operation at most once"
    for name, operations in READ_BY.items():
        unset = policy & set(operations) and getattr(augment, name) is None
        yield unset, f"augment.{name}", f"a value: the policy has {' or '.join(operations)}"
    sides = augment.erase_range or [0, 1]
    yield sides[0] > sides[1], "augment.erase_range", "[smallest, largest]"
    valued = f"a value with train.penalty {penalty}"
    yield penalty != NO_PENALTY and train.penalty_interval is None, "penalty_interval", valued
    yield penalty == "gradient_norm" and train.penalty_target is None, "penalty_target", valued
    allowed = "false with train.critic_steps 1: what a G step leaves would cancel the fakes of every D step"
    yield train.keep_generator_gradients and train.critic_steps == 1, "keep_generator_gradients", allowed
    unpaired = train.loss == "relativistic" and train.batch_generator != train.batch_discriminator
    pairs = "the relativistic loss pairs every fake with a real"
    yield unpaired, "batch_generator", f"train.batch_discriminator, {train.batch_discriminator}: {pairs}"
    compiled, batched = train.execution != "eager", network.batch_statistics
    allowed = f"false with train.execution {train.execution}: the compiler chooses what to recompute"
    yield train.recompute and compiled, "recompute", allowed
    for key in ("batch_generator", "batch_discriminator"):  # every process gets equally many images of each part
        size, parts = getattr(train, key), train.parts
        yield size % parts, "accumulate", f"auto, or a divisor of train.{key}, {size}"
        divided = f" over train.accumulate, {parts}" if parts > 1 else ""
        allowed = f"a divisor of {size // parts}, which is train.{key}{divided}"
        yield size // parts % train.processes, "processes", allowed
    allowed = "1 with networks that use batch statistics (model.norm batch, for one): those are the whole batch's"
    yield batched and train.parts > 1, "accumulate", allowed
    exchanged = "the compiler cannot differentiate twice through what the processes exchange for them"
    allowed = f"1 with train.execution {train.execution} and networks that use batch statistics: {exchanged}"
    yield batched and train.processes > 1 and compiled, "processes", allowed
    unit = network.discriminator.batch_unit
    for name in NETWORKS:
        family, size = getattr(network, name).family, getattr(train, f"batch_{name}")
        allowed = f"false: networks of the family {family} (model.{name}) keep their activations"
        yield train.recompute and not getattr(load_family(family), "RECOMPUTES", False), "recompute", allowed
        allowed = f"a multiple of {unit}, the images of one minibatch statistic of the discriminator, or fewer"
        yield size > unit and size % unit, f"batch_{name}", allowed
