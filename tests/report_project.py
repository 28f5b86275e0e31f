"""A small results folder with all that can happen to a cell: ok, oom, diverged, never run, and a missing seed."""

import json
from pathlib import Path

import numpy as np
from matplotlib import rc_context

from pipeline.pictures.illustrate import write_maps, write_sheet
from pipeline.report.build import build_report

SEEDS = [0, 1, 2]
METRICS = ["fd_digits", "is_digits", "kd_digits", "precision_digits", "recall_digits"]
# fd_digits by seed; a word is what happened instead, None a cell that has not run.
CELLS = {
    "standard_attention": ["oom", "oom", "oom"],
    "nystrom_attention": ["diverged", "diverged", "diverged"],
    "axis_attention": [20.0, 22.0, 24.0],
    "grid_attention": [18.0, 19.0, 20.0],
    "multiscale": [None, None, None],
    "token_norm": [30.0, None, None],
    "full": [10.0, 12.0, 14.0],
    "no_augment": [15.0, 13.0, "oom"],
    "mine": [11.0, 12.0, 16.0],
}
# A matrix with CNNs and a row beyond the paper, three seeds each.
MODEL_CELLS = {
    "full": [20.0, 21.0, 22.0],
    "no_augment": [10.0, 11.5, 12.0],
    "wgan_gp": [15.0, 16.0, 17.5],
    "wgan_gp_augment": [12.0, 13.0, 14.2],
    "stylegan2": [9.0, 30.0, 12.0],
    "lazy_penalty": [19.0, 19.5, 21.5],
    "gradients_kept": [14.0, 15.0, 15.5],
}
BLOCK = {"depth": 1, "side": 8, "width": 24, "attention": "grid", "window": 4, "norm": "token"}
TRANSFORMER = {
    "resolution": 8,
    "channels": 3,
    "generator": {
        "family": "transgan",
        "latent_dim": 64,
        "stages": [{"upsample": "none", "blocks": [BLOCK]}, {"upsample": "pixel_shuffle", "blocks": [BLOCK]}],
    },
    "discriminator": {
        "family": "transgan",
        "stages": [{"patch": 2, "embed_width": 48, "blocks": [BLOCK]}],
        "cls": {"depth": 2},
    },
}
CNN = {"resolution": 8, "channels": 3, "generator": {"family": "resnet"}, "discriminator": {"family": "resnet"}}
RECIPE = {
    "augment": {
        "policy": ["translation", "cutout"],
        "groups": 8,
        "translation_ratio": 0.125,
        "cutout_ratio": 0.5,
        "cutout_probability": 1.0,
        **dict.fromkeys(("erase_range", "erase_probability", "hue_probability", "filter_probability")),
    },
    "penalty": "gradient_norm",
    "penalty_weight": 10.0,
    "penalty_interval": 1,
    "critic_steps": 4,
    "batch_discriminator": 64,
    "batch_generator": 128,
}
PARAMS = {
    "profile": "demo",
    "matrix": {"datasets": ["digits"], "variants": ["full", "mine"]},
    "model": {"norm": "token"},
    "variants": {"full": {}, "mine": {"train": {"loss": "hinge"}}},
}


