"""params.yaml, checked whole, and the resolved settings of every cell and dataset.

A cell is dataset x variant x seed. Its settings: base <- datasets.X <- profiles.X <- variants.X (`.layers`),
merged, then bound to the schemas; everything that can be refused is refused here, before any other stage runs.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from pipeline.base.errors import ConfigError, choices
from pipeline.base.schema import Strict, bind, check_partial, read_yaml
from pipeline.data.config import DataConfig
from pipeline.metrics.config import EvaluateConfig
from pipeline.networks.config import ModelConfig
from pipeline.networks.spec import NetworkSpec
from pipeline.plan.checks import check_evaluate, check_together, check_train
from pipeline.plan.layers import SECTIONS, Layer, cell_layers, merge_layers, shadowed, with_models
from pipeline.plan.network_settings import check_network_settings, resolve_networks
from pipeline.plan.report_config import ReportConfig
from pipeline.training.config import TrainConfig

PARAMS = "params.yaml"
TABLES = ("datasets", "profiles", "variants")


class Overlay(Strict):
    """What a layer may change."""

    model: ModelConfig
    train: TrainConfig
    evaluate: EvaluateConfig


class Variant(Overlay):
    like: str  # another variant, from whose settings this one starts
    imports: bool  # true: nothing is trained, the weights are those of datasets.<name>.released.weights


class Released(Overlay):
    weights: Annotated[str, Field(min_length=1)] | None  # checkpoint of the released code, for variants that import


class Profile(Overlay):
    """A budget: settings laid over those of every dataset."""

    datasets: dict[str, Overlay]  # what it changes for one dataset alone
    variants: dict[str, Overlay]  # what it changes in one variant alone


class Dataset(Overlay):
    """A dataset: where its images are, and the settings laid over the base for it."""

    data: DataConfig
    released: Released  # what the released code does differently from the paper's figure
    variants: dict[str, Overlay]  # what it changes in one variant alone


class Matrix(Strict):
    """The cells: every dataset x variant x seed."""

    datasets: Annotated[list[str], Field(min_length=1)]
    variants: Annotated[list[str], Field(min_length=1)]
    seeds: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)]


class Params(Overlay):
    """params.yaml as a whole."""

    profile: str
    matrix: Matrix
    report: ReportConfig
    profiles: dict[str, Profile]
    datasets: dict[str, Dataset]
    variants: dict[str, Variant]


@dataclass(frozen=True, kw_only=True)
class ResolvedCell:
    """The settings of dataset x variant, merged and checked; every seed has the same."""

    dataset: str
    variant: str
    data: DataConfig
    network: NetworkSpec
    train: TrainConfig
    evaluate: EvaluateConfig
    imports: bool  # whether its weights are imported instead of trained
    shadowed: dict[str, str]  # base key -> origin of the layer that overrides it


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
    check_partial(Params, content, file=file)
    required = ["profile", "matrix", "report", *SECTIONS, *(f"datasets.{name}.data" for name in content["datasets"])]
    for key in required:
        if not Layer(origin="", content=content).holds(key):
            raise ConfigError(file, key, "nothing", "a value: this section is required")
    _check_models(content["variants"], file)
    check_network_settings(content, file)
    for name, dataset in content["datasets"].items():
        bind(DataConfig, dataset["data"], file=file, prefix=f"datasets.{name}.data")
    bind(Matrix, content["matrix"], file=file, prefix="matrix")
    bind(ReportConfig, content["report"], file=file, prefix="report")
    _check_selection(content, file)
    return content


def _check_models(variants: dict[str, Any], file: str) -> None:
    """What variants are `like`: a single step, so that one look at params.yaml shows where a value comes from."""
    allowed = [name for name, entry in variants.items() if "like" not in entry]
    for name, entry in variants.items():
        if "like" in entry and entry["like"] not in allowed:
            rule = "a variant that is not like another itself: "
            raise ConfigError(file, f"variants.{name}.like", entry["like"], rule + choices(allowed, entry["like"]))


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


def resolve_cell(
    content: dict[str, Any], dataset: str, variant: str, *, released: bool = False, file: str = PARAMS
) -> ResolvedCell:
    """Merge and check the settings of dataset x variant under the selected profile.

    `released` adds the released code's differences after the dataset's own settings; so does a variant that imports.
    Errors: `ConfigError` for a missing key or settings that do not fit together.
    """
    imports = any(content["variants"][name].get("imports", False) for name in with_models(content["variants"], variant))
    layers = cell_layers(content, dataset, variant, released=released or imports)
    prefix = f"datasets.{dataset}"
    merged = merge_layers(layers)
    data = bind(DataConfig, content["datasets"][dataset].get("data"), file=file, prefix=f"{prefix}.data")
    model = bind(ModelConfig, merged["model"], file=file, prefix=f"{prefix}.model")
    train = bind(TrainConfig, merged["train"], file=file, prefix=f"{prefix}.train")
    evaluate = bind(EvaluateConfig, merged["evaluate"], file=file, prefix=f"{prefix}.evaluate")
    check_train(train, layers, file)
    check_evaluate(evaluate, data, layers, file)
    network = resolve_networks(model, data, layers, file, cell=f"{dataset}, {variant}")
    check_together(network, train, layers, file)
    return ResolvedCell(
        dataset=dataset,
        variant=variant,
        data=data,
        network=network,
        train=train,
        evaluate=evaluate,
        imports=imports,
        shadowed=shadowed(layers[0], layers[1:]),
    )


def ineffective(cells: list[ResolvedCell]) -> dict[str, list[str]]:
    """Base keys that every one of `cells` overrides, and by which entries: changing them changes nothing."""
    keys = set.intersection(*(set(cell.shadowed) for cell in cells))
    return {key: sorted({cell.shadowed[key] for cell in cells}) for key in sorted(keys)}
