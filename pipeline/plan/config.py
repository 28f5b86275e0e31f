"""params.yaml and conf/, checked whole, and the resolved settings of every cell.

A cell is dataset x variant x seed. `.compose` merges its settings; here they are bound to their schemas, and everything
that can be refused is refused, before any other stage runs.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from pipeline.base.errors import ConfigError, choices
from pipeline.base.schema import Strict, bind, check_partial, read_yaml
from pipeline.data.config import DataConfig
from pipeline.metrics.config import EvaluateConfig
from pipeline.networks.config import NETWORKS, ModelConfig
from pipeline.networks.families import FAMILIES
from pipeline.networks.spec import NetworkSpec
from pipeline.plan.checks import check_cell, resolve_networks
from pipeline.plan.compose import SECTIONS, Composed, compose_cell, group_files, leaves, names, select
from pipeline.training.config import TrainConfig

PARAMS = "params.yaml"
CONF = "conf"
Text = Annotated[str, Field(min_length=1)]


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

    weights: Text | None  # checkpoint of the released code, for variants that import


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


class Matrix(Strict):
    """The cells: every dataset x variant x seed."""

    datasets: Annotated[list[str], Field(min_length=1)]
    variants: Annotated[list[str], Field(min_length=1)]
    seeds: Annotated[list[Annotated[int, Field(ge=0, lt=2**63)]], Field(min_length=1)]


class ReportConfig(Strict):
    """Settings of the report; they change no number."""

    confidence: Annotated[float, Field(gt=0, lt=1)]  # of the t-interval over seeds
    grid_images: Annotated[int, Field(ge=1)]  # images of a fixed-latent grid shown per cell
    timeline_columns: Annotated[int, Field(ge=1)]  # moments of training shown side by side
    dpi: Annotated[int, Field(ge=50, le=600)]  # of the figures


class Params(Overlay):
    """params.yaml as a whole."""

    profile: str
    matrix: Matrix
    report: ReportConfig
    variants: dict[str, Row]  # optional


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
    composed: Composed  # where each setting stands


def load(path: str | Path = PARAMS) -> dict[str, Any]:
    """Read params.yaml and check it and every file of conf/ beside it: keys, types, ranges, names.

    Returns the content of params.yaml; `file` is its name and `conf` the path of the folder.
    Errors: `ConfigError`, one line with file, key, given and allowed.
    """
    content, file, conf = read_yaml(path), Path(path).name, Path(path).parent / CONF
    _refuse_references(content, file)
    check_partial(Params, content, file=file)
    for key in ("profile", "matrix", "report", *SECTIONS):
        if key not in content:
            raise ConfigError(file, key, "nothing", "a value: this section is required")
    bind(Matrix, content["matrix"], file=file, prefix="matrix")
    bind(ReportConfig, content["report"], file=file, prefix="report")
    if not conf.is_dir():
        raise ConfigError(f"{CONF}/", "folder", "nothing", f"data sets, variants and profiles, beside {path}")
    content |= {"file": file, "conf": str(conf)}
    _check_files(content)
    _check_selection(content, file)
    return content


def data_config(content: Mapping[str, Any], dataset: str) -> DataConfig:
    """Where the images of a data set are; `content`: params.yaml as `load` returned it."""
    data = compose_cell(content, dataset, content["matrix"]["variants"][0]).content["data"]
    return bind(DataConfig, data, file=f"{CONF}/dataset/{dataset}.yaml", prefix="data")


def check_names(file: str, key: str, given: Iterable[object]) -> None:
    """Names become parts of stage names, which DVC joins with '-': two products could otherwise collide in silence."""
    for name in given:
        if not (isinstance(name, str) and re.fullmatch(r"\w+", name, flags=re.ASCII)):
            raise ConfigError(file, key, name, "names of letters, digits and _ only")


def _refuse_references(content: Mapping[str, Any], file: str) -> None:
    """YAML has no `${...}`: OmegaConf, Hydra and DVC would each make something else of it."""
    for key in leaves(content):
        if "${" in str(value := select(content, key)):
            raise ConfigError(file, key, value, "values; references such as ${...} are not read")


def _check_files(content: Mapping[str, Any]) -> None:
    """Check every file of conf/ by itself, in use or not: its path, its `defaults`, its settings."""
    known = {group: names(content, group) for group in ("dataset", "variant", "profile")}
    extended: dict[str, set[str]] = {}  # variant -> groups that its defaults name
    for file, settings in group_files(Path(content["conf"])):
        path = file.removeprefix(f"{CONF}/").removesuffix(".yaml")
        check_names(file, "name", path.split("/"))
        schema = next((schema for pattern, schema in SCHEMAS.items() if re.fullmatch(pattern, path)), None)
        if schema is None:
            raise ConfigError(file, "path", path, " | ".join(SCHEMAS).replace(r"\w+", "<name>"))
        group, *rest = path.split("/")
        defaults = settings.pop("defaults", None)
        if group == "variant" and len(rest) == 1:
            extended[rest[0]] = _check_defaults(defaults, file, rest[0], known["variant"])
        elif defaults is not None and not (isinstance(defaults, list) and defaults[-1] == "_self_"):
            raise ConfigError(file, "defaults", defaults, "a list of files of conf/ that ends with _self_")
        for table, name in zip(path.split("/")[::2], path.split("/")[1::2], strict=True):
            table = "dataset" if table == "released" else table
            if name not in known[table]:
                raise ConfigError(file, "name", name, f"a {table}: {choices(known[table], name)}")
        if len(rest) == 3 and group == "variant" and f"{rest[0]}/{rest[1]}" not in extended.get(rest[0], set()):
            allowed = f"an entry `{rest[0]}/{rest[1]}:`, for {file}"
            raise ConfigError(f"{CONF}/variant/{rest[0]}.yaml", "defaults", "nothing", allowed)
        _refuse_references(settings, file)
        check_partial(schema, settings, file=file)
        if schema is DatasetFile and not defaults:
            if "data" not in settings:
                raise ConfigError(file, "data", "nothing", "a value: this section is required")
            bind(DataConfig, settings["data"], file=file, prefix="data")


def _check_defaults(defaults: Any, file: str, variant: str, known: list[str]) -> set[str]:
    """Check a variant's `defaults`; returns the groups of files that hold what it does differently."""
    groups: set[str] = set()
    for entry in [] if defaults is None else defaults if isinstance(defaults, list) else [defaults]:
        usual = {f"{variant}/{group}": None for group in ("dataset", "profile")}
        if isinstance(entry, dict) and entry.items() <= usual.items():
            groups |= entry.keys()
        elif entry != "_self_" and (entry not in known or entry == variant):
            near = entry if isinstance(entry, str) else None
            others = choices([name for name in known if name != variant], near)
            allowed = f"_self_ | {':  | '.join(usual)}: | another variant: {others}"
            raise ConfigError(file, "defaults", entry, allowed.replace(":  |", ": |"))
    return groups


