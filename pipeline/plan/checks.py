"""Settings that are fine one by one and impossible together: refused before any work, in one line."""

from collections.abc import Iterator
from itertools import chain

from pipeline.base.errors import ConfigError
from pipeline.base.schema import bind
from pipeline.data.config import DataConfig
from pipeline.metrics.config import EvaluateConfig, refusals
from pipeline.networks.config import NETWORKS, ModelConfig
from pipeline.networks.families import load as load_family
from pipeline.networks.spec import Impossible, NetworkSpec
from pipeline.plan.compose import ComposedCell
from pipeline.training.config import NO_PENALTY, READ_BY, TrainConfig

Refusals = Iterator[tuple[str, object, str]]  # (key, what was given, what is allowed), the first problem first


def resolve_networks(model: ModelConfig, data: DataConfig, composed: ComposedCell, *, cell: str) -> NetworkSpec:
    """Both networks spelled out by their families.

    Errors: `ConfigError` for a setting that its family does not have, and for settings that do not fit together.
    """
    resolved = {}
    for network in NETWORKS:
        choice = getattr(model, network)
        family, own = load_family(choice.family), f"model.{network}.{choice.family}"
        settings = getattr(choice, choice.family)
        if settings is None:
            schema = getattr(family, f"{network.capitalize()}Settings")
            settings = bind(schema, {}, file=composed.where(f"model.{network}.family")[0], prefix=own)
        try:
            resolve = getattr(family, f"resolve_{network}")
            resolved[network] = resolve(settings, model, resolution=data.resolution, channels=data.channels)
        except Impossible as problem:
            key = problem.key
            if key.startswith(f"model.{network}.") and key != f"model.{network}.family":
                key = key.replace(f"model.{network}", own)
            raise ConfigError(*composed.where(key), problem.given, f"{problem.allowed} ({cell})") from None
    return NetworkSpec(resolution=data.resolution, channels=data.channels, **resolved)


def check_cell(
    data: DataConfig, network: NetworkSpec, train: TrainConfig, evaluate: EvaluateConfig, composed: ComposedCell
) -> None:
    """Refuse settings of a cell that do not fit together.

    Errors: `ConfigError`, which names the file and the key that gave the setting, what was given and what is allowed.
    """
    of_metrics = refusals(evaluate, resolution=data.resolution, channels=data.channels)
    problems = ((f"evaluate.{key}", given, allowed) for key, given, allowed in of_metrics)
    for key, given, allowed in chain(_of_training(train), problems, _of_networks(network, train)):
        raise ConfigError(*composed.where(key), given, allowed)
    families = [getattr(network, name).family for name in NETWORKS]
    if not any(load_family(family).USES_SHARED for family in families):
        allowed = f"no such setting: neither network is a transformer, they are of {' and '.join(families)}"
        for layer in composed.layers:  # of a variant: transformers' shared settings
            of_variant = layer.key or layer.file.startswith("conf/variant/")
            for key, value in layer.settings.items() if of_variant else ():
                if key.startswith("model.") and key.split(".")[1] not in NETWORKS:
                    raise ConfigError(*layer.place(key), value, allowed)


def _of_training(train: TrainConfig) -> Refusals:
    augment = train.augment
    if (train.kimg is None) == (train.generator_steps is None):
        given = {"kimg": train.kimg, "generator_steps": train.generator_steps}
        yield "train.kimg", given, "exactly one of kimg and generator_steps; the other null"
    if len(set(augment.policy)) != len(augment.policy):
        yield "train.augment.policy", augment.policy, "every operation at most once"
    for name, operations in READ_BY.items():
        if set(operations) & set(augment.policy) and getattr(augment, name) is None:
            yield f"train.augment.{name}", None, f"a value: the policy has {' or '.join(operations)}"
    if augment.erase_range is not None and augment.erase_range[0] > augment.erase_range[1]:
        yield "train.augment.erase_range", augment.erase_range, "[smallest, largest]"
    if train.penalty != NO_PENALTY and train.penalty_interval is None:
        yield "train.penalty_interval", None, f"a value with train.penalty {train.penalty}"
    if train.penalty == "gradient_norm" and train.penalty_target is None:
        yield "train.penalty_target", None, "a value with train.penalty gradient_norm"
    if train.keep_generator_gradients and train.critic_steps == 1:
        allowed = "false with train.critic_steps 1: what a G step leaves would cancel the fakes of every D step"
        yield "train.keep_generator_gradients", True, allowed
    if train.loss == "relativistic" and train.batch_generator != train.batch_discriminator:
        allowed = f"train.batch_discriminator, {train.batch_discriminator}: "
        allowed += "the relativistic loss pairs every fake with a real image"
        yield "train.batch_generator", train.batch_generator, allowed
    if train.recompute and train.execution != "eager":
        allowed = f"false with train.execution {train.execution}: the compiler chooses what to recompute"
        yield "train.recompute", True, allowed
    for key in ("batch_generator", "batch_discriminator"):  # every process gets equally many images of each part
        size = getattr(train, key)
        if size % train.parts:
            yield "train.accumulate", train.accumulate, f"auto, or a divisor of train.{key}, {size}"
            return
        part = size // train.parts
        if part % train.processes:
            divided = f" over train.accumulate, {train.accumulate}" if train.parts > 1 else ""
            yield "train.processes", train.processes, f"a divisor of {part}, which is train.{key}{divided}"


def _of_networks(network: NetworkSpec, train: TrainConfig) -> Refusals:
    if network.batch_statistics and train.parts > 1:
        allowed = "1 with networks that use batch statistics (model.norm batch, for one): those are the whole batch's"
        yield "train.accumulate", train.accumulate, allowed
    if network.batch_statistics and train.processes > 1 and train.execution != "eager":
        allowed = f"1 with train.execution {train.execution} and networks that use batch statistics: the compiler "
        allowed += "cannot differentiate twice through what the processes exchange for them"
        yield "train.processes", train.processes, allowed
    for name in NETWORKS:
        family = getattr(network, name).family
        if train.recompute and not getattr(load_family(family), "RECOMPUTES", False):
            allowed = f"false: networks of the family {family} (model.{name}) keep their activations"
            yield "train.recompute", True, allowed
    unit = network.discriminator.batch_unit
    for name in ("batch_generator", "batch_discriminator"):
        size = getattr(train, name)
        if size > unit and size % unit:
            allowed = f"a multiple of {unit}, the images of one minibatch statistic of the discriminator, or fewer"
            yield f"train.{name}", size, allowed
