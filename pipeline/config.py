"""params.yaml, checked whole, and the resolved settings of every cell and dataset.

A cell is dataset x variant x seed. Its settings: base <- datasets.X <- profiles.X <- variants.X, merged, then bound to
the schemas; everything that can be refused is refused here, before any other stage runs.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from pipeline.data.config import DataConfig
from pipeline.errors import ConfigError, choices
from pipeline.metrics.config import EvaluateConfig, full_names
from pipeline.metrics.protocols import DIGITS, extractors, parse
from pipeline.model.config import ModelConfig
from pipeline.model.spec import Impossible, NetworkSpec, resolve
from pipeline.report.config import ReportConfig
from pipeline.strict import Strict, bind, merge, read_yaml
from pipeline.training.config import TrainConfig

PARAMS = "params.yaml"
SECTIONS = ("model", "train", "evaluate")
TABLES = ("datasets", "profiles", "variants")


class Overlay(Strict):
    """What a profile or a variant may change."""

    model: ModelConfig
    train: TrainConfig
    evaluate: EvaluateConfig


class Dataset(Overlay):
    data: DataConfig
    released: Overlay           # what the released code does differently from the paper's figure


class Matrix(Strict):
    datasets: Annotated[list[str], Field(min_length=1)]
    variants: Annotated[list[str], Field(min_length=1)]
    seeds: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)]


class Params(Overlay):
    """params.yaml as a whole."""

    profile: str
    matrix: Matrix
    report: ReportConfig
    profiles: dict[str, Overlay]
    datasets: dict[str, Dataset]
    variants: dict[str, Overlay]


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One mapping of settings and the key it stands under in the file ('' for the base)."""

    origin: str
    content: Mapping[str, Any]

    def holds(self, key: str) -> bool:
        node: Any = self.content
        for part in key.split("."):
            if isinstance(node, list) and part.isdigit() and int(part) < len(node):
                node = node[int(part)]
            elif isinstance(node, Mapping) and part in node:
                node = node[part]
            else:
                return False
        return True


@dataclass(frozen=True, kw_only=True)
class Cell:
    """The resolved settings of dataset x variant."""

    dataset: str
    variant: str
    data: DataConfig
    network: NetworkSpec
    train: TrainConfig
    evaluate: EvaluateConfig
    shadowed: dict[str, str]    # base key -> origin of the layer that overrides it


def load(path: str | Path = PARAMS) -> dict[str, Any]:
    """Read params.yaml and check every section and table by itself: keys, types, ranges, names.

    Errors: `ConfigError`, one line with file, key, given and allowed.
    """
    content, file = read_yaml(path), Path(path).name
    for table in TABLES:
        entries = content.get(table)
        if not isinstance(entries, dict) or not entries:
            raise ConfigError(file, table, entries, "a mapping from names to settings")
        for name in entries:
            check_name(file, table, name)
    bind(Params, content, file=file, partial=True)
    required = ["profile", "matrix", "report", *SECTIONS, *(f"datasets.{name}.data" for name in content["datasets"])]
    for key in required:
        if not Layer(origin="", content=content).holds(key):
            raise ConfigError(file, key, "nothing", "a value: this section is required")
    for name, dataset in content["datasets"].items():
        bind(DataConfig, dataset["data"], file=file, prefix=f"datasets.{name}.data")
    bind(Matrix, content["matrix"], file=file, prefix="matrix")
    bind(ReportConfig, content["report"], file=file, prefix="report")
    _check_selection(content, file)
    return content


def check_name(file: str, key: str, name: object) -> None:
    """Names become parts of stage names, which DVC joins with '-': two products could otherwise collide in silence."""
    if not (isinstance(name, str) and re.fullmatch(r"\w+", name, flags=re.ASCII)):
        raise ConfigError(file, key, name, "names of letters, digits and _ only")


def _check_selection(content: dict[str, Any], file: str) -> None:
    if content["profile"] not in content["profiles"]:
        raise ConfigError(file, "profile", content["profile"], choices(content["profiles"], content["profile"]))
    for axis in ("datasets", "variants", "seeds"):
        selected = content["matrix"][axis]
        if len(set(selected)) != len(selected):
            raise ConfigError(file, f"matrix.{axis}", selected, "every entry once")
        for name in selected if axis != "seeds" else ():
            check_name(file, f"matrix.{axis}", name)
            if name not in content[axis]:
                raise ConfigError(file, f"matrix.{axis}", name, choices(content[axis], name))