def _check_selection(content: Mapping[str, Any], file: str) -> None:
    profiles, rows = names(content, "profile"), content.get("variants", {})
    if content["profile"] not in profiles:
        raise ConfigError(file, "profile", content["profile"], choices(profiles, content["profile"]))
    check_names(file, "variants", rows)
    files = [name for name in names(content, "variant") if (Path(content["conf"]) / f"variant/{name}.yaml").is_file()]
    for name, row in rows.items():
        if row.get("like", files[0]) not in files:
            raise ConfigError(file, f"variants.{name}.like", row["like"], choices(files, row["like"]))
    for axis in ("datasets", "variants", "seeds"):
        selected = content["matrix"][axis]
        if len(set(selected)) != len(selected):
            raise ConfigError(file, f"matrix.{axis}", selected, "every entry once")
        if axis != "seeds":
            check_names(file, f"matrix.{axis}", selected)
            known = names(content, axis.removesuffix("s"))
            for name in selected:
                if name not in known:
                    raise ConfigError(file, f"matrix.{axis}", name, choices(known, name))


def resolve_cell(content: Mapping[str, Any], dataset: str, variant: str, *, released: bool = False) -> ResolvedCell:
    """Merge and check the settings of dataset x variant under the selected profile; `content`: what `load` returned.

    `released` adds the released code's differences after the data set's own settings; so does a variant that imports.
    Errors: `ConfigError` for a missing key or settings that do not fit together.
    """
    composed = compose_cell(content, dataset, variant, released=released)
    imports = composed.content.get("imports", False)
    if imports and not released:
        composed = compose_cell(content, dataset, variant, released=True)
    merged, file = composed.content, f"{content['file']} or conf/dataset/{dataset}.yaml"
    for choice in (merged["model"][network] for network in NETWORKS):  # what other families are set to is not read
        for other in FAMILIES.keys() - {choice.get("family")}:
            choice.pop(other, None)
    data = bind(DataConfig, merged["data"], file=file, prefix="data")
    model = bind(ModelConfig, merged["model"], file=file, prefix="model")
    train = bind(TrainConfig, merged["train"], file=file, prefix="train")
    evaluate = bind(EvaluateConfig, merged["evaluate"], file=file, prefix="evaluate")
    network = resolve_networks(model, data, composed, cell=f"{dataset}, {variant}")
    check_cell(data, network, train, evaluate, composed)
    return ResolvedCell(
        dataset=dataset,
        variant=variant,
        data=data,
        network=network,
        train=train,
        evaluate=evaluate,
        imports=imports,
        composed=composed,
    )


def overridden(cells: list[ResolvedCell]) -> dict[str, list[str]]:
    """Base keys that every one of `cells` overrides, and in which files: in params.yaml they change nothing."""
    found = [cell.composed.overridden() for cell in cells]
    keys = set.intersection(*map(set, found))
    return {key: sorted({cell[key] for cell in found}) for key in sorted(keys)}
