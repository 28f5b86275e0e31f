"""The networks of a cell as a diagram, drawn from its training plan: what was trained, not what a paper shows."""

from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.patches import BoxStyle, FancyBboxPatch

from pipeline.report.document import Figure, caption
from pipeline.report.drawing import INK, WIDTH, page_wide
from pipeline.report.paper import name_of

GAP, HEIGHT, ABOVE, MOST = 0.3, 1.0, 0.75, 7  # inches; boxes in a row, at most

Box = tuple[str, list[str], str]  # heading, lines under it, what enters it straight from the image


def diagram(network: dict[str, Any] | None, variant: str, dataset: str, folder: Path, source: str) -> Figure | None:
    """The diagram of a transformer pair's `network`, which a plan in `source` has; None for other families."""
    parts = [part for name in ("generator", "discriminator") if (part := (network or {}).get(name))]
    if not network or {part.get("family", network.get("family", "transgan")) for part in parts} != {"transgan"}:
        return None
    chains = {"Generator": generator_boxes(network), "Discriminator": discriminator_boxes(network)}
    rows = [
        (name + ", continued" * (start > 0), boxes[start : start + MOST], f"C{index}")
        for index, (name, boxes) in enumerate(chains.items())
        for start in range(0, len(boxes), MOST)
    ]
    path, height = folder / f"{dataset}_architecture.png", len(rows) * (HEIGHT + ABOVE) + 0.1
    step = (WIDTH - 0.2 + GAP) / max(len(boxes) for _, boxes, _ in rows)
    with page_wide(path, height, chart=False) as figure:
        axis = figure.add_axes((0, 0, 1, 1), xlim=(0, WIDTH), ylim=(0, height))
        axis.axis("off")
        for place, (name, boxes, colour) in enumerate(rows):
            _chain(axis, boxes, name, height - (place + 1) * (HEIGHT + ABOVE), step, colour)
    words = "; ".join(
        f"{name}: " + ", then ".join(" ".join([heading, *under, enters]).strip() for heading, under, enters in boxes)
        for name, boxes in chains.items()
    )
    facts = caption("architecture", variant=variant, dataset=name_of(dataset), source=source, boxes=words)
    return Figure(path=path, folded=True, **facts)


def generator_boxes(network: dict[str, Any]) -> list[Box]:
    """From noise to image: a box per stage with map, width, blocks and attention."""
    generator, side = network["generator"], network["resolution"]
    first = generator["stages"][0]["blocks"][0]
    boxes: list[Box] = [
        ("noise", [f"{generator['latent_dim']} numbers"], ""),
        ("linear", [f"{first['side']} x {first['side']} tokens", f"of {first['width']}"], ""),
    ]
    for stage in generator["stages"]:
        lifted = [] if stage["upsample"] == "none" else [f"{stage['upsample'].replace('_', ' ')}, then"]
        boxes.append(_stage(stage, lifted, ""))
    return [*boxes, ("linear", [f"{side} x {side} image", f"channels: {network['channels']}"], "")]


def discriminator_boxes(network: dict[str, Any]) -> list[Box]:
    """From image to score: a box per stage with the patches that enter it, then the blocks with the [cls] token."""
    discriminator, side = network["discriminator"], network["resolution"]
    boxes: list[Box] = [("image", [f"{side} x {side}", "augmented"], "")]
    for place, stage in enumerate(discriminator["stages"]):
        enters = f"patches of {stage['patch']}" if stage.get("patch") else ""
        enters += f", {stage['embed_width']} wide" if enters and stage.get("embed_width") else ""
        boxes.append(_stage(stage, ["pooled"] * (place > 0), enters))
    depth = discriminator["cls"]["depth"]
    return [*boxes, ("[cls] first", [f"{depth} block{'s' * (depth > 1)}"], ""), ("linear", ["one score"], "")]


def _stage(stage: dict[str, Any], before: list[str], enters: str) -> Box:
    """The map of a stage, its width, and for every group of its equal blocks: depth, attention, norm, position."""
    first = stage["blocks"][0]
    lines = [*before, f"width {first['width']}"]
    for block in stage["blocks"]:
        kind = f"grid {block['window']}" if block["attention"] == "grid" else block["attention"]
        lines += [f"{block['depth']} block{'s' * (block['depth'] > 1)}, {kind}", f"{block['norm']} norm"]
        lines += ["relative position"] if block.get("relative_position") else []
    return f"{first['side']} x {first['side']}", lines, enters


def _chain(axis: Axes, boxes: list[Box], name: str, bottom: float, step: float, colour: str) -> None:
    """A row of boxes with arrows between them; above them a line from the image to every box that its patches enter."""
    top, rail, arrow = bottom + HEIGHT, bottom + HEIGHT + 0.22, {"arrowstyle": "-|>", "color": INK}
    axis.text(0.1, top + 0.45, name, fontsize=11, fontweight="bold")
    for place, (heading, under, enters) in enumerate(boxes):
        left = 0.1 + place * step
        middle = left + (step - GAP) / 2
        shape = BoxStyle("Round", pad=0, rounding_size=0.08)
        axis.add_patch(FancyBboxPatch((left, bottom), step - GAP, HEIGHT, shape, fill=False, ec=colour, lw=1.4))
        axis.text(middle, top - 0.15, heading, ha="center", va="center", fontsize=7.5, fontweight="bold")
        axis.text(middle, bottom + 0.42, "\n".join(under), ha="center", va="center", fontsize=6.5, linespacing=1.3)
        if enters:
            start = 0.1 + (step - GAP) / 2
            axis.plot([start, start, middle], [top, rail, rail], color=colour, linestyle="-", marker="")
            axis.annotate("", (middle, top), (middle, rail), arrowprops=arrow)
            axis.text(middle, rail + 0.06, enters, ha="center", fontsize=7)
        if place and not (enters and place == 1):  # the first stage of D sees patches alone
            axis.annotate("", (left, bottom + HEIGHT / 2), (left - GAP, bottom + HEIGHT / 2), arrowprops=arrow)
