"""Reading, merging and binding YAML: what stands in the file is what arrives, or one line says why not."""

import functools
from typing import Annotated, Literal

import pytest
from pydantic import Field, ValidationError

from pipeline.base.errors import ConfigError, UserError, choices
from pipeline.base.schema import Strict, bind, dump, read_yaml


class Leaf(Strict):
    kind: Literal["red", "green"]
    size: Annotated[float, Field(gt=0, le=10)]
    count: int = 1


class Tree(Strict):
    flag: bool
    leaf: Leaf
    leaves: list[Leaf]
    named: dict[str, Leaf]
    maybe: Leaf | None = None


LEAF = {"kind": "red", "size": 0.5}
TREE = {"flag": True, "leaf": LEAF, "leaves": [LEAF, LEAF], "named": {"a": LEAF}, "maybe": LEAF}


def changed(path, value):
    """TREE with the value at `path` replaced, everything on the way copied."""

    def put(node, keys):
        if not keys:
            return value
        if isinstance(node, list):
            return [put(item, keys[1:]) if index == keys[0] else item for index, item in enumerate(node)]
        return {**node, keys[0]: put(node.get(keys[0]), keys[1:])}

    return put(TREE, path)


def refusal(content, schema=Tree, check=bind, **options):
    with pytest.raises(ConfigError) as error:
        check(schema, content, file="some.yaml", **options)
    assert len(str(error.value).splitlines()) == 1
    return str(error.value)


@pytest.mark.parametrize("path", [("leaf",), ("leaves", 1), ("named", "a"), ("maybe",)], ids=str)
def test_unknown_keys_are_found_at_every_depth_and_the_near_miss_is_named(path):
    key = ".".join(map(str, path))
    message = refusal(changed((*path, "sise"), 3))
    assert (
        message == f"some.yaml: {key}.sise: given 3; allowed: no such key here; "
        "known keys: kind | size | count (did you mean 'size'?)"
    )


@pytest.mark.parametrize("path", [("leaf",), ("leaves", 1), ("named", "a"), ("maybe",)], ids=str)
def test_unknown_values_are_found_at_every_depth(path):
    key = ".".join(map(str, path))
    assert refusal(changed((*path, "kind"), "blue")) == f"some.yaml: {key}.kind: given 'blue'; allowed: red | green"


@pytest.mark.parametrize(
    ("path", "value", "allowed"),
    [
        (("flag",), 1, "true or false"),
        (("flag",), "true", "true or false"),
        (("leaf", "size"), "0.5", "a valid number"),
        (("leaf", "size"), True, "a valid number"),
        (("leaf", "size"), 0.0, "greater than 0"),
        (("leaf", "size"), 11, "less than or equal to 10"),
        (("leaf", "size"), float("nan"), "a finite number"),
        (("leaf", "count"), 2.0, "a valid integer"),
        (("leaf", "count"), True, "a valid integer"),
        (("leaf", "count"), None, "a valid integer"),
        (("leaves",), {}, "a valid list"),
        (("leaf", "kind"), "red\ngreen", "red | green"),
    ],
)
def test_nothing_is_converted_in_silence(path, value, allowed):
    message = refusal(changed(path, value), prefix="variants.x")
    assert message == f"some.yaml: variants.x.{'.'.join(path)}: given {value!r}; allowed: {allowed}"


def test_missing_keys_are_refused_unless_partial():
    without = {key: value for key, value in TREE.items() if key != "flag"}
    assert refusal(without) == "some.yaml: flag: given 'nothing'; allowed: a value: this key is required"
    bind(Tree, without, file="some.yaml", partial=True)
    assert "leaf.size: given 'x'" in refusal({"leaf": {"size": "x"}}, check=functools.partial(bind, partial=True))


def test_missing_keys_inside_a_list_are_refused_even_if_partial():
    """Lists are replaced whole: nothing is left to complete their elements."""
    assert refusal({"leaves": [{"kind": "red"}]}, check=functools.partial(bind, partial=True)).startswith(
        "some.yaml: leaves.0.size: given 'nothing'; allowed: a value"
    )


