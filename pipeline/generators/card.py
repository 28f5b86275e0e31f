"""The model card of a trained generator: README.md with the YAML front matter that model hubs read.

Written from what a run left: network.yaml, run.json, and the numbers of results/<cell>/ where they exist. Numbers stand
under the name of their protocol, with the facts that belong to it. Deterministic: the same files give the same card.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from pipeline.base.errors import UserError
from pipeline.base.files import read_json
from pipeline.base.schema import bind, read_yaml
from pipeline.metrics.registry import SPREAD, column
from pipeline.networks.spec import NetworkSpec

PAPER = "https://arxiv.org/abs/2102.07074"


@dataclass(frozen=True, kw_only=True)
class Images:
    """What a card says of the images a network was trained on."""

    title: str
    hub: str | None  # its name on model hubs
    terms: str  # of use, in words
    license: str  # of the weights, as hubs name licences


DATA = {
    "digits": Images(
        title="scikit-learn's digits: the test part of UCI's Optical Recognition of Handwritten Digits, 8 x 8",
        hub=None,
        terms="CC BY 4.0 (UCI Machine Learning Repository)",
        license="mit",
    ),
    "cifar10": Images(
        title="CIFAR-10, training split", hub="cifar10", terms="the authors state no licence", license="other"
    ),
    "stl10": Images(
        title="STL-10, unlabelled and training split",
        hub=None,
        terms="pictures from ImageNet; the authors state no licence",
        license="other",
    ),
    "celeba": Images(
        title="CelebA, aligned", hub=None, terms="non-commercial research alone (the authors)", license="other"
    ),
    "celebahq": Images(
        title="CelebA-HQ",
        hub=None,
        terms="CC BY-NC 4.0; the faces are CelebA's: non-commercial research alone",
        license="other",
    ),
    "church": Images(
        title="LSUN church_outdoor, training split", hub=None, terms="the authors state no licence", license="other"
    ),
}
OTHER = Images(title="a folder of images", hub=None, terms="those of the images' owner", license="other")
FACES = {"faces": "celeba", "celeba64": "celeba", "celeba128": "celeba", "celebahq256": "celebahq"}
SOURCES = {**FACES, "church256": "church"}


def model_card(run: Path, *, cell: str, name: str | None = None, results: Path | None = None) -> str:
    """The card of the run in folder `run` of `cell` (<dataset>/<variant>).

    `name`: by which `load_generator` finds the network; None: the cell's.
    `results`: the folder of the cell's results, its values beside it in <folder>.json; left out where there are none.
    Errors: `UserError` where the folder is no finished run.
    """
    spec = bind(NetworkSpec, read_yaml(run / "network.yaml"), file=str(run / "network.yaml"))
    record = read_json(run / "run.json")
    dataset, _, variant = cell.partition("/")
    if not variant:
        raise UserError(f"{cell}: given as the name of a cell; allowed: <dataset>/<variant>")
    images = DATA.get(SOURCES.get(dataset, dataset), OTHER)
    values = _values(results)
    name = name or cell
    front = yaml.safe_dump(_front_matter(name, dataset, images, values), sort_keys=False, allow_unicode=True, width=120)
    return f"---\n{front}---\n\n" + "\n".join(_body(name, spec, record, images, values))


def _values(results: Path | None) -> list[dict[str, Any]]:
    """Each measured number with its protocol, in the order of the results; empty where nothing was measured."""
    file = results.with_suffix(".json") if results is not None else None
    if results is None or file is None or not file.is_file():
        return []
    measured = read_json(file)
    facts = read_json(results / "protocol.json").get("metrics", {}) if (results / "protocol.json").is_file() else {}
    return [
        {
            "name": name,
            "value": value,
            "spread": measured.get(f"{name}{SPREAD}"),
            "label": kind.label,
            "better": "lower" if kind.lower else "higher",
            "facts": facts.get(name, {}),
        }
        for name, value in measured.items()
        if isinstance(value, int | float) and (kind := column(name)) is not None
    ]


def _front_matter(name: str, dataset: str, images: Images, values: list[dict[str, Any]]) -> dict[str, Any]:
    front: dict[str, Any] = {
        "license": images.license,
        "library_name": "pytorch",
        "pipeline_tag": "unconditional-image-generation",
        "tags": ["gan", "image-generation", "transgan"],
    }
    if images.hub:
        front["datasets"] = [images.hub]
    if values:
        results = {
            "task": {"type": "unconditional-image-generation"},
            "dataset": {"name": images.title, "type": images.hub or dataset},
            "metrics": [{"type": entry["name"], "value": round(entry["value"], 4)} for entry in values],
        }
        front["model-index"] = [{"name": name, "results": [results]}]
    return front


def _body(
    name: str, spec: NetworkSpec, record: dict[str, Any], images: Images, values: list[dict[str, Any]]
) -> list[str]:
    side = f"{spec.resolution} x {spec.resolution}"
    family = spec.generator.family
    state = "" if record["status"] == "ok" else f" It ended with the status `{record['status']}`."
    trained = (
        "not known: the weights were imported"
        if record["kimg"] is None
        else f"{record['kimg']:,g} thousand real images were shown to the discriminator"
    )
    return [
        f"# {name}",
        "",
        f"A generator of images of {side} x {spec.channels} from latents z ~ N(0, I) of",
        f"{spec.generator.latent_dim} numbers.",
        f"Its family is `{family}`; the settings follow or vary those of TransGAN ({PAPER}).",
        "The weights in `generator_ema.safetensors` are the average over training (EMA). `network.yaml` describes both",
        "networks in full.",
        "",
        "## Use",
        "",
        "```python",
        "from pipeline.generators.library import load_generator",
        "",
        f'images = load_generator("{name}").sample(16, seed=0)  # uint8 (16, {spec.resolution}, {spec.resolution}, '
        f"{spec.channels})",
        "```",
        "",
        "## Training",
        "",
        f"- Data: {images.title}. Terms: {images.terms}.",
        f"- Length: {trained}.{state}",
        *_lines(record),
        "",
        "## Numbers",
        "",
        *_table(values),
        "",
        "## Intended use and limits",
        "",
        "- Made for research on generative models: comparing networks, losses and metrics, and trying the library.",
        "- The images are not for decisions about people or documents. They repeat the biases of the training images.",
        "- One training run. Runs that differ only in their seed differ too; the project's report says by how much.",
        "- The terms of the training images apply to what is done with the weights.",
        "",
    ]


def _lines(record: dict[str, Any]) -> list[str]:
    facts = {
        "Parameters": record.get("parameters_g"),
        "Seconds": record.get("seconds"),
        "Device": record.get("device"),
        "Revision": record.get("revision"),
        "Imported from": record.get("imported_from"),
    }
    return [
        f"- {name}: {f'{value:,}' if isinstance(value, int | float) else value}."
        for name, value in facts.items()
        if value is not None
    ]


def _table(values: list[dict[str, Any]]) -> list[str]:
    if not values:
        return ["Not measured."]
    rows = [
        f"| `{entry['name']}` | {entry['value']:.4g}{_spread(entry)} | {entry['better']} | "
        f"{entry['facts'].get('n_gen', '-')} | {entry['facts'].get('n_real', '-')} | {entry['label']} |"
        for entry in values
    ]
    head = "| protocol | value | better | generated | real | what it is |"
    return [head, "| --- | --- | --- | --- | --- | --- |", *rows]


def _spread(entry: dict[str, Any]) -> str:
    return "" if entry["spread"] is None else f" ± {entry['spread']:.2g}"
