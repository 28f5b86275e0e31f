"""torch's compiler is imported where something is compiled, and nowhere else. Each case is a process of its own."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

EAGER = """\
import pipeline.base.torch_start
import sys, torch, torch_fidelity
layer = torch.nn.Linear(2, 1)
optimizer = torch.optim.Adam(layer.parameters(), fused=True)
layer(torch.ones(3, 2)).sum().backward()
optimizer.step()
assert "sympy" not in sys.modules and "torch._dynamo.convert_frame" not in sys.modules
"""
COMPILED = (
    EAGER
    + """\
def double(x):
    return 2 * x
assert torch.compile(double, backend="eager")(torch.ones(2)).tolist() == [2, 2]
assert "torch._dynamo.convert_frame" in sys.modules
"""
)


@pytest.mark.parametrize("code", [EAGER, pytest.param(COMPILED, marks=pytest.mark.nightly)], ids=["eager", "compiled"])
def test_the_compiler_is_imported_where_something_is_compiled(code):
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
