"""What an edit of a module's text changes in its stripped tree, and what not."""

import pytest

from pipeline.plan.numeric_syntax import plain, stripped

MODULE = '''"""A module."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

SCALE: float = 2.0


@dataclass
class Settings:
    """Settings."""

    rate: float = 0.5
    count: int = 3


class Layer:
    def __init__(self, width: int, eps: float = 1e-8) -> None:
        """A layer."""
        self.width, self.eps = width, eps

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim != 2:
            raise ValueError(f"two dimensions are needed, these are {x.ndim}")
        assert self.width > 0, "no width"
        scaled: Tensor = x * SCALE
        return torch.tanh(scaled) + math.sqrt(self.eps)
'''
# What is replaced by what; the numbers stay what they are.
SAME = {
    "a comment": ("SCALE: float = 2.0", "# a comment\nSCALE: float = 2.0  # another"),
    "blank lines and brackets": ("return torch.tanh(scaled)", "\n        return (torch.tanh(scaled))"),
    "a number's spelling": ("eps: float = 1e-8", "eps: float = 0.00000001"),
    "the module's docstring": ('"""A module."""', '"""Something else."""'),
    "no docstring": ('"""A module."""', ""),
    "a class's docstring": ('"""Settings."""', '"""Values."""'),
    "a function's docstring": ('"""A layer."""\n', '"""Something\n\n        longer."""\n'),
    "a field's docstring": ("    count: int = 3\n", '    count: int = 3\n    """How many."""\n'),
    "a parameter's annotation": ("width: int,", "width: float | None,"),
    "no annotation": ("x: Tensor)", "x)"),
    "a result's annotation": ("-> Tensor:", '-> "Tensor | None":'),
    "a module's annotation": ("SCALE: float = 2.0", "SCALE = 2.0"),
    "a field's annotation": ("rate: float = 0.5", "rate: float | None = 0.5"),
    "a local annotation": ("scaled: Tensor = x", "scaled = x"),
    "a declaration without a value": ("scaled: Tensor = x", "other: int\n        scaled: Tensor = x"),
    "an import of annotations alone": (
        "from torch import Tensor\n",
        "from torch import Tensor\nfrom collections.abc import Sequence\n\n\ndef unused(x: Sequence[int]):\n    pass\n",
    ),
    "the words of an exception": ("two dimensions are needed, these are", "not two dimensions but"),
    "an exception without its number": ('f"two dimensions are needed, these are {x.ndim}"', '"wrong dimensions"'),
    "the words of an assertion": ('"no width"', 'f"no width: {self.width}"'),
    "an assertion without words": (', "no width"', ""),
}
OTHER = {
    "a number": ("SCALE: float = 2.0", "SCALE: float = 2.5"),
    "a default argument": ("eps: float = 1e-8", "eps: float = 1e-6"),
    "a new default argument": ("width: int,", "width: int = 3,"),
    "a field's default": ("rate: float = 0.5", "rate: float = 0.25"),
    "a field without its default": ("    count: int = 3\n", "    count: int\n"),
    "a field's name": ("count: int", "number: int"),
    "a field of another kind": ("count: int = 3", "count: ClassVar[int] = 3"),
    "fields in another order": (
        "    rate: float = 0.5\n    count: int = 3\n",
        "    count: int = 3\n    rate: float = 0.5\n",
    ),
    "no field at all": ("    count: int = 3\n", ""),
    "a decorator": ("@dataclass\n", "@dataclass(frozen=True)\n"),
    "an operator": ("x * SCALE", "x / SCALE"),
    "a call": ("torch.tanh", "torch.sin"),
    "a condition": ("x.ndim != 2", "x.ndim > 2"),
    "a keyword": ("torch.tanh(scaled)", "torch.tanh(scaled, out=x)"),
    "an import under another name": ("import math\n", "import cmath as math\n"),
    "an import that nothing uses": ("import math\n", "import math\nimport pipeline.base.images\n"),
    "a star import": ("import math\n", "import math\nfrom pipeline.base.images import *\n"),
    "the kind of an exception": ("raise ValueError", "raise KeyError"),
    "a statement after a docstring": ('"""A layer."""\n', '"""A layer."""\n        width = width + 1\n'),
    "a base class": ("class Layer:", "class Layer(Settings):"),
}


def numeric(text: str):
    return plain(stripped(text))


def edited(old: str, new: str) -> str:
    assert MODULE.count(old) >= 1
    return MODULE.replace(old, new, 1)


@pytest.mark.parametrize(("old", "new"), SAME.values(), ids=SAME)
def test_what_changes_no_number_changes_nothing(old, new):
    if new.startswith("from torch import Tensor\nfrom collections"):
        # The function is new code; what is compared is the module with it, with and without the import.
        with_import = edited(old, new)
        without = with_import.replace("from collections.abc import Sequence\n", "").replace("Sequence[int]", "list")
        assert numeric(with_import) == numeric(without)
    else:
        assert numeric(edited(old, new)) == numeric(MODULE)


@pytest.mark.parametrize(("old", "new"), OTHER.values(), ids=OTHER)
def test_what_may_change_a_number_is_seen(old, new):
    assert numeric(edited(old, new)) != numeric(MODULE)


@pytest.mark.parametrize("annotation", ["Sequence[int]", '"Sequence[int]"', "'dict[str, Sequence]'"])
def test_an_import_that_only_annotations_use_goes_in_quotes_or_not(annotation):
    text = f"from collections.abc import Sequence\n\n\ndef f(x: {annotation}):\n    return x\n"
    assert numeric(text) == numeric("def f(x):\n    return x\n")


def test_an_import_that_is_used_beside_an_annotation_stays():
    text = "from torch import Tensor\n\n\ndef f(x: Tensor):\n    return Tensor(x)\n"
    assert numeric(text) != numeric(text.replace("from torch import Tensor\n", ""))


def test_only_the_needless_names_of_an_import_go():
    text = "from torch import Tensor, tanh\n\n\ndef f(x: Tensor):\n    return tanh(x)\n"
    assert numeric(text) == numeric(text.replace("Tensor, tanh", "tanh").replace("x: Tensor", "x"))


def test_numbers_of_an_exception_stay_and_its_words_go_however_they_are_put_together():
    text = "def f(x):\n    raise ValueError('too large: ' + str(x) + '{}'.format(3))\n"
    assert numeric(text) == numeric(text.replace("too large", "too small"))
    assert numeric(text) != numeric(text.replace("3", "4"))


def test_values_that_are_equal_and_not_the_same_are_told_apart():
    """1, 1.0 and True are equal in Python, and so are 0.0 and -0.0."""
    values = ["1", "1.0", "True", "'1'", "0.0", "-0.0", "0", "None", "b'1'"]
    assert len({str(numeric(f"x = {value}")) for value in values}) == len(values)
