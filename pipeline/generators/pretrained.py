"""Trained networks kept in the repository, found by name, offline, each with a model card.

    pretrained/<dataset>/<variant>/             of the demo: digits/full
    published/<name>/networks/<variant>/        of published runs (pipeline.matrix.publish): faces32_deep_d/full

    python -m pipeline.generators.pretrained digits/full digits/no_augment     copies runs to pretrained/

A folder holds what drawing needs (generator_ema.safetensors in half precision, network.yaml), the training's record
(run.json) and README.md, a model card in the format that model hubs read. The run is that of the smallest seed.
"""

import argparse
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from pipeline.base.errors import UserError, choices, command_line
from pipeline.base.files import atomic_write, existing_path, read_json, write_text
from pipeline.base.schema import bind, read_yaml
from pipeline.metrics.registry import SPREAD, column
from pipeline.networks.spec import NetworkSpec

ROOT = Path(__file__).parent.parent.parent
PRETRAINED = ROOT / "pretrained"
PUBLISHED = ROOT / "published"
KEPT = "networks"  # in the folder of a published run
NETWORKS = "network.yaml"
WEIGHTS = "generator_ema.safetensors"
FILES = (NETWORKS, WEIGHTS, "run.json")
MOST = 8 * 2**20  # bytes of all networks under pretrained/ together, and of those of one published run


def find_run(run_or_name: str | Path) -> Path:
    """The folder that a run's path or the name of a kept network means; a path that exists comes first.

    Errors: `UserError` that lists the names there are.
    """
    if (Path(run_or_name) / NETWORKS).is_file():
        return Path(run_or_name)
    networks = kept_networks()
    if str(run_or_name) in networks:
        return networks[str(run_or_name)]
    kept = f"one of {choices(networks, run_or_name)}" if networks else "published; pretrained/ has none"
    raise UserError(f"{run_or_name}: no finished run here ({NETWORKS} is missing), and no network {kept}")


def add_network(parser: argparse.ArgumentParser) -> None:
    """The option by which a command takes a trained network, for `find_run` and `load_generator`."""
    about = "folder of a finished run (runs/digits/full/seed1), or name of a network kept here (digits/full)"
    names = ("--run", "--pretrained")
    parser.add_argument(*names, dest="network", required=True, metavar="RUN", type=existing_path, help=about)


def kept_networks() -> dict[str, Path]:
    """Name -> folder of every network that the repository holds, in the order of the names."""
    demo = {f"{path.parts[-3]}/{path.parts[-2]}": path.parent for path in PRETRAINED.glob(f"*/*/{NETWORKS}")}
    published = PUBLISHED.glob(f"*/{KEPT}/*/{NETWORKS}")
    runs = {f"{path.parts[-4]}/{path.parts[-2]}": path.parent for path in published}
    return dict(sorted((runs | demo).items()))


def smallest_seed(folder: Path) -> Path | None:
    """The run of the smallest seed in `folder`, runs/<dataset>/<variant>/, that has a generator, if there is one."""
    runs = sorted(folder.glob("seed*"), key=lambda run: int(run.name.removeprefix("seed")))
    return next((run for run in runs if all((run / name).is_file() for name in FILES)), None)


def size(run: Path) -> int:
    """Bytes of the weights of `run` once they are kept."""
    return (run / WEIGHTS).stat().st_size // 2


