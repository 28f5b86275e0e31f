"""Names that other commands take: variants, data sets, trained networks."""

from collections.abc import Iterator
from pathlib import Path

from pipeline.base.errors import ArgumentParser, command_line
from pipeline.base.files import read_json
from pipeline.base.schema import read_yaml
from pipeline.generators.pretrained import NETWORKS, kept_networks
from pipeline.plan.compose import leaves, names
from pipeline.plan.config import data_config, load


def variants() -> Iterator[tuple[str, str]]:
    """Every variant, and the settings by which it differs from the base or from the variants it starts from."""
    content = load()
    for name in names(content, "variant"):
        file = Path(content["conf"], "variant", f"{name}.yaml")
        settings = read_yaml(file, empty=True) if file.is_file() else content["variants"][name]
        defaults = settings.pop("defaults", [])
        start = [f"like {entry}" for entry in defaults if isinstance(entry, str) and entry != "_self_"]
        changed = [f"{key}={value}" for key, value in leaves(settings).items()]
        yield name, ", ".join(start + changed) or "the base"


def datasets() -> Iterator[tuple[str, str]]:
    """Every data set, its size and source, and whether it is prepared here."""
    content = load()
    for name in names(content, "dataset"):
        data = data_config(content, name)
        prepared = ", prepared in data/" if Path("data", name, "manifest.json").is_file() else ""
        yield name, f"{data.resolution} x {data.resolution}, source {data.source}{prepared}"


def networks() -> Iterator[tuple[str, str]]:
    """Every trained network that the repository keeps, and every finished run here."""
    runs = {str(path.parent): path.parent for path in sorted(Path("runs").glob(f"*/*/seed*/{NETWORKS}"))}
    for name, folder in {**kept_networks(), **runs}.items():
        record = read_json(folder / "run.json")
        length = "imported" if record.get("kimg") is None else f"{record['kimg']:,g} kimg"
        yield name, f"{length}, {record.get('parameters_g', 0):,} parameters, {record['status']}"


LISTS = {"variants": variants, "datasets": datasets, "networks": networks}


@command_line
def main() -> None:
    parser = ArgumentParser(prog="transgan list", description="Names that other commands take.")
    parser.add_argument("what", choices=LISTS)
    rows = list(LISTS[parser.parse_args().what]())
    width = max((len(name) for name, _ in rows), default=0)
    for name, text in rows:
        line = f"{name:<{width}}  {text}"
        print(line if len(line) <= 120 else f"{line[:117]}...")
