"""Pydantic's problems as one-line refusals that name the key as it stands in the file."""

import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeAlias, Union, get_args, get_origin

from pydantic import BaseModel

from pipeline.base.errors import ConfigError, choices

Problem: TypeAlias = Mapping[str, Any]  # as pydantic's ValidationError.errors() gives them
UNKNOWN_KEY = "extra_forbidden"
NO_MAPPING = ("model_type", "model_attributes_type", "dict_type")


@dataclass(frozen=True)
class Place:
    """What a schema allows at one place: one type, or the members of a union."""

    options: tuple[Any, ...]
    discriminator: str | None = None  # the key whose value selects a member of the union

    def tagged(self) -> dict[str, Any]:
        """The members of a union by the value of their discriminator; empty where there is none."""
        if self.discriminator is None:
            return {}
        found: dict[str, Any] = {}
        for option in self.options:
            if _is_model(option):
                found |= dict.fromkeys(get_args(option.model_fields[self.discriminator].annotation), option)
            else:
                found |= place(option).tagged()
        return found

    def fields(self) -> list[str]:
        """Names of the keys that a mapping at this place may have."""
        return list(dict.fromkeys(name for option in self.options if _is_model(option) for name in option.model_fields))


def place(annotation: Any, discriminator: str | None = None) -> Place:
    """A type annotation without `Annotated[...]` and `| None`."""
    if get_origin(annotation) is Annotated:
        annotation, *metadata = get_args(annotation)
        named = [item.discriminator for item in metadata if getattr(item, "discriminator", None)]
        return place(annotation, named[0] if named else discriminator)
    if get_origin(annotation) in (Union, types.UnionType):
        options = tuple(option for option in get_args(annotation) if option is not types.NoneType)
        return Place(options, discriminator) if len(options) > 1 else place(options[0])
    return Place((annotation,))


def walk(schema: Any, path: Sequence[str | int]) -> tuple[list[str], Place]:
    """Follow the path of a problem through `schema`: the keys as they stand in the file, and what is allowed there.

    Pydantic puts the selected member of a union into the path; the file has no such key.
    """
    keys, here = [], place(schema)
    for part in path:
        if len(here.options) > 1:
            here = _member(here, str(part))
        else:
            keys.append(str(part))
            here = _below(here.options[0], str(part))
    return keys, here


def refusal(schema: Any, problems: Sequence[Problem], file: str, prefix: str) -> ConfigError:
    """The first problem as an error of one line. `prefix` is the key of the checked content inside `file`.

    An unknown key comes before a key that is missing beside it: the one is often the other with a typing error.
    """
    first = problems[0]
    if first["type"] == "missing":
        beside = [problem for problem in problems if problem["loc"][:-1] == first["loc"][:-1]]
        first = next((problem for problem in beside if problem["type"] == UNKNOWN_KEY), first)
    path, here = walk(schema, first["loc"])
    key, given, allowed = _explain(first, path, schema, here)
    # A plain union reports one problem a member: the value may be any of them.
    others = [problem for problem in problems if walk(schema, problem["loc"])[0] == path]
    allowed = " or ".join(dict.fromkeys([allowed, *(_explain(other, path, schema, here)[2] for other in others)]))
    return ConfigError(file, ".".join(([prefix] if prefix else []) + key), given, allowed)


def _explain(problem: Problem, path: list[str], schema: Any, here: Place) -> tuple[list[str], Any, str]:
    """Key, what is given, what is allowed."""
    kind, context, given = problem["type"], problem.get("ctx", {}), problem["input"]
    if kind == "missing":
        return path, "nothing", "a value: this key is required"
    if kind == UNKNOWN_KEY:
        parent = walk(schema, problem["loc"][:-1])[1]
        return path, given, f"no such key here; known keys: {choices(parent.fields(), path[-1])}"
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        tag = here.discriminator or ""
        found = given.get(tag, "nothing") if isinstance(given, Mapping) else given
        return [*path, tag], found, choices(here.tagged(), found)
    if kind == "literal_error":
        return path, given, _literals(context["expected"])
    if kind in NO_MAPPING:
        return path, given, "a mapping of keys ({} where there is nothing to set)"
    if kind == "list_type":
        return path, given, f"a list, as [{given}]" if isinstance(given, str | int | float) else "a list"
    if kind == "too_short":
        return path, given, f"a list of {context['min_length']} or more"
    return path, given, problem["msg"].removeprefix("Input should be ").removeprefix("Value error, ")


def _literals(expected: str) -> str:
    return expected.replace("'", "").replace(" or ", " | ").replace(", ", " | ")


def _member(here: Place, label: str) -> Place:
    """The member of a union that pydantic names in a path: by its discriminator, or by the name of its type."""
    named = {str(tag): member for tag, member in here.tagged().items()}
    named |= {option.__name__: option for option in here.options if _is_model(option)}
    return place(named.get(label, Any))


def _below(annotation: Any, key: str) -> Place:
    if _is_model(annotation) and key in annotation.model_fields:
        field = annotation.model_fields[key]
        return place(field.annotation, field.discriminator)
    elements = [argument for argument in get_args(annotation) if argument is not Ellipsis]
    is_container = get_origin(annotation) is not Literal and elements
    return place(elements[-1]) if is_container else Place((Any,))


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)
