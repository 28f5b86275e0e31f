"""params.yaml and conf/, checked whole, and the resolved settings of every cell.

A cell is dataset x variant x seed. Hydra composes its settings (`.compose`); here they are bound to their schemas, and
everything that can be refused is refused, before any other stage runs.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from pipeline.base.errors import ConfigError, choices
from pipeline.base.schema import Strict, bind, read_yaml
from pipeline.data.config import DataConfig
from pipeline.metrics.config import EvaluateConfig
from pipeline.networks.config import NETWORKS, ModelConfig
from pipeline.networks.families import FAMILIES
from pipeline.networks.spec import NetworkSpec
from pipeline.plan.checks import check_cell, resolve_networks
from pipeline.plan.compose import SECTIONS, ComposedCell, group_files, leaves, names
from pipeline.training.config import TrainConfig

PARAMS = "params.yaml"
CONF = "conf"


class Overlay(Strict):
    """What a layer may change."""

    model: ModelConfig
    train: TrainConfig
    evaluate: EvaluateConfig


class Row(Overlay):
    """`variants.<name>` of params.yaml: laid over conf/variant/<name>.yaml, or a row without a file."""

    like: str  # start from the file of another variant


class VariantFile(Overlay):
    """conf/variant/<name>.yaml."""

    imports: bool  # true: nothing is trained, the weights are those of conf/released/<dataset>.yaml


class ReleasedFile(Overlay):
    """conf/released/<name>.yaml: what the released code does differently from the paper's figure."""

    weights: Annotated[str, Field(min_length=1)] | None  # checkpoint of the released code, for variants that import


class DatasetFile(Overlay):
    """conf/dataset/<name>.yaml: where the images are, and what is set for them."""

    data: DataConfig


SCHEMAS: dict[str, type[Strict]] = {  # of the files of conf/, by their path
    r"dataset/\w+": DatasetFile,
    r"released/\w+": ReleasedFile,
    r"profile/\w+": Overlay,
    r"profile/\w+/dataset/\w+": Overlay,
    r"variant/\w+": VariantFile,
    r"variant/\w+/(dataset|profile)/\w+": Overlay,
}


def _once(given: list[Any]) -> list[Any]:
    if len(set(given)) != len(given):
        raise ValueError("every entry once")
    return given


def _plain(name: str) -> str:
    """Names are parts of stage names, which DVC joins with '-': two products could otherwise collide in silence."""
    if not re.fullmatch(r"\w+", name, re.ASCII):
        raise ValueError("names of letters, digits and _ only")
    return name


class Matrix(Strict):
    """The cells: every dataset x variant x seed."""

    datasets: Annotated[list[str], Field(min_length=1), AfterValidator(_once)]
    variants: Annotated[list[str], Field(min_length=1), AfterValidator(_once)]
    seeds: Annotated[list[Annotated[int, Field(ge=0, lt=2**63)]], Field(min_length=1), AfterValidator(_once)]


class ReportConfig(Strict):
    """Settings of the report; they change no number."""

    dpi: Annotated[int, Field(ge=50, le=600)]  # of the figures


class Params(Overlay):
    """params.yaml as a whole."""

    profile: str
    matrix: Matrix
    report: ReportConfig
    variants: dict[Annotated[str, AfterValidator(_plain)], Row]  # optional


@dataclass(frozen=True)
class ResolvedCell:
    """The settings of dataset x variant, merged and checked; every seed has the same."""

    dataset: str
    variant: str
    data: DataConfig
    network: NetworkSpec
    train: TrainConfig
    evaluate: EvaluateConfig
    imports: bool  # whether its weights are imported instead of trained
    composed: ComposedCell  # where each setting stands


def load(path: str | Path = PARAMS) -> dict[str, Any]:
    """Read params.yaml and check it and every file of conf/ beside it: keys, types, ranges, names.

    Returns the content of params.yaml; `file` is its name and `conf` the path of the folder.
    Errors: `ConfigError`, one line with file, key, given and allowed.
    """
    content, file, conf = read_yaml(path), Path(path).name, Path(path).parent / CONF
    _check_settings(Params, content, file)
    for key in ("profile", "matrix", "report", *SECTIONS):
        if key not in content:
            raise ConfigError(file, key, "nothing", "a value: this section is required")
    for key, schema in (("matrix", Matrix), ("report", ReportConfig)):
        bind(schema, content[key], file=file, prefix=key)
    if not conf.is_dir():
        raise ConfigError(f"{CONF}/", "folder", "nothing", f"data sets, variants and profiles, beside {path}")
    content |= {"file": file, "conf": str(conf)}
    _check_files(content)
    matrix, rows = content["matrix"], content.get("variants", {})
    files = [path.stem for path in sorted(conf.glob("variant/*.yaml"))]
    given = [("profile", content["profile"], names(content, "profile"))]
    given += [(f"variants.{name}.like", row["like"], files) for name, row in rows.items() if "like" in row]
    given += [("matrix.datasets", name, names(content, "dataset")) for name in matrix["datasets"]]
    given += [("matrix.variants", name, names(content, "variant")) for name in matrix["variants"]]
    for key, name, known in given:
        if name not in known:
            raise ConfigError(file, key, name, choices(known, name))
    return content


