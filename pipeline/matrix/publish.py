"""Long runs, trained in a clone of this repository, their results kept in published/<name>/ (see its README.md).

published/<name>/settings.yaml says what is trained: settings laid over params.yaml, and under names such as
conf/profile/faces.yaml what is laid over a file of conf/ or makes a new one. The clone, .work/published/<name>, is at
this revision, so neither `plan` nor `dvc repro` here knows of it. All clones share one DVC cache: runs on the same
images prepare and measure those once. No image of the training data is written.
"""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import OmegaConf
from PIL import Image

from pipeline.base.cell import Cell
from pipeline.base.errors import ArgumentParser, ConfigError, UserError, choices, command_line
from pipeline.base.files import atomic_write, read_json, user_path, write_json, write_text
from pipeline.base.git import SETTINGS, changes, clone_at, git
from pipeline.base.images import tile
from pipeline.base.schema import read_yaml
from pipeline.generators import pretrained
from pipeline.generators.write_images import write_video
from pipeline.matrix.dvc import environment, share_cache
from pipeline.plan.compose import HEADER
from pipeline.plan.config import PARAMS

ROOT = Path(__file__).parent.parent.parent
PUBLISHED = "published"
KEPT = ("protocol.json", "history.csv", "machine.csv", "progress.csv")  # of each cell, where it has them
GRIDS = {"samples": 8, "grids": 8, "interpolation": 9}  # contact sheets, and images a row of the picture made of each
FRAME = (4, 8)  # rows and columns of a frame of training.gif
RECORD = ("revision", "kimg", "seconds", "device", "status", "peak_memory_mib", "parameters_g", "parameters_d")


def prepare_clone(name: str, settings: dict[str, Any], data: Path | None, root: Path) -> Path:
    """A clone of `root` at its revision under .work/published/, `settings` laid over its params.yaml and conf/.

    Errors: `UserError` where the working tree has changes that a revision does not name.
    """
    if changes(root):
        raise UserError("publish: commit your changes first: a published run names the revision it was made with")
    clone = root / ".work" / PUBLISHED / name
    clone_at(root, clone, git("rev-parse", "HEAD", root=root))
    git("clean", "--quiet", "--force", "--", "conf", root=clone)  # files that earlier settings laid there
    share_cache(clone, clone.parent / "cache")
    lay_over(clone, settings, data)
    return clone


def lay_over(clone: Path, settings: dict[str, Any], data: Path | None) -> None:
    """Lay `settings` over params.yaml and conf/ of `clone`, and `data` as the path of its data set's images.

    Errors: `UserError` where `data` is no file or folder, or there are several data sets.
    """
    files: dict[str, Any] = {file: overlay for file, overlay in settings.items() if file.startswith("conf/")}
    params = {key: value for key, value in settings.items() if key not in {*files, "about"}}
    names = OmegaConf.merge(OmegaConf.load(clone / PARAMS), params).matrix.datasets
    if len(names) != 1:
        raise ConfigError("settings.yaml", "matrix.datasets", list(names), "one data set")
    if data is not None:
        if not data.exists():
            raise UserError(f"--data: {data}: no such file or folder")
        file = f"conf/dataset/{names[0]}.yaml"
        files[file] = OmegaConf.merge(files.get(file, {}), {"data": {"path": str(data.absolute())}})
    for file, overlay in {PARAMS: params, **files}.items():
        below: Any = OmegaConf.load(clone / file) if (clone / file).is_file() else {}
        header = f"{HEADER}\n" if file in files else ""
        write_text(clone / file, header + OmegaConf.to_yaml(OmegaConf.merge(below, overlay)))