def resolve_cell(content: dict[str, Any], dataset: str, variant: str, *, released: bool = False, file: str = PARAMS) -> Cell:
    """Merge and check the settings of dataset x variant under the selected profile.

    `released` adds the released code's differences after the dataset's own settings.
    Errors: `ConfigError` for a missing key or settings that do not fit together.
    """
    entry = content["datasets"][dataset]
    base = Layer(origin="", content={section: content[section] for section in SECTIONS})
    overlays = [
        Layer(origin=f"datasets.{dataset}", content=_overlay(entry)),
        Layer(origin=f"datasets.{dataset}.released", content=_overlay(entry.get("released", {})) if released else {}),
        Layer(origin=f"profiles.{content['profile']}", content=_overlay(content["profiles"][content["profile"]])),
        Layer(origin=f"variants.{variant}", content=_overlay(content["variants"][variant])),
    ]
    layers = [base, *overlays]
    merged = merge(*(layer.content for layer in layers))
    bound = {}
    data = bind(DataConfig, entry.get("data"), file=file, prefix=f"datasets.{dataset}.data")
    schemas = {"model": ModelConfig, "train": TrainConfig, "evaluate": EvaluateConfig}
    for section, schema in schemas.items():
        bound[section] = bind(schema, merged[section], file=file, prefix=f"datasets.{dataset}.{section}")
    _check_train(bound["train"], layers, file)
    _check_evaluate(bound["evaluate"], data, layers, file)
    try:
        network = resolve(bound["model"], resolution=data.resolution, channels=data.channels)
    except Impossible as problem:
        raise ConfigError(file, _where(problem.key, layers), problem.given, f"{problem.allowed} ({dataset}, {variant})") from None
    if network.batch_statistics and bound["train"].accumulate > 1:
        raise ConfigError(file, _where("train.accumulate", layers), bound["train"].accumulate, f"1 with model.norm batch: its statistics are the whole batch's ({dataset}, {variant})")
    return Cell(
        dataset=dataset,
        variant=variant,
        data=data,
        network=network,
        train=bound["train"],
        evaluate=bound["evaluate"],
        shadowed=_shadowed(base, overlays),
    )


def ineffective(cells: list[Cell]) -> dict[str, list[str]]:
    """Base keys that every one of `cells` overrides, and by which entries: changing them changes nothing."""
    keys = set.intersection(*(set(cell.shadowed) for cell in cells))
    return {key: sorted({cell.shadowed[key] for cell in cells}) for key in sorted(keys)}


def _overlay(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {section: entry[section] for section in SECTIONS if section in entry}


def _where(key: str, layers: list[Layer]) -> str:
    """The key as it stands in the file: that of the last layer that sets it."""
    for layer in reversed(layers):
        if layer.holds(key):
            return f"{layer.origin}.{key}" if layer.origin else key
    return key


def _check_train(train: TrainConfig, layers: list[Layer], file: str) -> None:
    if (train.kimg is None) == (train.generator_steps is None):
        given = {"kimg": train.kimg, "generator_steps": train.generator_steps}
        raise ConfigError(file, _where("train.kimg", layers), given, "exactly one of kimg and generator_steps; the other null")
    if len(set(train.augment.policy)) != len(train.augment.policy):
        raise ConfigError(file, _where("train.augment.policy", layers), train.augment.policy, "every operation at most once")
    if train.augment.erase_range[0] > train.augment.erase_range[1]:
        raise ConfigError(file, _where("train.augment.erase_range", layers), train.augment.erase_range, "[smallest, largest]")
    if train.recompute and train.execution != "eager":
        raise ConfigError(file, _where("train.recompute", layers), True, f"false with train.execution {train.execution}: the compiler chooses what to recompute")
    for key in ("batch_generator", "batch_discriminator"):
        if getattr(train, key) % train.accumulate:
            raise ConfigError(file, _where("train.accumulate", layers), train.accumulate, f"a divisor of train.{key}, {getattr(train, key)}")


def _check_evaluate(evaluate: EvaluateConfig, data: DataConfig, layers: list[Layer], file: str) -> None:
    for key in ("subset_size", "neighbours", "splits"):
        value = getattr(evaluate, key)
        if value >= evaluate.n_gen:
            raise ConfigError(file, _where(f"evaluate.{key}", layers), value, f"less than evaluate.n_gen, {evaluate.n_gen}")
    where = _where("evaluate.metrics", layers)
    names = full_names(evaluate)
    if len(set(names)) != len(names):
        raise ConfigError(file, where, evaluate.metrics, "every metric at most once")
    for name in names:
        count, least = parse(name).count or evaluate.n_gen, parse(name).least(evaluate.splits, evaluate.neighbours)
        if count < least:
            raise ConfigError(file, where, name, f"at least {least} generated images")
    for extractor in extractors(names):
        if extractor == DIGITS and data.resolution != 8:
            raise ConfigError(file, where, evaluate.metrics, "metrics of the digits' classifier on images of 8 x 8 alone")
        if extractor != DIGITS and data.channels != 3:
            raise ConfigError(file, where, evaluate.metrics, "metrics of the Inception network on images of 3 channels alone")


def _shadowed(base: Layer, overlays: list[Layer]) -> dict[str, str]:
    """Base keys another layer sets, with that layer's origin (the last one wins)."""
    found = {}
    for key in _leaves(base.content):
        for layer in overlays:
            if layer.holds(key):
                found[key] = layer.origin
    return found


def _leaves(content: Mapping[str, Any], prefix: str = "") -> list[str]:
    keys = []
    for name, value in content.items():
        keys += _leaves(value, f"{prefix}{name}.") if isinstance(value, Mapping) else [f"{prefix}{name}"]
    return keys
