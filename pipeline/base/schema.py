"""Strict, typed settings: YAML content is bound to frozen schemas, and every refusal is one line.

OmegaConf reads the YAML (PyYAML alone takes `1e-05` for a string). Pydantic in strict mode checks
types, ranges and unknown keys. OmegaConf's structured configs could not do this: they turn `1` into `True`, have no
ranges, lose the path of a key inside a list and cannot merge into a frozen nested dataclass.
"""

import argparse
import re
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias, TypeVar, Union, get_args, get_origin, overload

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from pipeline.base.errors import ConfigError, UserError, choices

Problem: TypeAlias = Mapping[str, Any]  # as pydantic's ValidationError.errors() gives them
UNKNOWN_KEY = "extra_forbidden"
NO_MAPPING = "a mapping of keys ({} where there is nothing to set)"
NO_TAG = ("union_tag_invalid", "union_tag_not_found")


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
        raise _refusal(schema, error.errors(include_url=False), file, prefix) from None


def check_partial(schema: Any, content: Any, *, file: str, prefix: str = "") -> None:
    """Check an overlay: what it states must fit `schema`, and keys may be missing.

    Lists are replaced whole when layers are merged, so a key that is missing inside a list is refused here too. Where
    the discriminator of a union is missing, the content must fit one of the union's members.
    Errors: `ConfigError` as for `bind`.
    """
    if problems := _partial_problems(schema, content):
        raise _refusal(schema, problems, file, prefix)


def load_stage_plan(
    description: str | None, folder: str, schema: type[Schema] | Callable[[dict[str, Any]], type[Schema]], *, cell: bool
) -> tuple[Schema, str, str]:
    """Parse --dataset (and, for a cell, --variant and --seed) and read plan/<folder>/<name>.yaml.

    `schema`: that of the file, or a function from the file's content to it. Returns the bound plan, the dataset, and
    the name: `<dataset>`, or `<dataset>/<variant>/seed<k>` for a cell.
    Errors: `UserError` where the plan file is missing or does not fit `schema`.
    """
    parser = argparse.ArgumentParser(description=description)
    for option in ("dataset", "variant", "seed") if cell else ("dataset",):
        parser.add_argument(f"--{option}", required=True)
    given = parser.parse_args()
    name = f"{given.dataset}/{given.variant}/seed{given.seed}" if cell else given.dataset
    content = read_yaml(file := f"plan/{folder}/{name}.yaml")
    return bind(schema if isinstance(schema, type) else schema(content), content, file=file), given.dataset, name


def dump(config: Strict) -> str:
    """YAML text of a schema: the same values always give the same bytes, in the schema's field order."""
    return yaml.safe_dump(config.model_dump(), sort_keys=False, default_flow_style=None, width=120)


def _partial_problems(schema: Any, content: Any) -> list[Problem]:
    try:
        TypeAdapter(schema).validate_python(content)
        return []
    except ValidationError as error:
        found = error.errors(include_url=False)
    problems: list[Problem] = []
    for problem in found:
        in_list = any(isinstance(part, int) for part in problem["loc"])
        if problem["type"] == "union_tag_not_found" and not in_list:
            attempts: list[list[Problem]] = []
            for tag, member in _walk(schema, problem["loc"])[1].tagged().items():
                inside = _partial_problems(member, problem["input"])
                attempts.append([{**inner, "loc": (*problem["loc"], tag, *inner["loc"])} for inner in inside])
            # A key that one member knows is no unknown key: then its value is what is wrong.
            ranks = [(len(tried), [one["type"] for one in tried] == [UNKNOWN_KEY]) for tried in attempts]
            problems += attempts[ranks.index(min(ranks))]
        elif problem["type"] != "missing" or in_list:
            problems.append(problem)
    return problems


