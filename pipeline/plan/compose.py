"""The settings of a cell in the order that Hydra gives: params.yaml, then files of conf/, then a row of params.yaml.

    params.yaml    conf/dataset/<d>.yaml    conf/released/<d>.yaml (if asked)    conf/profile/<p>.yaml
    conf/profile/<p>/dataset/<d>.yaml    conf/variant/<v>.yaml    `variants.<v>` of params.yaml

Later ones win, mappings merge, lists are replaced whole. A file's own `defaults` name what it starts from: another
variant, and what it does differently on a data set (conf/variant/<v>/dataset/<d>.yaml) or in a profile.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra import initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import OmegaConf

from pipeline.base.errors import ConfigError, UserError
from pipeline.base.schema import read_yaml

SECTIONS = ("model", "train", "evaluate")
HEADER = "# @package _global_"
ABSENT = object()


def names(content: Mapping[str, Any], group: str) -> list[str]:
    """The entries of a `group` (dataset | variant | profile): files of conf/, and for variants rows of params.yaml."""
    files = sorted(path.stem for path in Path(content["conf"], group).glob("*.yaml"))
    return list(dict.fromkeys([*files, *(content.get("variants", {}) if group == "variant" else ())]))


def group_files(folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Name and content of every file of conf/, `defaults` included.

    Errors: `ConfigError` for a file without Hydra's header, which would put its settings elsewhere.
    """
    for path in sorted(folder.rglob("*.yaml"), key=lambda path: (len(path.parts), path)):
        file = f"{folder.name}/{path.relative_to(folder).as_posix()}"
        first = path.read_text(encoding="utf-8").partition("\n")[0]
        if first.strip() != HEADER:
            raise ConfigError(file, "first line", first, HEADER)
        yield file, read_yaml(path, name=file, empty=True)


def select(content: Any, key: str) -> Any:
    """The value of a dotted key, `ABSENT` where it is not set."""
    for part in key.split("."):
        if isinstance(content, list) and part.isdigit() and int(part) < len(content):
            content = content[int(part)]
        elif isinstance(content, Mapping) and part in content:
            content = content[part]
        else:
            return ABSENT
    return content


def leaves(content: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Dotted keys of everything that is no mapping."""
    keys = []
    for name, value in content.items():
        keys += leaves(value, f"{prefix}{name}.") if isinstance(value, Mapping) else [f"{prefix}{name}"]
    return keys


@dataclass(frozen=True)
class Layer:
    """Settings and where they stand: a file, and the key in it that they are under ('' for the whole file)."""

    file: str
    key: str
    content: Mapping[str, Any]

    def place(self, key: str) -> tuple[str, str]:
        """File and key of a dotted key, as a person would look for them."""
        return self.file, f"{self.key}.{key}" if self.key else key


@dataclass(frozen=True)
class Composed:
    """The settings of dataset x variant. `content` holds data, model, train, evaluate, imports and weights."""

    content: dict[str, Any]
    layers: list[Layer]  # what was merged: params.yaml, files of conf/, the row of params.yaml

    def last(self, key: str) -> Layer | None:
        """The last layer that sets a dotted key, to null perhaps."""
        return next((layer for layer in reversed(self.layers) if select(layer.content, key) is not ABSENT), None)

    def where(self, key: str) -> tuple[str, str]:
        """File and key of the last layer that sets a dotted key, or that sets what it is a part of."""
        start = key
        while start and self.last(start) is None:
            start = start.rpartition(".")[0]
        return (self.last(start) or self.layers[0]).place(key)


def ancestry(conf: Path, variant: str) -> list[str]:
    """The variant, and those that its file starts from."""
    file = conf / "variant" / f"{variant}.yaml"
    entries = read_yaml(file, empty=True).get("defaults", []) if file.is_file() else []
    below = [entry for entry in entries if isinstance(entry, str) and entry != "_self_"]
    return [variant, *(name for entry in below for name in ancestry(conf, entry))]


def compose_cell(content: Mapping[str, Any], dataset: str, variant: str, *, released: bool = False) -> Composed:
    """Merge the settings of dataset x variant under the selected profile; `content`: params.yaml as `load` returns it.

    `released` adds conf/released/<dataset>.yaml after the data set's own settings.
    Errors: `UserError` where Hydra cannot compose the files.
    """
    profile, conf = content["profile"], Path(content["conf"])
    row = content.get("variants", {}).get(variant, {})
    start = row.get("like", variant)  # the variant whose file the row is laid over
    defaults: list[Any] = ["_self_", {"dataset": dataset}]
    if released:
        defaults += [{"optional released": dataset}]
    defaults += [{"profile": profile}, {f"optional profile/{profile}/dataset": dataset}, {"optional variant": start}]
    # A variant's file names the groups of what it does differently and chooses nothing in them (`full/dataset:`).
    for name in ancestry(conf, start):
        for group, chosen in (("dataset", dataset), ("profile", profile)):
            if (conf / "variant" / name / group / f"{chosen}.yaml").is_file():
                defaults += [{f"override /variant/{name}/{group}@{name}.{group}": chosen}]
    ConfigStore.instance().store("cell", {"defaults": defaults})
    try:
        with initialize_config_dir(str(conf.absolute()), version_base=None):
            found = GlobalHydra.instance().config_loader().compute_defaults_list("cell", [], RunMode.RUN).defaults
    except HydraException as error:
        raise UserError(f"{conf.name}/: {' '.join(str(error).split())}") from None
    layers = [Layer(content["file"], "", {section: content[section] for section in SECTIONS})]
    for file in (f"{default.config_path}.yaml" for default in found):
        if (conf / file).is_file():
            settings = read_yaml(conf / file, empty=True)
            settings.pop("defaults", None)
            layers.append(Layer(f"conf/{file}", "", settings))
    layers.append(Layer(content["file"], f"variants.{variant}", {key: row[key] for key in SECTIONS if key in row}))
    merged: Any = OmegaConf.to_container(OmegaConf.merge(*(layer.content for layer in layers)))
    return Composed(merged, layers)