def write_published(clone: Path, folder: Path) -> Path:
    """Tables, pictures and provenance of every cell of `clone` to `folder`; its settings.yaml and README.md stay.

    The averaged generator of each variant's smallest seed goes to `folder`/networks/<variant>/.
    """
    cells = [Cell.of(record) for record in read_json(clone / "plan/index.json")["cells"]]
    rows, records = [], {}
    # The settings differ from the revision by what settings.yaml says. Other changes of the clone are no revision's.
    changed = bool(changes(clone, aside=SETTINGS))
    for cell in cells:
        results, target = clone / "results" / str(cell), folder if len(cells) == 1 else folder / str(cell)
        target.mkdir(parents=True, exist_ok=True)
        rows.append({"cell": str(cell), **read_json(results.with_suffix(".json"))})
        record = read_json(results / "run.json")
        records[str(cell)] = {key: record[key] for key in RECORD if key in record} | {"dirty": changed}
        copies = {results / name: target / name.replace("progress", "curve") for name in KEPT}
        copies |= {cell.plan("train", clone / "plan"): target / "plan.yaml"}
        copies |= {results.parents[1] / "reference.json": folder / "reference.json"}
        for source, copied in copies.items():
            if source.is_file():
                shutil.copyfile(source, copied)
        for sheet, columns in GRIDS.items():
            if (results / f"{sheet}.png").is_file():
                write_grid(read_sheet(results / sheet), target / f"{sheet}.png", columns)
    if len(cells) > 1:
        shutil.copyfile(folder / str(cells[0]) / "samples.png", folder / "samples.png")
    if (grids := clone / "results" / str(cells[0]) / "grids").with_suffix(".png").is_file():
        write_training(read_sheet(grids), folder / "training.gif")
    import pandas as pd  # not for --help

    write_text(folder / "metrics.csv", pd.DataFrame(rows).to_csv(index=False))
    variants = dict.fromkeys((cell.dataset, cell.variant) for cell in cells)
    kept = [one for variant in variants if (one := pretrained.smallest_seed(clone, *variant))]
    try:
        pretrained.keep({folder / pretrained.KEPT / one.variant: one for one in kept}, clone)
    except UserError as error:  # too large for a repository: the training was not in vain
        print(f"publish: not kept: {error}", flush=True)
    write_json(folder / "run.json", {**records[str(cells[0])], "cells": records})
    return folder


def read_sheet(sheet: Path) -> np.ndarray:
    """The images of a contact sheet, (rows, columns, H, W, 3) uint8."""
    height, width = read_json(sheet.with_suffix(".json"))["image"]
    with Image.open(sheet.with_suffix(".png")) as picture:
        pixels = np.asarray(picture.convert("RGB"))
    return pixels.reshape(len(pixels) // height, height, -1, width, 3).swapaxes(1, 2)


def write_grid(images: np.ndarray, out: Path, columns: int) -> None:
    """The images of a sheet as a picture for people: `columns` a row, each enlarged to about 96 pixels a side.

    Of a sheet with several rows (snapshots), each row gives its first `columns` images.
    """
    height, width = images.shape[2:4]
    shown = images if len(images) == 1 else images[:, :columns]
    shown = shown.reshape(-1, height, width, 3).transpose(0, 3, 1, 2)
    grid = tile(shown, columns, scale=max(1, 96 // height))
    with atomic_write(out) as temporary:
        # A palette: a third of the bytes, for pictures that people look at and nothing measures.
        Image.fromarray(grid).quantize(256, kmeans=1, dither=Image.Dither.NONE).save(temporary, optimize=True)


def write_training(snapshots: np.ndarray, out: Path) -> None:
    """The first images of every snapshot, of fixed latents, as a video of the training, two snapshots a second."""
    rows, columns = FRAME
    write_video(out, snapshots[:, : rows * columns], (columns, max(1, 32 // snapshots.shape[2])), fps=2)


@command_line
def main() -> None:
    """Errors: `UserError` where a stage failed; what was finished is kept and the same command goes on from there."""
    parser = ArgumentParser(prog="transgan publish", description="Train and keep a published run.")
    parser.add_argument("name", help=f"of a folder of {PUBLISHED}/ with a settings.yaml")
    parser.add_argument("--data", type=user_path, help="images of its dataset: a folder or a zip")
    options = parser.parse_args()
    folder = ROOT / PUBLISHED / options.name
    if not (folder / "settings.yaml").is_file():
        there = (path.parent.name for path in sorted(ROOT.glob(f"{PUBLISHED}/*/settings.yaml")))
        raise UserError(f"publish: given {options.name!r}; allowed: {choices(there, options.name)}")
    settings = read_yaml(folder / "settings.yaml")
    clone = prepare_clone(options.name, settings, options.data, ROOT)
    print(f"publish: {options.name}: {settings.get('about', 'no word on its cost')} -> {folder}/", flush=True)
    command = [sys.executable, "-m", "pipeline.cli", "repro"]
    if subprocess.run(command, cwd=clone, env=environment() | {"PYTHONPATH": str(clone)}).returncode:
        raise UserError(f"the pipeline failed in {clone}, see above; the same command goes on from there")
    print(f"publish: {write_published(clone, folder)}/")
