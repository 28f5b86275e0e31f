"""The settings of a cell, composed by Hydra: params.yaml, then files of conf/, then a row of params.yaml.

    params.yaml    conf/dataset/<d>.yaml    conf/released/<d>.yaml (if asked)    conf/profile/<p>.yaml
    conf/profile/<p>/dataset/<d>.yaml    conf/variant/<v>.yaml    `variants.<v>` of params.yaml

Later ones win, mappings merge, lists are replaced whole. A file's own `defaults` name what it starts from: another
variant, and what it does differently on a data set (conf/variant/<v>/dataset/<d>.yaml) or in a profile.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
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
CELL = "cell"  # name of the primary config in Hydra's store


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


@dataclass(frozen=True)
class Layer:
    """Settings and where they stand: a file, and the key in it that they are under ('' for the whole file)."""

    file: str
    key: str
    content: Mapping[str, Any]

    def holds(self, key: str) -> bool:
        """Whether it sets a dotted key, to null perhaps."""
        return select(self.content, key) is not ABSENT

    def place(self, key: str) -> tuple[str, str]:
        """File and key of a dotted key, as a person would look for them."""
        return self.file, f"{self.key}.{key}" if self.key else key


@contextmanager
def _hydra(conf: Path, primary: Mapping[str, Any], row: str, above: Layer) -> Iterator[GlobalHydra]:
    """Hydra with the folder `conf`, and in its store the primary config and the row of params.yaml."""
    store = ConfigStore.instance()
    store.store(CELL, dict(primary))
    store.store(row, dict(above.content), group="row", package="_global_")
    try:
        with initialize_config_dir(str(conf.absolute()), version_base=None):
            yield GlobalHydra.instance()
    except HydraException as error:
        raise UserError(f"{conf.name}/: {' '.join(str(error).split())}") from None


@dataclass(frozen=True)
class Composed:
    """The settings of dataset x variant. `content` holds data, model, train, evaluate, imports and weights."""

    content: dict[str, Any]
    conf: Path
    primary: Mapping[str, Any]  # of Hydra
    start: str  # the variant whose file `row` is laid over
    row: Layer
    base: Layer

    @cached_property
    def layers(self) -> list[Layer]:
        """What was merged, the first first."""
        with _hydra(self.conf, self.primary, self.start, self.row) as hydra:
            found = hydra.config_loader().compute_defaults_list(CELL, [], RunMode.RUN).defaults
        paths = [f"{default.config_path}.yaml" for default in found if not default.config_path.startswith("hydra/")]
        files = [path for path in paths if (self.conf / path).is_file()]
        layers = [Layer(f"conf/{path}", "", read_yaml(self.conf / path, empty=True)) for path in files]
        return [self.base, *layers, self.row]

    def where(self, key: str) -> tuple[str, str]:
        """File and key of the last layer that sets a dotted key, or that sets what it is a part of."""
        start = key
        while start:
            for layer in reversed(self.layers):
                if layer.holds(start):
                    return layer.place(key)
            start = start.rpartition(".")[0]
        return self.base.place(key)

    def overridden(self) -> dict[str, str]:
        """Base keys that another layer sets -> the file that sets them last."""
        above = self.layers[1:]
        return {
            key: layer.key or layer.file for key in leaves(self.base.content) for layer in above if layer.holds(key)
        }


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
    profile, row = content["profile"], content.get("variants", {}).get(variant, {})
    base = {section: content[section] for section in SECTIONS}
    start = row.get("like", variant)
    defaults: list[Any] = ["_self_", {"dataset": dataset}]
    if released:
        defaults += [{"optional released": dataset}]
    defaults += [{"profile": profile}, {f"optional profile/{profile}/dataset": dataset}]
    defaults += [{"optional variant": start}, {"row": start}]
    # A variant's file names the groups of what it does differently and chooses nothing in them (`full/dataset:`).
    for name in ancestry(Path(content["conf"]), start):
        for group, chosen in (("dataset", dataset), ("profile", profile)):
            if Path(content["conf"], "variant", name, group, f"{chosen}.yaml").is_file():
                defaults += [{f"override /variant/{name}/{group}@{name}.{group}": chosen}]
    primary = {"defaults": defaults, **base}
    above = Layer(content["file"], f"variants.{variant}", {key: row[key] for key in SECTIONS if key in row})
    conf = Path(content["conf"])
    with _hydra(conf, primary, start, above):
        merged: Any = OmegaConf.to_container(compose(CELL))
    return Composed(merged, conf, primary, start, row=above, base=Layer(content["file"], "", base))


def leaves(content: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Dotted keys of everything that is no mapping."""
    keys = []
    for name, value in content.items():
        keys += leaves(value, f"{prefix}{name}.") if isinstance(value, Mapping) else [f"{prefix}{name}"]
    return keys
