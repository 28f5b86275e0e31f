"""The settings of a cell, composed by Hydra: params.yaml, then files of conf/, then a row of params.yaml.

    params.yaml    conf/dataset/<d>.yaml    conf/released/<d>.yaml (if asked)    conf/profile/<p>.yaml
    conf/profile/<p>/dataset/<d>.yaml    conf/variant/<v>.yaml    `variants.<v>` of params.yaml

Later ones win, mappings merge, lists are replaced whole. A file's own `defaults` name what it starts from: another
variant, and what it does differently on a data set (conf/variant/<v>/dataset/<d>.yaml) or in a profile.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

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


def leaves(content: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Dotted key -> value of everything that is no mapping."""
    found: dict[str, Any] = {}
    for name, value in content.items():
        inside = isinstance(value, Mapping)
        found |= leaves(value, f"{prefix}{name}.") if inside else {f"{prefix}{name}": value}
    return found


class Layer(NamedTuple):
    """Settings and where they stand: a file, and what their keys in it start with ('' for the whole file)."""

    file: str
    prefix: str
    settings: dict[str, Any]  # by dotted key


def ancestry(conf: Path, variant: str) -> list[str]:
    """The variant, and those that its file starts from."""
    file = conf / "variant" / f"{variant}.yaml"
    entries = read_yaml(file, empty=True).get("defaults", []) if file.is_file() else []
    below = [entry for entry in entries if isinstance(entry, str) and entry != "_self_"]
    return [variant, *(name for entry in below for name in ancestry(conf, entry))]


class ComposedCell:
    """The settings of dataset x variant under the selected profile: `content` has data, model, train, evaluate.

    `params` is params.yaml as `load` returns it; `released` adds conf/released/<dataset>.yaml after the data set's.
    Errors: `UserError` where Hydra cannot compose the files.
    """

    def __init__(self, params: Mapping[str, Any], dataset: str, variant: str, *, released: bool = False) -> None:
        self.conf, self.file, profile = Path(params["conf"]), params["file"], params["profile"]
        row = params.get("variants", {}).get(variant, {})
        start = row.get("like", variant)  # the variant whose file the row is laid over
        self.defaults: list[Any] = ["_self_", {"dataset": dataset}]
        self.defaults += [{"optional released": dataset if released else None}, {"profile": profile}]
        self.defaults += [{f"optional profile/{profile}/dataset": dataset}, {"optional variant": start}, "row"]
        # A variant's file names the groups of what it does differently and chooses nothing in them (`full/dataset:`).
        for name in ancestry(self.conf, start):
            for group, chosen in (("dataset", dataset), ("profile", profile)):
                if (self.conf / "variant" / name / group / f"{chosen}.yaml").is_file():
                    self.defaults += [{f"override /variant/{name}/{group}@{name}.{group}": chosen}]
        self.base = {section: params[section] for section in SECTIONS}
        self.row = {section: row[section] for section in SECTIONS if section in row}
        self.row_prefix = f"variants.{variant}."
        with self._hydra():
            self.content: Any = OmegaConf.to_container(compose("cell"))

    @contextmanager
    def _hydra(self) -> Iterator[None]:
        store = ConfigStore.instance()
        store.store("cell", {"defaults": self.defaults, **self.base})
        store.store("row", self.row)
        try:
            with initialize_config_dir(str(self.conf.absolute()), version_base=None):
                yield
        except HydraException as error:
            raise UserError(f"{self.conf.name}/: {' '.join(str(error).split())}") from None

    @cached_property
    def layers(self) -> list[Layer]:
        """What was composed, in Hydra's order: params.yaml, files of conf/, the row of params.yaml."""
        with self._hydra():
            order = GlobalHydra.instance().config_loader().compute_defaults_list("cell", [], RunMode.RUN).defaults
        layers = [Layer(self.file, "", leaves(self.base))]
        for file in (f"{default.config_path}.yaml" for default in order):
            if (self.conf / file).is_file():
                settings = read_yaml(self.conf / file, empty=True)
                settings.pop("defaults", None)
                layers.append(Layer(f"conf/{file}", "", leaves(settings)))
        return [*layers, Layer(self.file, self.row_prefix, leaves(self.row))]

    def last(self, key: str) -> Layer | None:
        """The last layer that sets a dotted key or a part of it, to null perhaps."""
        layers = reversed(self.layers)
        return next((layer for layer in layers if any(f"{one}.".startswith(f"{key}.") for one in layer.settings)), None)

    def where(self, key: str) -> tuple[str, str]:
        """File and key of the last layer that sets a dotted key, or that sets what it is a part of."""
        start = key
        while start and self.last(start) is None:
            start = start.rpartition(".")[0]
        layer = self.last(start) or self.layers[0]
        return layer.file, layer.prefix + key