def copy_to_pretrained(cells: Sequence[str], root: Path = Path()) -> list[Path]:
    """Copy the run of each cell's smallest seed to pretrained/, with a model card; returns the folders.

    `cells`: <dataset>/<variant> each; their runs and results are those of the project in `root`.
    Errors: `UserError` where a cell has no finished run, and where all networks together would exceed MOST.
    """
    chosen = {}
    for cell in cells:
        if not re.fullmatch(r"\w+/\w+", cell):
            raise UserError(f"{cell}: given as the name of a cell; allowed: <dataset>/<variant>")
        if (run := smallest_seed(root / "runs" / cell)) is None:
            raise UserError(f"runs/{cell}: no finished run with a generator; `make repro` makes those of the matrix")
        chosen[PRETRAINED / cell] = run
    others = {path.parent for path in PRETRAINED.glob(f"*/*/{NETWORKS}")} - chosen.keys()
    total = sum((place / WEIGHTS).stat().st_size for place in others) + sum(map(size, chosen.values()))
    if total > MOST:
        raise UserError(f"{PRETRAINED}: {total / 2**20:.1f} MiB; allowed: {MOST / 2**20:.0f} MiB of networks in all")
    for cell, (place, run) in zip(cells, chosen.items(), strict=True):
        keep(run, place, name=cell, cell=cell, results=root / "results" / cell / run.name)
    return list(chosen)


def keep(run: Path, place: Path, *, name: str, cell: str, results: Path) -> None:
    """Copy what drawing needs of `run`, a run of `cell`, to `place`, with a card that calls the network `name`.

    Weights are rounded to half precision: no pixel moves by more than one grey level.
    """
    from safetensors.torch import load_file, save_file

    weights = load_file(run / WEIGHTS)
    with atomic_write(place / WEIGHTS) as temporary:
        save_file({key: w.half() if w.is_floating_point() else w for key, w in weights.items()}, temporary)
    for file in (NETWORKS, "run.json"):
        with atomic_write(place / file) as temporary:
            shutil.copyfile(run / file, temporary)
    write_text(place / "README.md", model_card(run, cell=cell, name=name, results=results))


class Images(NamedTuple):
    """What a card says of the images a network was trained on."""

    title: str
    terms: str  # of use, in words
    license: str = "other"  # of the weights, as hubs name licences
    hub: str | None = None  # the data set's name on model hubs


DATA = {
    "digits": Images(
        "scikit-learn's digits: the test part of UCI's Optical Recognition of Handwritten Digits, 8 x 8",
        "CC BY 4.0 (UCI Machine Learning Repository)",
        "mit",
    ),
    "glyphs": Images("glyphs: characters of the font DejaVu, drawn by this project", "none", "mit"),
    "cifar10": Images("CIFAR-10, training split", "the authors state no licence", hub="cifar10"),
    "stl10": Images("STL-10, unlabelled and training split", "pictures from ImageNet; the authors state no licence"),
    "celebahq": Images("CelebA-HQ", "CC BY-NC 4.0; the faces are CelebA's: non-commercial research alone"),
    "celeba": Images("CelebA, aligned", "non-commercial research alone (the authors)"),
    "faces": Images("CelebA, aligned", "non-commercial research alone (the authors)"),
    "church": Images("LSUN church_outdoor, training split", "the authors state no licence"),
}
OTHER = Images("a folder of images", "those of the images' owner")
TASK = "unconditional-image-generation"
CARD = """\
---
{front}---

# {name}

A generator of images of {side} x {side} x {spec.channels} from latents z ~ N(0, I) of \
{spec.generator.latent_dim} numbers.
Its family is `{spec.generator.family}`; the settings follow or vary those of TransGAN (https://arxiv.org/abs/2102.07074).
The weights in `generator_ema.safetensors` are the average over training (EMA), in half precision.
`network.yaml` describes both networks in full.

## Use

```python
from pipeline.generators.library import load_generator

images = load_generator("{name}").sample(16, seed=0)  # uint8 (16, {side}, {side}, {spec.channels})
```

## Training

- Data: {images.title}. Terms: {images.terms}.
- Length: {length}.
{facts}

## Numbers

{numbers}

## Intended use and limits

- Made for research on generative models: comparing networks, losses and metrics, and trying the library.
- The images are not for decisions about people or documents. They repeat the biases of the training images.
- One training run. Runs that differ only in their seed differ too; the project's report says by how much.
- The terms of the training images apply to what is done with the weights.
"""
HEAD = "| protocol | value | better | generated | real | meaning |\n| --- | --- | --- | --- | --- | --- |"
FACTS = {
    "parameters_g": "Parameters",
    "seconds": "Seconds",
    "device": "Device",
    "revision": "Revision",
    "imported_from": "Imported from",
}


