"""Strict, typed settings: YAML content is bound to frozen schemas, and every refusal is one line.

OmegaConf reads the YAML (PyYAML alone takes `1e-05` for a string). Pydantic in strict mode checks
types, ranges and unknown keys. OmegaConf's structured configs could not do this: they turn `1` into `True`, have no
ranges, lose the path of a key inside a list and cannot merge into a frozen nested dataclass.
"""

import re
from pathlib import Path
from typing import Any, TypeVar, overload

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from pipeline.base.errors import UserError
from pipeline.base.schema_errors import UNKNOWN_KEY, Problem, refusal, walk


class Strict(BaseModel):
    """Base of every schema: frozen, keyword-only, no unknown keys, no silent conversion, no NaN or infinity."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False, protected_namespaces=())


Schema = TypeVar("Schema", bound=Strict)


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


@overload
def bind(schema: type[Schema], content: Any, *, file: str, prefix: str = "") -> Schema: ...
@overload
def bind(schema: Any, content: Any, *, file: str, prefix: str = "") -> Any: ...
def bind(schema: Any, content: Any, *, file: str, prefix: str = "") -> Any:
    """Check `content` against `schema`, a `Strict` class or a union of them with a discriminator, and return it typed.

    `prefix` is the key of `content` inside `file`, for the message.
    Errors: `ConfigError` for the first key that is unknown, missing, of a wrong type, or out of range.
    """
    try:
        return TypeAdapter(schema).validate_python(content)
    except ValidationError as error:
        raise refusal(schema, error.errors(include_url=False), file, prefix) from None


def check_partial(schema: Any, content: Any, *, file: str, prefix: str = "") -> None:
    """Check an overlay: what it states must fit `schema`, and keys may be missing.

    Lists are replaced whole when layers are merged, so a key that is missing inside a list is refused here too. Where
    the discriminator of a union is missing, the content must fit one of the union's members.
    Errors: `ConfigError` as for `bind`.
    """
    problems = _problems(schema, content)
    if problems:
        raise refusal(schema, problems, file, prefix)


def _problems(schema: Any, content: Any) -> list[Problem]:
    """What pydantic finds wrong with an overlay."""
    try:
        TypeAdapter(schema).validate_python(content)
    except ValidationError as error:
        found = error.errors(include_url=False)
    else:
        return []
    problems: list[Problem] = []
    for problem in found:
        if any(isinstance(part, int) for part in problem["loc"]):
            problems.append(problem)
        elif problem["type"] == "union_tag_not_found":
            problems += _untagged_problems(schema, problem)
        elif problem["type"] != "missing":
            problems.append(problem)
    return problems


def _untagged_problems(schema: Any, problem: Problem) -> list[Problem]:
    """Problems of an overlay of a union that does not say which member it is for: none where one member accepts it."""
    place = walk(schema, problem["loc"])[1]
    attempts: list[list[Problem]] = []
    for tag, member in place.tagged().items():
        attempts.append(
            [{**inner, "loc": (*problem["loc"], tag, *inner["loc"])} for inner in _problems(member, problem["input"])]
        )
    # A key that one member knows is no unknown key: then its value is what is wrong.
    return min(attempts, key=lambda attempt: (len(attempt), [inner["type"] for inner in attempt] == [UNKNOWN_KEY]))


def dump(config: Strict) -> str:
    """YAML text of a schema: the same values always give the same bytes, in the schema's field order."""
    return yaml.safe_dump(config.model_dump(), sort_keys=False, default_flow_style=None, width=120)
