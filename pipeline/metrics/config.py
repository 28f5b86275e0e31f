"""Settings of evaluation, as a person writes them in params.yaml (`evaluate`, and that part of overlays)."""

from typing import Annotated

from pydantic import AfterValidator, Field

from pipeline.metrics.protocols import DIGITS, check, extractors, parse
from pipeline.strict import Strict

Metric = Annotated[str, AfterValidator(check)]      # pipeline/metrics/protocols.py says which names there are
Metrics = Annotated[list[Metric], Field(min_length=1)]
Count = Annotated[int, Field(ge=1)]


class ClassifierConfig(Strict):
    """The digits' own evaluator, trained by the `reference` stage."""

    seed: Annotated[int, Field(ge=0)]               # of its split, initialisation and batches
    epochs: Count                                   # over its training split
    held_out: Annotated[float, Field(gt=0, lt=1)]   # share of the images kept for its accuracy


class ReferenceConfig(Strict):
    """What is measured on the real images, once per dataset. Settings of one network stand under its name."""

    weights: str | None                             # file of Inception weights; null: caches, official address, package
    threads: Count                                  # CPU threads
    digits_classifier: ClassifierConfig


class EvaluateConfig(Strict):
    """`evaluate` in params.yaml."""

    metrics: Metrics                                # names with or without their count
    n_gen: Annotated[int, Field(ge=2)]              # generated images of every metric whose name has no count
    seed: Annotated[int, Field(ge=0)]               # of the latents
    batch: Count                                    # images at a time; no effect on results beyond rounding
    splits: Count                                   # of the inception score; 10
    subsets: Count                                  # of the kernel distance; 100
    subset_size: Annotated[int, Field(ge=2)]        # images per subset; 1000
    neighbours: Count                               # k of pr_digits; the others have it in their name; 3
    threads: Count                                  # CPU threads
    reference: ReferenceConfig


class ReferencePlan(Strict):
    """The content of plan/reference/<dataset>.yaml: what is measured on the real images, by which networks.

    Metrics stand without their counts: how many images are generated changes nothing about the real ones. Settings of a
    network that is not used are null.
    """

    metrics: Metrics
    splits: Count
    subsets: Count
    subset_size: Count
    neighbours: Count
    threads: Count
    weights: str | None
    digits_classifier: ClassifierConfig | None


class EvaluatePlan(Strict):
    """The content of plan/evaluate/<cell>.yaml: every metric by its full name."""

    metrics: Metrics
    n_gen: Count                                    # images to make: the most that any metric takes
    seed: int
    batch: Count
    splits: Count
    subsets: Count
    subset_size: Count
    neighbours: Count
    threads: Count


def full_names(config: EvaluateConfig) -> list[str]:
    return [parse(name).resolved(config.n_gen).name for name in config.metrics]


def evaluate_plan(config: EvaluateConfig) -> EvaluatePlan:
    names = full_names(config)
    shared = {name: getattr(config, name) for name in EvaluatePlan.model_fields if name not in ("metrics", "n_gen")}
    return EvaluatePlan(metrics=names, n_gen=max(parse(name).count or config.n_gen for name in names), **shared)


def reference_plan(config: EvaluateConfig) -> ReferencePlan:
    names = list(dict.fromkeys(parse(name).countless.name for name in config.metrics))
    used, reference = extractors(names), config.reference
    return ReferencePlan(
        metrics=names,
        **{name: getattr(config, name) for name in ("splits", "subsets", "subset_size", "neighbours")},
        threads=reference.threads,
        weights=reference.weights if set(used) - {DIGITS} else None,
        digits_classifier=reference.digits_classifier if DIGITS in used else None,
    )