def write(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def write_cell(results: Path, variant: str, seed: int, value: float | str) -> None:
    """The files the evaluate stage leaves for one cell of the digits."""
    folder = results / "digits" / variant / f"seed{seed}"
    status = value if isinstance(value, str) else "ok"
    result = {"status": status, "kimg": {"oom": 0.0, "diverged": 3.5}.get(status, 192.0)}
    if status != "oom":
        fd = 99.0 if status == "diverged" else value
        result |= {
            "fd_digits": fd,
            "is_digits": 5.0 + seed,
            "is_digits_std": 0.1,
            "kd_digits": fd / 10,
            "precision_digits": 0.5,
            "recall_digits": 0.25,
        }
    write(folder.with_suffix(".json"), {**result, "n_gen": 1000, "n_real": 1797})
    facts = {
        "extractor": "digits_classifier",
        "extractor_sha256": "ab" * 32,
        "dtype": "float64",
        "split": "all",
        "resize": "none",
        "n_real": 1797,
        "n_gen": 1000,
        "seed": 0,
    }
    write(folder / "protocol.json", {"metrics": dict.fromkeys(METRICS, facts), "unavailable": {}})
    run = {"status": status, "kimg": result["kimg"], "kimg_planned": 192.0, "seconds": 7200.0, "peak_memory_mib": 512}
    run |= {"key": "k", "copied_from": None, "parameters_g": 1000, "parameters_d": 200, "revision": "f" * 40}
    run |= {"dirty": False, "libraries": {"torch": "2"}, "device": "a processor, 2 cores"}
    write(folder / "run.json", run)
    if status == "oom":
        return
    random = np.random.default_rng(seed)
    images = random.integers(0, 256, (3, 16, 3, 8, 8), dtype=np.uint8)
    write_sheet(folder / "grids", images, rows=[0.0, 96.0, 192.0])
    write_sheet(folder / "samples", images[:1], rows=["samples"])
    write_sheet(folder / "interpolation", images[:, :9], rows=[0, 1, 2])
    for space in ("pixel", "feature"):
        write_sheet(
            folder / f"neighbours_{space}",
            images[:, :4],
            rows=[5, 2, 9],
            distances=[[1.5, 2.0, 3.0]] * 3,
            samples=16,
            median=2.5,
            real_median=2.25,
            closer=0.0625,
        )
    facts = {"kind": "grid", "stage": 2, "side": 8, "window": 4}
    write_maps(
        folder / "attention",
        random.random((4, 4, 8, 8)),
        rows=[0, 1, 2, 3],
        **facts,
        heads=[0, 0, 1, 1],
        queries=[[2, 2], [4, 4]] * 2,
    )
    write_maps(folder / "relative_position", random.random((1, 2, 7, 7)), rows=[0], **facts)
    lines = ["kimg,step,wasserstein,penalty,score_real,score_fake,gradient_d,gradient_g"]
    (folder / "history.csv").write_text(
        "\n".join(lines + [f"{kimg},{kimg},{kimg / 10},1,2,3,4,5" for kimg in (64, 128, 192)]) + "\n"
    )


def write_project(folder: Path, cells: dict[str, list[float | str | None]] = CELLS) -> Path:
    """plan/index.json and results/ of `cells` in `folder`."""
    index = {"profile": "demo", "datasets": ["digits"], "variants": list(cells), "seeds": SEEDS, "overridden": {}}
    index["cells"] = [
        {
            "dataset": "digits",
            "variant": variant,
            "seed": seed,
            "kimg": 192.0,
            "twin_of": "full" if variant == "mine" else None,
        }
        for variant in cells
        for seed in SEEDS
    ]
    write(folder / "plan/index.json", index)
    for cell in index["cells"]:
        variant = cell["variant"]
        content = {"network": CNN if variant.startswith(("wgan", "stylegan")) else TRANSFORMER, "train": RECIPE}
        if variant == "lazy_penalty":
            content |= {"train": RECIPE | {"penalty_interval": 16}}
        write(folder / f"plan/train/digits/{variant}/seed{cell['seed']}.yaml", content)  # JSON is YAML
    answers = {
        f"{metric}_{case}": value
        for metric, value in (("fd_digits", 0.5), ("is_digits", 9.0))
        for case in ("halves", "one_image", "noise")
    }
    answers |= {"n_one_image": 898, "n_noise": 1797}
    write(folder / "results/digits/reference.json", {"accuracy": 0.975, "n_halves": 898, "n_real": 1797, **answers})
    for variant, values in cells.items():
        for seed, value in zip(SEEDS, values, strict=True):
            if value is not None:
                write_cell(folder / "results", variant, seed, value)
    return folder


def render(folder: Path, params: dict = PARAMS) -> Path:
    """Build the report of the project in `folder`; returns its folder."""
    with rc_context({"savefig.dpi": 60}):
        report = build_report(
            params,
            plan=str(folder / "plan"),
            results=str(folder / "results"),
            published_folder=str(folder / "published"),
            out=str(folder / "reports"),
        )
    return report.parent
