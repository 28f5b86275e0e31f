"""Settings of evaluation, as a person writes them in params.yaml (`evaluate`, and that part of overlays)."""

from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from pipeline.base.schema import Strict
from pipeline.metrics.extractors.registry import DIGITS, NETWORKS, ClassifierConfig, Count
from pipeline.metrics.registry import SETTINGS, extractors, parse

Metric = Annotated[str, AfterValidator(lambda name: parse(name) and name)]  # pipeline/metrics/registry.py has the names
Metrics = Annotated[list[Metric], Field(min_length=1)]


class ReferenceConfig(Strict):
    """What is measured on the real images, once per dataset. Settings of one network stand under its name."""

    weights: str | None  # file of Inception weights; null: caches, official address, package
    threads: Count  # CPU threads
    digits_classifier: ClassifierConfig


class EvaluateConfig(Strict):
    """`evaluate` in params.yaml."""

    metrics: Metrics  # names with or without their count; by the first one rows are compared
    curve: list[Metric]  # measured at every generator that `train.weight_snapshots` keeps; of the kinds of `metrics`
    n_gen: Annotated[int, Field(ge=2)]  # generated images of every metric whose name has no count
    seed: Annotated[int, Field(ge=0)]  # of the latents
    batch: Count  # images at a time; no effect on results beyond rounding
    splits: Count  # of the inception score; 10
    subsets: Count  # of the kernel distance; 100
    subset_size: Annotated[int, Field(ge=2)]  # images per subset; 1000
    threads: Count  # CPU threads
    reference: ReferenceConfig


class MetricSettings(Strict):
    """Which metrics are computed, and how; a setting that none of them reads is null."""

    metrics: Metrics
    splits: Count | None
    subsets: Count | None
    subset_size: Count | None


class ReferencePlan(MetricSettings):
    """The content of plan/reference/<dataset>.yaml: what is measured on the real images, by which networks.

    Metrics stand without their counts: how many images are generated changes nothing about the real ones. The settings
    of a network that is not used are null.
    """

    threads: Count
    weights: str | None
    digits_classifier: ClassifierConfig | None

    @field_validator("digits_classifier")
    @classmethod
    def _is_given_where_it_is_read(cls, value: ClassifierConfig | None, info: ValidationInfo) -> Any:
        if value is None and DIGITS in extractors(info.data.get("metrics", ())):
            raise ValueError("seed and epochs: the metrics need it")
        return value


class MeasurePlan(MetricSettings):
    """The content of plan/measure/<cell>.yaml: every metric by its full name."""

    curve: list[Metric]  # measured at every kept generator
    n_gen: Count  # images to make: the most that any metric takes
    seed: int
    batch: Count
    threads: Count


def full_names(names: list[str], n_gen: int | None) -> list[str]:
    """The metrics with their counts; None: without."""
    return [parse(name).resolved(n_gen).name for name in names]


def measure_plan(config: EvaluateConfig) -> MeasurePlan:
    """What `measure` reads."""
    names, curve = full_names(config.metrics, config.n_gen), full_names(config.curve, config.n_gen)
    most = max(parse(name).count or 0 for name in names)
    given = {key: getattr(config, key) for key in ("seed", "batch", "threads")}
    return MeasurePlan(curve=curve, n_gen=most, **given, **_settings(config, names))


def reference_plan(config: EvaluateConfig) -> ReferencePlan:
    """What `reference` reads: metrics without counts, and only what they need of the real images."""
    names = list(dict.fromkeys(full_names(config.metrics, None)))
    used, given = extractors(names), config.reference
    return ReferencePlan(
        threads=given.threads,
        weights=given.weights if any(name.startswith("inception") for name in used) else None,
        digits_classifier=given.digits_classifier if DIGITS in used else None,
        **_settings(config, names),
    )


def _settings(config: EvaluateConfig, names: list[str]) -> dict[str, Any]:
    used = {setting for name in names for setting in parse(name).settings}
    return {"metrics": names} | {name: getattr(config, name) if name in used else None for name in SETTINGS}


def refusals(config: EvaluateConfig, *, resolution: int, channels: int) -> Iterator[tuple[str, object, str]]:
    """What does not fit together: (key of `evaluate`, what was given, what is allowed), the first problem first."""
    names = full_names(config.metrics, config.n_gen)
    if len(set(names)) != len(names):
        yield "metrics", config.metrics, "every metric at most once"
    for key, given in (("metrics", names), ("curve", full_names(config.curve, config.n_gen))):
        for protocol in map(parse, given):
            least = protocol.least(config.splits, config.subset_size)
            if (protocol.count or 0) < least:
                setting = "".join(f", evaluate.{name}" for name in protocol.settings[-1:])
                yield key, protocol.name, f"a metric of at least {least} generated images{setting}"
    for network in map(NETWORKS.__getitem__, extractors(names)):
        read = f"metrics of {network.title} on images of"
        if network.resolutions and resolution not in network.resolutions:
            sides = " or ".join(f"{side} x {side}" for side in network.resolutions)
            yield "metrics", config.metrics, f"{read} {sides} alone"
        if network.channels not in (None, channels):
            yield "metrics", config.metrics, f"{read} {network.channels} channels alone"
    kinds = sorted(set(full_names(config.metrics, None)))
    for name, kind in zip(config.curve, full_names(config.curve, None), strict=True):
        if kind not in kinds:
            yield "curve", name, f"metrics of the kinds in evaluate.metrics, with any count: {' | '.join(kinds)}"
