"""What a model costs: arithmetic from its networks and recipe, time and memory as measured, growth with resolution."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.report import paper
from pipeline.report.document import Figure, Table, caption
from pipeline.report.drawing import Panel, lines
from pipeline.report.formats import NOT_RUN, duration, spread
from pipeline.report.results import Results

# Passes of D's size per image that a penalty costs: its forward pass, the gradient with respect to the image, and the
# backward pass through both (1 + 1 + 4). Finite differences take two forward and two backward passes (2 + 4).
PENALTY_PASSES = {"gradient_norm": 6, "r1": 6, "r2": 6, "r1_r2": 12, "finite_difference": 6, "none": 0}
KINDS = ("standard", "nystrom", "axis", "grid")
CARDS = {"24 GiB card": 24, "80 GiB card": 80}  # GiB of two common GPUs
DODGE = 1.035  # lines that lie on each other are moved sideways by this factor, so that each can be seen


def forward_flops(dataset: str, variant: str) -> tuple[float, float] | None:
    """Computed FLOP of G and of D for one image forward; None for networks that were not computed."""
    computed = paper.packaged("cost_geometry.csv").set_index(["dataset", "variant"])[["flops_g", "flops_d"]]
    names = (dataset, variant)
    return (float(computed.flops_g[names]), float(computed.flops_d[names])) if names in computed.index else None


def flops_per_kimg(flops: tuple[float, float] | None, train: dict[str, Any] | None) -> float | None:
    """FLOP of a training per thousand real images shown to D; None where networks or recipe are not known.

    A D step: fakes (one pass of G), real and fake images forward and backward (3 passes each), the penalty every so
    many steps. A G step: G forward and backward (3), D forward and the gradient of its input (2). Counted this way, the
    shares of the released CIFAR-10 recipe agree with measured ones: penalty 27 %, G step 30 %, D 26 %, fakes 17 %.
    """
    if flops is None or not train or train["penalty"] not in PENALTY_PASSES:
        return None
    (g, d), batch, batch_g = flops, train["batch_discriminator"], train["batch_generator"]
    passes = PENALTY_PASSES[train["penalty"]] / (train["penalty_interval"] or 1)
    critic = batch * (g + 6 * d + passes * d)
    generator = batch_g * (3 * g + 2 * d)
    return float(critic + generator / train["critic_steps"]) / batch * 1000


def cost(results: Results, published: Sequence[Results]) -> Table:
    """Size computed for every geometry; time and memory where the full model was trained, or any row of published/."""
    computed, rows = paper.packaged("cost_geometry.csv"), []
    for _, entry in computed[computed.variant == paper.MAIN_VARIANT].iterrows():
        own = results.done(entry.dataset, paper.MAIN_VARIANT)
        runs = pd.concat([run.of(entry.dataset) for run in published] or [own]) if own.empty else own
        runs = runs.reindex(columns=["pace", "peak_memory_mib", "device"])
        value = paper.paper_value("main", "TransGAN", entry.dataset, "FID")
        paces, budget = runs.pace.dropna(), value.kimg if value else None
        rows.append(
            {
                "geometry": paper.name_of(entry.dataset),
                "pixels a side": int(entry.resolution),
                "parameters G": int(entry.parameters_g),
                "parameters D": int(entry.parameters_d),
                "GFLOP G, one image forward": float(entry.flops_g) / 1e9,
                "GFLOP D, one image forward": float(entry.flops_d) / 1e9,
                "measured: s/kimg": spread(list(paces), "{:,.3g}".format),
                "measured: peak MiB": spread(list(runs.peak_memory_mib.dropna()), "{:,.0f}".format),
                "time to the paper's budget": duration(paces.mean() * budget) if budget and len(paces) else NOT_RUN,
                "hardware": "; ".join(sorted(set(runs.device.dropna()))),
            }
        )
    return Table(name="cost", frame=pd.DataFrame(rows), **caption("cost"))


def growth(folder: Path) -> Figure:
    """Memory, arithmetic and parameters against resolution (counted), a line per kind of attention."""
    sizes, counted = (pd.read_csv(Path(__file__).with_name(name)) for name in ("cost_geometry.csv", "growth.csv"))
    # One geometry per resolution, those of 32 pixels on: the demo's is scaled down and would not lie on the lines.
    sizes = sizes[sizes.dataset.isin(("cifar10", "stl10", "celeba64", "celeba128", "church256"))]
    sizes = sizes.assign(attention=sizes.variant.str.removesuffix("_attention"))
    rows = sizes.merge(counted, how="left").set_index("attention").sort_values("resolution")
    rows["g"], rows["d"] = rows.flops_g / 1e9, rows.flops_d / 1e9
    rows["step"] = (rows.g_gflop + rows.d_gflop) / 1000
    rows["parameters"] = (rows.parameters_g + rows.parameters_d) / 1e6
    labels = {
        "g_gib": "GiB kept for G's backward pass,\none image",
        "d_gib": "GiB kept for D's penalty,\none image",
        "step": "TFLOP of a step, one image,\nboth networks with backward",
        "g": "GFLOP of G, one image forward",
        "d": "GFLOP of D, one image forward",
        "parameters": "million parameters of G and D",
    }
    ticks, runs = sorted(set(rows.resolution)), {kind: [rows.loc[kind].copy()] for kind in KINDS}
    for place, (frame,) in enumerate(runs.values()):
        frame["resolution"] *= DODGE ** (place - 1.5)
    panels = [
        Panel("resolution", y, "pixels a side", label, 1, y != "parameters", ticks, CARDS if "GiB" in label else {})
        for y, label in labels.items()
    ]
    most = rows[rows.resolution == 256].g_gib
    needs = "; ".join(f"{kind} attention needs {most[kind]:,.3g} GiB for G at 256" for kind in KINDS)
    return lines(folder / "growth.png", runs, panels, "growth", columns=3, folded=False, needs=needs)