class Branch(Strict):
    mark: int | Literal["none", "all"] = 0
    named: dict[str, Leaf] = {}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"mark": "some"}, "mark: given 'some'; allowed: a valid integer or none | all"),
        (
            {"named": {"kind": LEAF | {"siz": 1}}},
            "named.kind.siz: given 1; allowed: no such key here; known keys: kind",
        ),
        ({"named": 7}, "named: given 7; allowed: a mapping of keys ({} where there is nothing to set)"),
        ({"named": {"size": 7}}, "named.size: given 7; allowed: a mapping of keys"),
        ({"named": {"a": {"kind": "red", "sise": 1}}}, "named.a.sise: given 1; allowed: no such key here; known keys"),
    ],
)
def test_a_refused_value_is_named_by_the_keys_that_stand_in_the_file(content, message):
    assert refusal(content, Branch).startswith(f"some.yaml: {message}")
    assert refusal(content, Branch, prefix="variants.x").startswith(f"some.yaml: variants.x.{message}")


def test_what_is_bound_is_frozen_and_typed():
    tree = bind(Tree, TREE, file="some.yaml")
    assert tree.leaves[1] == Leaf(kind="red", size=0.5, count=1) and tree.maybe == tree.leaf
    with pytest.raises(ValidationError):
        tree.leaf.size = 1.0
    with pytest.raises(TypeError):
        Leaf("red", 0.5)


def test_dumped_text_reads_back_equal_and_is_the_same_for_equal_values(tmp_path):
    texts = {dump(bind(Tree, changed(("leaf", "size"), size), file="x")) for size in (1, 1.0)}
    assert len(texts) == 1
    for size in (1e-05, 5e-324, 0.1 + 0.2, 1 / 3, 9.999999999999999):
        tree = bind(Tree, changed(("leaf", "size"), size), file="x")
        (tmp_path / "tree.yaml").write_text(dump(tree))
        assert bind(Tree, read_yaml(tmp_path / "tree.yaml"), file="x") == tree


def test_dump_follows_the_schema_not_the_content():
    assert dump(bind(Tree, dict(reversed(TREE.items())), file="x")) == dump(bind(Tree, TREE, file="x"))


def test_yaml_as_a_person_writes_it(tmp_path):
    path = tmp_path / "x.yaml"
    path.write_text("a: 1e-05\nb: 1e5\nc: 1\nd: '1'\ne: null\nf: [1, 2.0]\ng: none\nh: ${a}\n")
    content = read_yaml(path)
    assert content == {
        "a": 0.00001,
        "b": 100000.0,
        "c": 1,
        "d": "1",
        "e": None,
        "f": [1, 2.0],
        "g": "none",
        "h": "${a}",
    }
    assert [type(content[key]) for key in "abcd"] == [float, float, int, str]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: [", "not valid YAML"),
        ("a: 1\na: 2\n", "duplicate key a"),
        ("[1, 2]", "expected a mapping"),
        ("<<<<<<< HEAD\na: 1\n=======\na: 2\n>>>>>>> x\n", "git's conflict markers (<<<<<<< HEAD)"),
        ("\xff", "not valid YAML"),
    ],
)
def test_broken_files_are_one_line(tmp_path, text, says):
    path = tmp_path / "x.yaml"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(UserError) as error:
        read_yaml(path)
    message = str(error.value)
    assert message.startswith(f"{path}: ") and says in message and len(message.splitlines()) == 1


def test_a_missing_file_is_one_line(tmp_path):
    with pytest.raises(UserError, match=r"absent\.yaml: no such file$"):
        read_yaml(tmp_path / "absent.yaml")


def test_choices_hint_at_near_misses_only():
    assert choices(["layer", "token"], "layr") == "layer | token (did you mean 'layer'?)"
    assert choices(["layer", "token"], "zzz") == choices(["layer", "token"]) == "layer | token"
