"""The networks of a cell as a diagram, drawn from its training plan: what was trained, not what a paper shows."""

from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch

from pipeline.report.content import Figure
from pipeline.report.drawing import COLOURS, INK, WIDTH, draw

GAP, HEIGHT, ABOVE, MOST = 0.3, 1.0, 0.75, 7  # inches; boxes in a row, at most

Box = tuple[str, list[str], str]  # heading, lines under it, what enters it straight from the image


def diagram(network: dict[str, Any] | None, title: str, path: Path, dpi: int, note: str = "", *,
            folded: bool = True) -> Figure | None:  # fmt: skip
    """The diagram of a transformer pair's networks; None for other families and for a plan it cannot read.

    `network`: the block of that name in plan/train/<cell>.yaml, with `generator` and `discriminator`.
    """
    try:
        chains = {"Generator": generator_boxes(network or {}), "Discriminator": discriminator_boxes(network or {})}
    except (KeyError, TypeError, IndexError):
        return None
    rows = [
        (name + ", continued" * (start > 0), boxes[start : start + MOST], COLOURS[index])
        for index, (name, boxes) in enumerate(chains.items())
        for start in range(0, len(boxes), MOST)
    ]
    height = len(rows) * (HEIGHT + ABOVE) + 0.1
    width = (WIDTH - 0.2) / max(len(boxes) for _, boxes, _ in rows) - GAP

    def panel(axis: Axes) -> None:
        axis.axis("off")
        axis.set_xlim(0, WIDTH)
        axis.set_ylim(0, height)
        for place, (name, boxes, colour) in enumerate(rows):
            _chain(axis, boxes, name, height - (place + 1) * (HEIGHT + ABOVE), width, colour)

    draw(path, [panel], dpi, height=height)
    words = "; ".join(
        f"{name}: " + ", then ".join(" ".join([box[0], *box[1], box[2]]).strip() for box in boxes)
        for name, boxes in chains.items()
    )
    return Figure(title=f"Networks of {title}", path=path, alt=words, note=note, folded=folded)


def generator_boxes(network: dict[str, Any]) -> list[Box]:
    """From noise to image: a box per stage with map, width, blocks and attention."""
    generator = _transgan(network, "generator")
    first = generator["stages"][0]["blocks"][0]
    start = [f"{first['side']} x {first['side']} tokens", f"of {first['width']}"]
    boxes: list[Box] = [("noise", [f"{generator['latent_dim']} numbers"], ""), ("linear", start, "")]
    for stage in generator["stages"]:
        lifted = [] if stage["upsample"] == "none" else [f"{stage['upsample'].replace('_', ' ')}, then"]
        boxes.append((_map(stage), [*lifted, *_blocks(stage)], ""))
    side = network["resolution"]
    return [*boxes, ("linear", [f"{side} x {side} image", f"channels: {network['channels']}"], "")]


def discriminator_boxes(network: dict[str, Any]) -> list[Box]:
    """From image to score: a box per stage with the patches that enter it, then the blocks with the [cls] token."""
    discriminator = _transgan(network, "discriminator")
    boxes: list[Box] = [("image", [f"{network['resolution']} x {network['resolution']}", "augmented"], "")]
    for place, stage in enumerate(discriminator["stages"]):
        enters = f"patches of {stage['patch']}" if stage.get("patch") else ""
        enters += f", {stage['embed_width']} wide" if enters and stage.get("embed_width") else ""
        boxes.append((_map(stage), ["pooled"] * (place > 0) + _blocks(stage), enters))
    depth = discriminator["cls"]["depth"]
    return [*boxes, ("[cls] first", [f"{depth} block{'s' * (depth > 1)}"], ""), ("linear", ["one score"], "")]


def _transgan(network: dict[str, Any], part: str) -> dict[str, Any]:
    """The network, where a diagram can show it. Errors: `KeyError` for another family."""
    found: dict[str, Any] = network[part]
    if found.get("family", network.get("family", "transgan")) != "transgan":
        raise KeyError("family")
    return found


def _map(stage: dict[str, Any]) -> str:
    block = stage["blocks"][0]
    return f"{block['side']} x {block['side']}"


def _blocks(stage: dict[str, Any]) -> list[str]:
    """The width of a stage, then lines for every group of its equal blocks: depth, attention, norm, position."""
    lines = [f"width {stage['blocks'][0]['width']}"]
    for block in stage["blocks"]:
        kind = f"grid {block['window']}" if block["attention"] == "grid" else block["attention"]
        lines += [f"{block['depth']} block{'s' * (block['depth'] > 1)}, {kind}", f"{block['norm']} norm"]
        lines += ["relative position"] if block.get("relative_position") else []
    return lines


def _chain(axis: Axes, boxes: list[Box], name: str, bottom: float, width: float, colour: str) -> None:
    """A row of boxes with arrows between them; above them a line from the image to every box that its patches enter."""
    rail, arrow = bottom + HEIGHT + 0.22, {"arrowstyle": "-|>", "color": INK}
    axis.text(0.1, bottom + HEIGHT + 0.45, name, fontsize=11, fontweight="bold")
    middles = [0.1 + place * (width + GAP) + width / 2 for place in range(len(boxes))]
    entered = [middle for middle, box in zip(middles, boxes, strict=True) if box[2]]
    if entered:
        axis.plot([middles[0], middles[0], entered[-1]], [bottom + HEIGHT, rail, rail], color=colour, lw=1.4)
    for place, (middle, (heading, lines, enters)) in enumerate(zip(middles, boxes, strict=True)):
        shape = "round,pad=0,rounding_size=0.08"
        corner = (middle - width / 2, bottom)
        axis.add_patch(
            FancyBboxPatch(corner, width, HEIGHT, boxstyle=shape, fill=False, edgecolor=colour, linewidth=1.4)
        )
        axis.text(middle, bottom + HEIGHT - 0.15, heading, ha="center", va="center", fontsize=7.5, fontweight="bold")
        axis.text(middle, bottom + 0.42, "\n".join(lines), ha="center", va="center", fontsize=6.5, linespacing=1.3)
        if enters:
            axis.annotate("", (middle, bottom + HEIGHT), (middle, rail), arrowprops=arrow)
            axis.text(middle, rail + 0.06, enters, ha="center", fontsize=7)
        if place:
            after, before = middle - width / 2, middle - width / 2 - GAP
            if not (enters and place == 1):  # the first stage sees patches alone
                axis.annotate("", (after, bottom + HEIGHT / 2), (before, bottom + HEIGHT / 2), arrowprops=arrow)
