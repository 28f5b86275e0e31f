"""Pages of docs/reference/ that are written from the code: settings from the schemas, commands from their help.

python docs/generate.py            writes both (make docs); a test compares them with what this gives
"""

import ast
import contextlib
import inspect
import io
import os
import pkgutil
import re
import sys
import textwrap
import typing
from pathlib import Path
from typing import Any

from pydantic import BaseModel

ROOT = Path(__file__).parent.parent
REFERENCE = ROOT / "docs" / "reference"


def comments(schema: type[BaseModel]) -> dict[str, str]:
    """The comment beside or above each field of a schema, by field."""
    lines = textwrap.dedent(inspect.getsource(schema)).splitlines()
    found = {}
    for node in ast.parse("\n".join(lines)).body[0].body:  # type: ignore[attr-defined]
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            last = lines[(node.end_lineno or node.lineno) - 1]
            beside = last.partition("  # ")[2]
            above = []
            for line in reversed(lines[: node.lineno - 1]):
                if not line.strip().startswith("# "):
                    break
                above.insert(0, line.strip()[2:])
            found[node.target.id] = beside or " ".join(above)
    return found


def schema_in(annotation: Any) -> type[BaseModel] | None:
    """The schema that an annotation holds, within unions, lists and metadata."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    arguments = typing.get_args(annotation)
    return next((found for part in arguments if (found := schema_in(part))), None)


def rows(schema: type[BaseModel], base: Any, prefix: str = "") -> list[str]:
    """A line for every setting of a schema, nested ones under their full key; `base`: the values of params.yaml."""
    said, table = comments(schema), []
    for name, field in schema.model_fields.items():
        key, value = f"{prefix}{name}", base.get(name) if isinstance(base, dict) else None
        inner = schema_in(field.annotation)
        if inner is not None and typing.get_origin(field.annotation) is not list:
            if inner.__module__.startswith("pipeline.networks"):  # stages: part of a geometry, in conf/dataset
                continue
            table += rows(inner, value, f"{key}.")
            continue
        given = "" if value is None else f" ({str(value).replace(chr(39), '')})"
        text = f"{choice(field.annotation)}{said.get(name, '')}".strip()
        if (
            text or given or base is not None
        ):  # a network's own `norm`, `window`, ...: that of both, where it is not set
            table.append(f"- `{key}`{given}{f': {text}' if text else ''}")
    return table


def choice(annotation: Any) -> str:
    """Allowed names of a setting that has some."""
    parts = [annotation, *typing.get_args(annotation)]
    for part in parts:
        if typing.get_origin(part) is typing.Literal and all(isinstance(name, str) for name in typing.get_args(part)):
            return f"{' | '.join(typing.get_args(part))}. "
    return ""


def settings() -> str:
    """docs/reference/settings.md."""
    from pipeline.data.config import DataConfig
    from pipeline.metrics.config import EvaluateConfig
    from pipeline.networks.transgan import spec as transgan
    from pipeline.plan.config import load
    from pipeline.training.config import TrainConfig

    base = load(str(ROOT / "params.yaml"))
    parts = [
        ("model", transgan.SharedSettings, base.get("model"), "Both networks."),
        ("model.generator", transgan.GeneratorSettings, None, "Family `transgan`; the others: `pipeline/networks/`."),
        ("model.discriminator", transgan.DiscriminatorSettings, None, ""),
        ("train", TrainConfig, base.get("train"), ""),
        ("evaluate", EvaluateConfig, base.get("evaluate"), ""),
        ("data", DataConfig, None, "Of a data set."),
    ]
    text = ["# Settings", "", "Written from the schemas by `make docs`. In brackets: the base of `params.yaml`.", ""]
    for name, schema, values, about in parts:
        text += [f"## {name}", ""] + ([about, ""] if about else [])
        text += [*rows(schema, values), ""]
    return "\n".join(text)


def commands() -> str:
    """docs/reference/commands.md."""
    from pipeline import cli

    os.environ["COLUMNS"] = "100"
    text = [
        "# Commands",
        "",
        "Written from `transgan <command> --help` by `make docs`. What runs by make: `make help`.",
        "",
    ]
    for name, command in cli.COMMANDS.items():
        shown = io.StringIO()
        sys.argv = [f"transgan {name}", "--help"]
        with contextlib.redirect_stdout(shown), contextlib.suppress(SystemExit):
            pkgutil.resolve_name(command.function)()
        usage, _, options = shown.getvalue().partition("\n\n")
        options = re.sub(r"  -h, --help +show this help message and exit\n", "", options)
        body = options.partition("\n\n")[2].strip("\n").removesuffix("options:").strip("\n")
        text += [f"## {name}", "", f"{command.help[0].upper()}{command.help[1:]}.", "", "```"]
        text += [f"transgan {name} {command.example}", *(["", body] if body else []), "```", ""]
    return "\n".join(text)


PAGES: dict[str, typing.Callable[[], str]] = {"settings.md": settings, "commands.md": commands}

if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    os.chdir(ROOT)
    for page, write in PAGES.items():
        (REFERENCE / page).write_text(write(), encoding="utf-8")
        print(f"docs: docs/reference/{page}")
