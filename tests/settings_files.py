"""Copies of params.yaml and conf/ with edits."""

import shutil
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from pipeline.plan.compose import HEADER

ROOT = Path(__file__).parent.parent
GONE = object()  # as a value: take the key out


def edit_settings(folder: Path, edits: dict[str, Any]) -> None:
    """Set values in params.yaml (`train.lr`) and in files of conf/ (`conf/variant/full.yaml:train.lr`) of `folder`.

    A key of no dots after the colon, as in `conf/dataset/mine.yaml:`, is the whole file, which may be new.
    """
    for key, value in edits.items():
        file, _, key = key.rpartition(":")
        path = folder / (file or "params.yaml")
        content: Any = OmegaConf.load(path) if key else OmegaConf.create(value)
        if value is GONE:
            parent, _, last = key.rpartition(".")
            (OmegaConf.select(content, parent) if parent else content).pop(last)
        elif key:
            OmegaConf.update(content, key, value, merge=False)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text((f"{HEADER}\n" if file else "") + (OmegaConf.to_yaml(content) if content else ""))


def copy_settings(folder: Path, edits: dict[str, Any] | None = None, keep: dict[str, set[str]] | None = None) -> Path:
    """Copy the repository's settings to `folder`, with edits; returns the path of its params.yaml.

    `keep`: of these groups (dataset, variant, profile) only files of these names, which are read faster.
    """
    shutil.rmtree(folder / "conf", ignore_errors=True)
    shutil.copytree(ROOT / "conf", folder / "conf")
    shutil.copyfile(ROOT / "params.yaml", folder / "params.yaml")
    for path in sorted((folder / "conf").rglob("*.yaml")):
        parts = path.relative_to(folder / "conf").with_suffix("").parts
        named = zip(("dataset" if part == "released" else part for part in parts[::2]), parts[1::2], strict=True)
        if any(name not in (keep or {}).get(group, {name}) for group, name in named):
            path.unlink()
    edit_settings(folder, edits or {})
    return folder / "params.yaml"