def data_config(content: Mapping[str, Any], dataset: str) -> DataConfig:
    """Where the images of a data set are; `content`: params.yaml as `load` returned it."""
    data = ComposedCell(content, dataset, content["matrix"]["variants"][0]).content.get("data", {})
    return bind(DataConfig, data, file=f"{CONF}/dataset/{dataset}.yaml", prefix="data")


def _check_settings(schema: type[Strict], content: Mapping[str, Any], file: str) -> None:
    """Keys, types and ranges of what a file states; no `${...}`: OmegaConf, Hydra and DVC read it in three ways."""
    for key, value in leaves(content).items():
        if "${" in str(value):
            raise ConfigError(file, key, value, "values; references such as ${...} are not read")
    bind(schema, content, file=file, partial=True)


def _check_files(content: Mapping[str, Any]) -> None:
    """Check every file of conf/ by itself, in use or not: its path, its `defaults`, its settings."""
    known = {group: names(content, group) for group in ("dataset", "variant", "profile")}
    known["released"] = known["dataset"]
    extended: set[str] = set()  # variant/group, where a variant's defaults name files of that group
    for file, settings in group_files(Path(content["conf"])):
        path = file.removeprefix(f"{CONF}/").removesuffix(".yaml")
        parts = path.split("/")
        schema = next((schema for pattern, schema in SCHEMAS.items() if re.fullmatch(pattern, path, re.ASCII)), None)
        if schema is None:
            raise ConfigError(file, "path", path, " | ".join(SCHEMAS).replace(r"\w+", "<name>"))
        for group, name in zip(parts[::2], parts[1::2], strict=True):
            if name not in known[group]:
                group = group.replace("released", "dataset")
                raise ConfigError(file, "name", name, f"a {group}: {choices(known[group], name)}")
        defaults = settings.pop("defaults", [])
        if schema is VariantFile:
            _check_defaults(defaults, file, parts[1], known["variant"])
            extended |= {group for entry in defaults if isinstance(entry, dict) for group in entry}
        if len(parts) == 4 and parts[0] == "variant" and "/".join(parts[1:3]) not in extended:
            allowed = f"an entry `{parts[1]}/{parts[2]}:`, for {file}"
            raise ConfigError(f"{CONF}/variant/{parts[1]}.yaml", "defaults", "nothing", allowed)
        _check_settings(schema, settings, file)


def _check_defaults(defaults: Any, file: str, variant: str, known: list[str]) -> None:
    """Check a variant's `defaults`: other variants, itself, and the groups of files for what it does differently."""
    groups = [f"{variant}/dataset", f"{variant}/profile"]
    others = [name for name in known if name != variant]
    for entry in defaults if isinstance(defaults, list) else [defaults]:
        if entry not in ("_self_", *others, *({group: None} for group in groups)):
            near = choices(others, entry if isinstance(entry, str) else None)
            allowed = f"_self_ | {groups[0]}: | {groups[1]}: | another variant: {near}"
            raise ConfigError(file, "defaults", entry, allowed)


def resolve_cell(content: Mapping[str, Any], dataset: str, variant: str, *, released: bool = False) -> ResolvedCell:
    """Merge and check the settings of dataset x variant under the selected profile; `content`: what `load` returned.

    `released` adds the released code's differences after the data set's own settings; so does a variant that imports.
    Errors: `ConfigError` for a missing key or settings that do not fit together.
    """
    composed = ComposedCell(content, dataset, variant, released=released)
    imports = composed.content.get("imports", False)
    if imports and not released:
        composed = ComposedCell(content, dataset, variant, released=True)
    for choice in (composed.content["model"][network] for network in NETWORKS):
        for other in FAMILIES.keys() - {choice.get("family")}:  # what other families are set to is not read
            choice.pop(other, None)
    merged = {key: composed.content[key] for key in DatasetFile.model_fields if key in composed.content}
    given = bind(DatasetFile, merged, file=f"{content['file']} or conf/dataset/{dataset}.yaml")
    network = resolve_networks(given.model, given.data, composed, cell=f"{dataset}, {variant}")
    check_cell(given.data, network, given.train, given.evaluate, composed)
    return ResolvedCell(dataset, variant, given.data, network, given.train, given.evaluate, imports, composed)


def overridden(cells: list[ResolvedCell]) -> dict[str, list[str]]:
    """Base keys that every one of `cells` overrides, and in which files: in params.yaml they change nothing."""
    found = {}
    for key in sorted({key for cell in cells for key in cell.composed.layers[0].settings}):
        last = [layer for cell in cells if (layer := cell.composed.last(key)) not in (None, cell.composed.layers[0])]
        if len(last) == len(cells):
            found[key] = sorted({layer.prefix.rstrip(".") or layer.file for layer in last if layer})
    return found
