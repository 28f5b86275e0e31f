"""Settings that are fine one by one and impossible together: refused before any work, in one line."""

from collections.abc import Sequence

from pipeline.base.errors import ConfigError
from pipeline.data.config import DataConfig
from pipeline.metrics.config import EvaluateConfig, refusals
from pipeline.networks.families import load as load_family
from pipeline.networks.spec import NetworkSpec
from pipeline.plan.layers import NETWORKS, Layer, where
from pipeline.training.config import OPERATION_SETTINGS, TrainConfig
from pipeline.training.objectives.registry import NO_PENALTY


def check_train(train: TrainConfig, layers: Sequence[Layer], file: str) -> None:
    """Refuse training settings that do not fit together.

    Errors: `ConfigError`, which names the key in the layer that gave it, what was given and what is allowed.
    """
    if (train.kimg is None) == (train.generator_steps is None):
        given = {"kimg": train.kimg, "generator_steps": train.generator_steps}
        raise ConfigError(
            file, where("train.kimg", layers), given, "exactly one of kimg and generator_steps; the other null"
        )
    if len(set(train.augment.policy)) != len(train.augment.policy):
        raise ConfigError(
            file, where("train.augment.policy", layers), train.augment.policy, "every operation at most once"
        )
    for operation in train.augment.policy:
        for name in OPERATION_SETTINGS.get(operation, ()):
            if getattr(train.augment, name) is None:
                raise ConfigError(
                    file, where(f"train.augment.{name}", layers), None, f"a value: the policy has {operation}"
                )
    if {"cutout", "erase"} & set(train.augment.policy) and train.augment.groups is None:
        raise ConfigError(file, where("train.augment.groups", layers), None, "a value: the policy has cutout or erase")
    interval = train.augment.erase_range
    if interval is not None and interval[0] > interval[1]:
        raise ConfigError(file, where("train.augment.erase_range", layers), interval, "[smallest, largest]")
    _check_objective(train, layers, file)
    if train.recompute and train.execution != "eager":
        raise ConfigError(
            file,
            where("train.recompute", layers),
            True,
            f"false with train.execution {train.execution}: the compiler chooses what to recompute",
        )
    _check_divisors(train, layers, file)


def _check_divisors(train: TrainConfig, layers: Sequence[Layer], file: str) -> None:
    """Every process gets equally many images of each part of a batch."""
    for key in ("batch_generator", "batch_discriminator"):
        size = getattr(train, key)
        if size % train.accumulate:
            allowed = f"a divisor of train.{key}, {size}"
            raise ConfigError(file, where("train.accumulate", layers), train.accumulate, allowed)
        part = size // train.accumulate
        if part % train.processes:
            divided = f" over train.accumulate, {train.accumulate}" if train.accumulate > 1 else ""
            allowed = f"a divisor of {part}, which is train.{key}{divided}"
            raise ConfigError(file, where("train.processes", layers), train.processes, allowed)


def check_evaluate(evaluate: EvaluateConfig, data: DataConfig, layers: Sequence[Layer], file: str) -> None:
    """Refuse metrics that these images or these numbers of samples cannot have. Errors: `ConfigError`."""
    for key, given, allowed in refusals(evaluate, resolution=data.resolution, channels=data.channels):
        raise ConfigError(file, where(f"evaluate.{key}", layers), given, allowed)


def _check_objective(train: TrainConfig, layers: Sequence[Layer], file: str) -> None:
    if train.penalty != NO_PENALTY and train.penalty_interval is None:
        raise ConfigError(
            file, where("train.penalty_interval", layers), None, f"a value with train.penalty {train.penalty}"
        )
    if train.penalty == "gradient_norm" and train.penalty_target is None:
        raise ConfigError(file, where("train.penalty_target", layers), None, "a value with train.penalty gradient_norm")
    if train.keep_generator_gradients and train.critic_steps == 1:
        raise ConfigError(
            file,
            where("train.keep_generator_gradients", layers),
            True,
            "false with train.critic_steps 1: what a G step leaves would cancel the fakes of every D step",
        )
    if train.loss == "relativistic" and train.batch_generator != train.batch_discriminator:
        raise ConfigError(
            file,
            where("train.batch_generator", layers),
            train.batch_generator,
            f"train.batch_discriminator, {train.batch_discriminator}: "
            "the relativistic loss pairs every fake with a real image",
        )


def check_together(network: NetworkSpec, train: TrainConfig, layers: Sequence[Layer], file: str) -> None:
    """Refuse settings of training that the networks cannot have. Errors: `ConfigError`."""
    if network.batch_statistics and train.accumulate > 1:
        raise ConfigError(
            file,
            where("train.accumulate", layers),
            train.accumulate,
            "1 with networks that use batch statistics (model.norm batch, for one): those are the whole batch's",
        )
    if network.batch_statistics and train.processes > 1 and train.execution != "eager":
        raise ConfigError(
            file,
            where("train.processes", layers),
            train.processes,
            f"1 with train.execution {train.execution} and networks that use batch statistics: the compiler cannot "
            "differentiate twice through what the processes exchange for them",
        )
    for name in NETWORKS:
        family = getattr(network, name).family
        if train.recompute and not getattr(load_family(family), "RECOMPUTES", False):
            allowed = f"false: networks of the family {family} (model.{name}) keep their activations"
            raise ConfigError(file, where("train.recompute", layers), True, allowed)
    unit = network.discriminator.batch_unit
    for name in ("batch_generator", "batch_discriminator"):
        size = getattr(train, name)
        if size > unit and size % unit:
            allowed = f"a multiple of {unit}, the images of one minibatch statistic of the discriminator, or fewer"
            raise ConfigError(file, where(f"train.{name}", layers), size, allowed)