def model_card(run: Path, *, cell: str, name: str | None = None, results: Path | None = None) -> str:
    """The card of the run in folder `run` of `cell` (<dataset>/<variant>): Markdown with YAML front matter.

    Numbers stand under the name of their protocol. Deterministic: the same files give the same card.
    `name`: by which `load_generator` finds the network; None: the cell's.
    `results`: the folder of the cell's results, its values beside it in <folder>.json; left out where there are none.
    Errors: `UserError` where the folder is no finished run.
    """
    spec = bind(NetworkSpec, read_yaml(run / NETWORKS), file=str(run / NETWORKS))
    record = read_json(run / "run.json")
    if results is not None and (results / "run.json").is_file():  # with time and machine of the training
        record |= read_json(results / "run.json")
    dataset, name = cell.partition("/")[0], name or cell
    images = DATA.get(dataset) or DATA.get(dataset.rstrip("0123456789"), OTHER)
    values, rows = _measured(results)
    front: dict[str, Any] = {"license": images.license, "library_name": "pytorch", "pipeline_tag": TASK}
    front["tags"] = ["gan", "image-generation", "transgan"]
    if images.hub:
        front["datasets"] = [images.hub]
    if values:
        metrics = [{"type": metric, "value": round(value, 4)} for metric, value in values.items()]
        measured = {"name": images.title, "type": images.hub or dataset}
        front["model-index"] = [
            {"name": name, "results": [{"task": {"type": TASK}, "dataset": measured, "metrics": metrics}]}
        ]
    imported = record["kimg"] is None
    length = f"{record['kimg'] or 0:,g} thousand real images were shown to the discriminator"
    length = "not known: the weights were imported" if imported else length
    ending = "" if record["status"] == "ok" else f". It ended with the status `{record['status']}`"
    facts = {label: record[key] for key, label in FACTS.items() if record.get(key) is not None}
    texts = [f"- {key}: {f'{fact:,}' if isinstance(fact, int | float) else fact}." for key, fact in facts.items()]
    return CARD.format(
        front=yaml.safe_dump(front, sort_keys=False, allow_unicode=True, width=120),
        name=name,
        spec=spec,
        side=spec.resolution,
        images=images,
        length=length + ending,
        facts="\n".join(texts),
        numbers="\n".join([HEAD, *rows]) if rows else "Not measured.",
    )


def _measured(results: Path | None) -> tuple[dict[str, float], list[str]]:
    """The measured numbers by protocol, and a row of the card's table for each."""
    if results is None or not results.with_suffix(".json").is_file():
        return {}, []
    measured = read_json(results.with_suffix(".json"))
    facts = read_json(results / "protocol.json").get("metrics", {}) if (results / "protocol.json").is_file() else {}
    values, rows = {}, []
    for name, value in measured.items():
        if isinstance(value, int | float) and (kind := column(name)) is not None:
            spread, better = measured.get(f"{name}{SPREAD}"), "lower" if kind.lower else "higher"
            text = f"{value:.4g}" + ("" if spread is None else f" ± {spread:.2g}")
            counts = " | ".join(str(facts.get(name, {}).get(count, "-")) for count in ("n_gen", "n_real"))
            rows.append(f"| `{name}` | {text} | {better} | {counts} | {kind.label} |")
            values[name] = value
    return values, rows


@command_line
def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.generators.pretrained",
        description="Copy finished runs to pretrained/, with a model card each.",
    )
    parser.add_argument("cells", nargs="+", metavar="DATASET/VARIANT", help="cells; the smallest seed of each")
    for folder in copy_to_pretrained(parser.parse_args().cells):
        print(f"pretrained: {folder.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
