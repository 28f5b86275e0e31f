"""The networks of a cell as a diagram, drawn from its training plan: what was trained, not what a paper shows."""

from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from pipeline.report.drawing import COLOURS, INK, Chart, draw_whole

Box = tuple[str, str]  # heading, what stands under it
WIDTH, GAP, HEIGHT = 2.05, 0.42, 1.0  # inches
MOST = 6  # boxes in a row


def diagram(
    network: dict[str, Any] | None, title: str, path: Path, dpi: int, note: str = "Drawn from the plan in plan/train/."
) -> Chart | None:
    """The chart of a transformer pair's networks; None for other families and for a plan it cannot read.

    `network`: the block of that name in plan/train/<cell>.yaml, with `generator` and `discriminator`.
    """
    if network is None:
        return None
    try:
        chains = {"Generator": generator_boxes(network), "Discriminator": discriminator_boxes(network)}
    except (KeyError, TypeError, IndexError):
        return None
    rows = [
        (name + ", continued" * (start > 0), boxes[start : start + MOST], COLOURS[index])
        for index, (name, boxes) in enumerate(chains.items())
        for start in range(0, len(boxes), MOST)
    ]
    longest = max(len(boxes) for _, boxes, _ in rows)
    size = (longest * (WIDTH + GAP) + 0.2, len(rows) * (HEIGHT + 0.75))

    def panel(axis: Axes) -> None:
        axis.set_xlim(0, size[0])
        axis.set_ylim(0, size[1])
        for row, (name, boxes, colour) in enumerate(rows):
            _chain(axis, boxes, name, size[1] - (row + 1) * (HEIGHT + 0.75) + 0.15, colour)

    words = "; ".join(
        f"{name}: " + ", then ".join(" ".join(" ".join(box).split()) for box in b) for name, b in chains.items()
    )
    return draw_whole(path, size, panel, title=f"Networks of {title}", alt=words, dpi=dpi, note=note)


def generator_boxes(network: dict[str, Any]) -> list[Box]:
    """From noise to image: a box per stage with map, width, blocks and attention."""
    generator = network["generator"]
    _only_transgan(network, generator)
    first = generator["stages"][0]["blocks"][0]
    boxes: list[Box] = [
        ("noise", f"{generator['latent_dim']} numbers"),
        ("linear", f"{first['side']} x {first['side']} tokens\nof {first['width']}"),
    ]
    for stage in generator["stages"]:
        lifted = stage["upsample"]
        boxes.append(
            (_map(stage), ("" if lifted == "none" else f"{lifted.replace('_', ' ')}, then\n") + _blocks(stage))
        )
    boxes.append(
        ("linear", f"{network['resolution']} x {network['resolution']} image,\n{network['channels']} channels")
    )
    return boxes


def discriminator_boxes(network: dict[str, Any]) -> list[Box]:
    """From image to score: a box per stage with the patches that enter it, then the blocks with the [cls] token."""
    discriminator = network["discriminator"]
    _only_transgan(network, discriminator)
    boxes: list[Box] = [("image", f"{network['resolution']} x {network['resolution']},\naugmented")]
    for place, stage in enumerate(discriminator["stages"]):
        enters = f"patches of {stage['patch']}" if stage.get("patch") else "no new patches"
        enters += f", {stage['embed_width']} wide" if stage.get("embed_width") else ""
        boxes.append((_map(stage), ("pooled; " if place else "") + enters + "\n" + _blocks(stage)))
    last = discriminator["cls"]
    boxes.append(("[cls] token first", f"{last['depth']} block{'s' * (last['depth'] > 1)}"))
    boxes.append(("linear", "one score"))
    return boxes


def _only_transgan(network: dict[str, Any], part: dict[str, Any]) -> None:
    if part.get("family", network.get("family", "transgan")) != "transgan":
        raise KeyError("family")


def _map(stage: dict[str, Any]) -> str:
    block = stage["blocks"][0]
    return f"{block['side']} x {block['side']}, width {block['width']}"


def _blocks(stage: dict[str, Any]) -> str:
    """`2 blocks, grid 4 attention` for every group of equal blocks of a stage."""
    lines = []
    for block in stage["blocks"]:
        kind = f"grid {block['window']}" if block["attention"] == "grid" else block["attention"]
        extras = f"\n{block['norm']} norm" + (", relative position" if block.get("relative_position") else "")
        lines.append(f"{block['depth']} block{'s' * (block['depth'] > 1)}, {kind} attention" + extras)
    return "\n".join(lines)


def _chain(axis: Axes, boxes: list[Box], name: str, bottom: float, colour: str) -> None:
    """A row of boxes with arrows, under its name."""
    axis.text(0.1, bottom + HEIGHT + 0.16, name, fontsize=11, fontweight="bold", color=INK)
    for place, (heading, text) in enumerate(boxes):
        left = 0.1 + place * (WIDTH + GAP)
        axis.add_patch(
            FancyBboxPatch(
                (left, bottom), WIDTH, HEIGHT, boxstyle="round,pad=0,rounding_size=0.08", fill=False, edgecolor=colour,
                linewidth=1.4,
            )
        )  # fmt: skip
        middle = left + WIDTH / 2
        axis.text(middle, bottom + HEIGHT - 0.2, heading, ha="center", va="center", fontsize=9, fontweight="bold")
        axis.text(middle, bottom + (HEIGHT - 0.3) / 2, text, ha="center", va="center", fontsize=7.5, linespacing=1.25)
        if place:
            start = (left - GAP, bottom + HEIGHT / 2)
            arrow = FancyArrowPatch(start, (left, bottom + HEIGHT / 2), arrowstyle="-|>", mutation_scale=10, color=INK)
            axis.add_patch(arrow)