@dataclass(frozen=True)
class _Place:
    """What a schema allows at one place: one type, or the members of a union."""

    options: tuple[Any, ...]
    discriminator: str | None = None  # the key whose value selects a member of the union

    def tagged(self) -> dict[str, Any]:
        """The members of a union by the value of their discriminator; empty where there is none."""
        found: dict[str, Any] = {}
        for option in self.options if self.discriminator else ():
            if _is_model(option):
                found |= dict.fromkeys(get_args(option.model_fields[self.discriminator].annotation), option)
            else:
                found |= _place(option).tagged()
        return found

    def below(self, part: str) -> tuple[bool, "_Place"]:
        """One step of a problem's path: whether `part` is a key of the file, and the place there.

        Pydantic puts the selected member of a union into the path, by its tag or the name of its type.
        """
        option = self.options[0]
        if len(self.options) > 1:
            named = {str(tag): member for tag, member in self.tagged().items()}
            named |= {option.__name__: option for option in self.options if _is_model(option)}
            return False, _place(named.get(part, Any))
        if _is_model(option) and part in option.model_fields:
            field = option.model_fields[part]
            return True, _place(field.annotation, field.discriminator)
        elements = [one for one in get_args(option) if one is not Ellipsis and get_origin(option) is not Literal]
        return True, _place(elements[-1] if elements else Any)


def _place(annotation: Any, discriminator: Any = None) -> _Place:
    """The place of a type annotation, without `Annotated[...]` and `| None`."""
    if get_origin(annotation) is Annotated:
        annotation, *metadata = get_args(annotation)
        named = [one.discriminator for one in metadata if getattr(one, "discriminator", None)]
        return _place(annotation, named[0] if named else discriminator)
    if get_origin(annotation) in (Union, types.UnionType):
        options = tuple(option for option in get_args(annotation) if option is not types.NoneType)
        return _Place(options, discriminator) if len(options) > 1 else _place(options[0])
    return _Place((annotation,))


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _walk(schema: Any, path: Sequence[str | int]) -> tuple[list[str], _Place]:
    """Follow the path of a problem through `schema`: the keys as they stand in the file, and what is allowed there."""
    keys, here = [], _place(schema)
    for part in path:
        is_key, here = here.below(str(part))
        keys += [str(part)] if is_key else []
    return keys, here


def _refusal(schema: Any, problems: Sequence[Problem], file: str, prefix: str) -> ConfigError:
    """The first problem as an error of one line. `prefix` is the key of the checked content inside `file`.

    An unknown key comes before a key that is missing beside it: the one is often the other with a typing error.
    """
    first = problems[0]
    if first["type"] == "missing":
        beside = [problem for problem in problems if problem["loc"][:-1] == first["loc"][:-1]]
        first = next((problem for problem in beside if problem["type"] == UNKNOWN_KEY), first)
    keys, here = _walk(schema, first["loc"])
    given = "nothing" if first["type"] == "missing" else first["input"]
    # A plain union reports one problem a member: the value may be any of them.
    others = [problem for problem in problems if _walk(schema, problem["loc"])[0] == keys]
    allowed = " or ".join(dict.fromkeys(_allowed(problem, schema, here) for problem in (first, *others)))
    if first["type"] in NO_TAG:
        keys = [*keys, here.discriminator or ""]
        given = given.get(here.discriminator, "nothing") if isinstance(given, Mapping) else given
    return ConfigError(file, ".".join(([prefix] if prefix else []) + keys), given, allowed)


def _allowed(problem: Problem, schema: Any, here: _Place) -> str:
    kind, context, given = problem["type"], problem.get("ctx", {}), problem["input"]
    if kind == "missing":
        return "a value: this key is required"
    if kind == UNKNOWN_KEY:
        *above, last = problem["loc"]
        models = [option for option in _walk(schema, above)[1].options if _is_model(option)]
        known = choices(dict.fromkeys(name for model in models for name in model.model_fields), last)
        return f"no such key here; known keys: {known}"
    if kind in NO_TAG:
        return choices(here.tagged(), given.get(here.discriminator, "nothing") if isinstance(given, Mapping) else given)
    if kind == "literal_error":
        return str(context["expected"]).replace("'", "").replace(" or ", " | ").replace(", ", " | ")
    if kind in ("model_type", "model_attributes_type", "dict_type"):
        return NO_MAPPING
    if kind == "list_type":
        return f"a list, as [{given}]" if isinstance(given, str | int | float) else "a list"
    if kind == "too_short":
        return f"a list of {context['min_length']} or more"
    return str(problem["msg"]).removeprefix("Input should be ").removeprefix("Value error, ")
