"""Strict, typed settings: YAML content is bound to frozen schemas, and every refusal is one line.

OmegaConf reads the YAML (PyYAML alone takes `1e-05` for a string). Pydantic in strict mode checks types, ranges and
unknown keys: OmegaConf's structured configs turn `1` into `True`, and lose the path of a key inside a list.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from pipeline.base.errors import ConfigError, UserError, choices


class Strict(BaseModel):
    """Base of every schema: frozen, keyword-only, no unknown keys, no silent conversion, no NaN or infinity."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False, protected_namespaces=())


Schema = TypeVar("Schema", bound=Strict)
MAPPING = "a mapping of keys ({} where there is nothing to set)"
ALLOWED = {  # by the name that pydantic gives a problem, where its own words are not those of a YAML file
    "missing": "a value: this key is required",
    "bool_type": "true or false",
    "model_type": MAPPING,
    "dict_type": MAPPING,
}


def read_yaml(path: str | Path, *, name: str | None = None, empty: bool = False) -> dict[str, Any]:
    """The file's mapping as plain containers; `name`: how errors call it. References (`${...}`) stay texts.

    Errors: `UserError` for a missing file, bad YAML, and no mapping; `empty` allows a file without content.
    """
    name = name or str(path)
    try:
        content: Any = OmegaConf.to_container(OmegaConf.load(path))
    except FileNotFoundError:
        raise UserError(f"{name}: no such file") from None
    except (yaml.YAMLError, OmegaConfBaseException, UnicodeDecodeError) as error:
        marker = re.search(r"^(<{7}|>{7}).*", Path(path).read_text(encoding="utf-8", errors="replace"), re.MULTILINE)
        if marker:
            raise UserError(f"{name}: has git's conflict markers ({marker[0].strip()}): resolve them first") from None
        raise UserError(f"{name}: not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict) or not (content or empty):
        raise UserError(f"{name}: expected a mapping of keys at the top level")
    return content


def bind(schema: type[Schema], content: Any, *, file: str, prefix: str = "", partial: bool = False) -> Schema:
    """Check `content` against `schema` and return it typed. `prefix`: the key of `content` inside `file`.

    `partial`: an overlay, whose keys may be missing. Lists are replaced whole when layers are merged, so a key that is
    missing inside a list is refused here too.
    Errors: `ConfigError` for the first key that is unknown, missing, of a wrong type, or out of range.
    """
    try:
        return schema.model_validate(content)
    except ValidationError as error:
        problems = error.errors(include_url=False)
    if partial:
        problems = [one for one in problems if one["type"] != "missing" or int in map(type, one["loc"])]
        if not problems:
            overlay: Any = schema.model_construct(**content)
            return overlay
    # Missing keys come last: an unknown one is often that key with a typing error.
    first = min(problems, key=lambda problem: problem["type"] == "missing")
    keys = _keys(content, first)
    # A union reports one problem a member: the value may be any of them.
    same_key = [problem for problem in problems if _keys(content, problem) == keys]
    text = " or ".join(dict.fromkeys(allowed(schema, problem) for problem in (first, *same_key)))
    given = "nothing" if first["type"] == "missing" else first["input"]
    raise ConfigError(file, ".".join(([prefix] if prefix else []) + keys), given, text)


def dump(config: Strict) -> str:
    """YAML text of a schema: the same values always give the same bytes, in the schema's field order."""
    return yaml.safe_dump(config.model_dump(), sort_keys=False, default_flow_style=None, width=120)


def _keys(content: Any, problem: ErrorDetails) -> list[str]:
    """The place of a problem in the file: pydantic's path without the names of a union's members."""
    keys = []
    for part in problem["loc"]:
        inside = range(len(content)) if isinstance(content, list) else content if isinstance(content, Mapping) else ()
        if part in inside:
            content = content[part]
            keys.append(str(part))
    return [*keys, str(problem["loc"][-1])] if problem["type"] == "missing" else keys


def allowed(schema: type[Strict], problem: ErrorDetails) -> str:
    """What may stand where pydantic found `problem`, in words."""
    kind, given = problem["type"], problem["input"]
    if kind == "extra_forbidden":
        *above, last = problem["loc"]
        return f"no such key here; known keys: {choices(_fields(schema, above), last)}"
    if kind == "literal_error":
        return str(problem["ctx"]["expected"]).replace("'", "").replace(" or ", " | ").replace(", ", " | ")
    if kind == "list_type" and isinstance(given, str | int | float):
        return f"a list, as [{given}]"
    words = re.sub(r"^(Input should be|Value error,|(String|List) should have) ", "", str(problem["msg"]))
    return ALLOWED.get(kind, words)


def _fields(annotation: Any, path: Sequence[str | int]) -> list[str]:
    """The keys of the schema at `path` below a type annotation."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        field = annotation.model_fields.get(str(path[0])) if path else None
        return _fields(field.annotation, path[1:]) if field else [] if path else list(annotation.model_fields)
    below = path[1:] if get_origin(annotation) in (list, dict) else path
    return [name for inner in get_args(annotation) for name in _fields(inner, below)]
