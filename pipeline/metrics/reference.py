"""The real side of the metrics, once per dataset: evaluators, features, statistics, the evaluators' known answers."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

from pipeline.base.errors import UserError
from pipeline.base.files import atomic_write, sha256, write_json
from pipeline.data.array import read_array, read_manifest, read_splits
from pipeline.metrics.config import ReferencePlan
from pipeline.metrics.extractors import weights
from pipeline.metrics.extractors.extractor import check_finite, load_extractor
from pipeline.metrics.extractors.own import accuracy, train_classifier, write_decoder
from pipeline.metrics.extractors.registry import DIGITS, GLYPHS
from pipeline.metrics.registry import extractors, parse
from pipeline.metrics.suite import BATCH, known_answers

KNOWN_ANSWERS = "known_answers.json"


def build_reference(plan: ReferencePlan, *, data: str, out: str) -> dict[str, Any]:
    """Fetch or train the networks, extract the real features, write all and the known answers to `out`.

    Images are memory-mapped; features of one network at a time are in memory. Returns the known answers.
    Errors: `UserError` for weights that are not found, a metric of the test split where the dataset has none, too few
    images, or a non-finite feature; `OSError` of the disk, which names the file.
    """
    torch.set_num_threads(plan.threads)
    manifest, folder = read_manifest(data), Path(out)
    images = read_splits(data)
    split_names = {"train": manifest["split"], "test": manifest.get("test_split", "test")}
    _check_splits(plan, {split: len(array) for split, array in images.items()}, data)
    content: dict[str, Any] = {"extractors": {}, "sides": [], "n_real": len(images["train"])}
    answers: dict[str, Any] = {}
    folder.mkdir(parents=True, exist_ok=True)
    for name in extractors(plan.metrics):
        path, facts = _network(name, plan, data, folder)
        extractor = load_extractor(name, path)
        content["extractors"][name] = {"sha256": extractor.sha256, "weights": path.name, "resize": extractor.resize}
        seen = {split: extractor.extract(images[split], BATCH, what=f"{split} images") for split in images}
        answers = facts | {"n_real": len(images["train"])} | answers | known_answers(plan, extractor, images, seen)
        for split, features in seen.items():
            check_finite(features.features, name=f"{split} images, {name}")
            with atomic_write(file := folder / f"{name}_{split}.npy") as temporary:
                np.save(temporary, features.features)
            side = {"extractor": name, "split": split, "images": split_names[split], "n_real": len(features)}
            content["sides"].append(side | {"features": file.name})
    written = [path for path in sorted(folder.iterdir()) if path.name not in ("manifest.json", KNOWN_ANSWERS)]
    content |= {key: manifest[key] for key in ("split", "resize", "images_sha256")}
    write_json(folder / "manifest.json", content | {"files": {path.name: sha256(path) for path in written}})
    write_json(folder / KNOWN_ANSWERS, answers)
    return answers


def _check_splits(plan: ReferencePlan, counts: dict[str, int], data: str) -> None:
    for protocol in map(parse, plan.metrics):
        if protocol.split not in counts:
            raise UserError(f"{protocol.name}: {data} has no test split; take it out of evaluate.metrics")
        # Halves of the real images are measured against each other, a kernel distance with smaller subsets.
        kernel = "subset_size" in protocol.settings
        needed = protocol.least(plan.splits, plan.subset_size) * (1 if kernel else 2)
        if (count := counts[protocol.split]) < needed:
            key = ", evaluate.subset_size," if kernel else ""
            raise UserError(f"{protocol.name}: needs at least {needed}{key} real images, {data} has {count}")


def _network(name: str, plan: ReferencePlan, data: str, folder: Path) -> tuple[Path, dict[str, float]]:
    """The weights of `name` in `folder`, and facts about them. What measured the real images measures the samples."""
    if name == DIGITS and plan.digits_classifier is not None:
        network = train_classifier(read_array(data), read_array(data, "labels"), plan.digits_classifier)
        with atomic_write(folder / f"{name}.safetensors") as temporary:
            save_file(network.state_dict(), temporary)
        held_out = accuracy(network, read_array(data, "test"), read_array(data, "test_labels"))
        return folder / f"{name}.safetensors", {"accuracy": held_out}
    if name == GLYPHS:
        write_decoder(folder / f"{name}.json", read_manifest(data))
        return folder / f"{name}.json", {}
    path = weights.find(name, plan.weights)
    copied = folder / path.name
    if not copied.is_file():
        with atomic_write(copied) as temporary:
            shutil.copyfile(path, temporary)
    return copied, {}
