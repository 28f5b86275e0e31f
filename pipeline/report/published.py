"""Results of long runs that are kept in published/, beside the matrix: read as they are, never mixed with its rows.

published/<name>/ holds README.md (its first heading is the title, its first paragraph the text), run.json,
settings.yaml, metrics.csv or metrics.json, samples.png and optionally curve.csv (kimg and any columns). Every file
may be missing.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from PIL import Image

from pipeline.files import read_json
from pipeline.report.drawing import Chart, Panel, draw, style
from pipeline.report.sample_figures import Group, Picture
from pipeline.report.tables import Table

SIDE = 640  # pixels a side, at most, of the samples in the page
MOST_PANELS = 6


@dataclass(frozen=True, kw_only=True)
class Published:
    """One folder of published/: what the report shows of it."""

    name: str
    title: str
    text: list[str]
    run: dict[str, Any]
    metrics: pd.DataFrame
    curve: pd.DataFrame
    folder: Path


def published_runs(folder: str | Path) -> list[Published]:
    """Every run of the folder that has a README.md or a run.json, by name; [] where there is no such folder."""
    found = sorted(path for path in Path(folder).glob("*") if path.is_dir())
    return [_read(path) for path in found if (path / "README.md").is_file() or (path / "run.json").is_file()]


def blocks(run: Published, out: Path, dpi: int) -> Iterator[Group | Chart | Table]:
    """Samples, curve and metrics of one run, as the report shows them."""
    samples = run.folder / "samples.png"
    if samples.is_file():
        path = out / "figures" / f"published_{run.name}_samples.png"
        with Image.open(samples) as picture:
            image = picture.convert("RGB")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(samples.read_bytes())
        image.thumbnail((SIDE, SIDE), Image.Resampling.BOX)
        shown = Picture("uncurated samples", f"Samples of the published run {run.name}", np.asarray(image))
        yield Group("Samples", "", [path], [shown])
    columns = [name for name in run.curve if name not in ("kimg", "step", "seconds")][:MOST_PANELS]
    if "kimg" in run.curve and columns:
        path = out / "figures" / f"published_{run.name}_curve.png"
        alt = f"{', '.join(columns)} of the published run {run.name} against kimg."
        yield draw(path, [_panel(run.curve, name) for name in columns], title="Over training", alt=alt, dpi=dpi)
    if len(run.metrics):
        yield Table(name=f"published_{run.name}", title="Metrics", frame=run.metrics)


def introduction(run: Published) -> list[str]:
    """The run's own words, where it comes from, and links to its files (the report lies beside published/)."""
    revision = str(run.run.get("revision", "unknown"))[:12]
    facts = [f"revision `{revision}`"]
    facts += [f"{run.run[key]:,.4g} {unit}" for key, unit in (("kimg", "kimg"), ("seconds", "s")) if key in run.run]
    facts += [f"device: {run.run['device']}"] if "device" in run.run else []
    base = f"../{run.folder.parent.name}/{run.name}"
    links = [f"[{name}]({base}/{name})" for name in ("README.md", "settings.yaml") if (run.folder / name).is_file()]
    return [*run.text, f"{'; '.join(facts)}. {' '.join(links)}"]


def _panel(curve: pd.DataFrame, column: str) -> Panel:
    def draw_panel(axis: Axes) -> None:
        known = curve[["kimg", column]].dropna()
        axis.plot(known.kimg, known[column], **style(0))
        axis.set_xlabel("kimg")
        axis.set_ylabel(column)

    return draw_panel


def _read(folder: Path) -> Published:
    lines = (folder / "README.md").read_text(encoding="utf-8").splitlines() if (folder / "README.md").is_file() else []
    title = next((line.lstrip("# ").strip() for line in lines if line.startswith("#")), folder.name)
    paragraphs = "\n".join(line for line in lines if not line.startswith("#")).strip().split("\n\n")
    text = " ".join(paragraphs[0].split()) if paragraphs else ""
    return Published(
        name=folder.name,
        title=title,
        text=[text] if text else [],
        run=read_json(folder / "run.json") if (folder / "run.json").is_file() else {},
        metrics=_metrics(folder),
        curve=pd.read_csv(folder / "curve.csv") if (folder / "curve.csv").is_file() else pd.DataFrame(),
        folder=folder,
    )


def _metrics(folder: Path) -> pd.DataFrame:
    """metrics.csv as it is, or the flat entries of metrics.json as a row each."""
    if (folder / "metrics.csv").is_file():
        return pd.read_csv(folder / "metrics.csv")
    if not (folder / "metrics.json").is_file():
        return pd.DataFrame()
    content = read_json(folder / "metrics.json")
    flat = {key: value for key, value in content.items() if not isinstance(value, (dict, list))}
    return pd.DataFrame({"metric": list(flat), "value": list(flat.values())})
