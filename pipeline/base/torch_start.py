"""Import this before torch: what a process that computes on a shared machine wants torch to do.

Threads that wait give their core back: beside other jobs, spinning ones made a step ten times as long.

torch's compiler is imported when something is compiled. Otherwise torch.optim and torchvision import it, 1 to 5
seconds of processor time a stage, to call two functions that do nothing in a program that compiles nothing. A stand-in
answers these, and becomes the compiler as soon as anything else is asked of it.
"""

import importlib
import os
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

COMPILER = "torch._dynamo"
STAND_INS: dict[str, dict[str, Callable[..., Any]]] = {
    COMPILER: {"graph_break": lambda msg="": None, "disable": lambda fn=None, *args, **kwargs: fn},
    f"{COMPILER}.utils": {"is_compile_supported": lambda device_type: False},
}


class StandIn(ModuleType):
    """A module that is imported when an attribute is asked for that it does not have."""

    def __getattr__(self, name: str) -> Any:
        submodule = name == "__path__" and self.__name__ == COMPILER  # what the import of another part of it asks for
        if name.startswith("__") and not submodule:
            raise AttributeError(name)
        for module in STAND_INS:
            if isinstance(sys.modules.get(module), StandIn):
                del sys.modules[module]
        return getattr(importlib.import_module(self.__name__), name)


os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read once, by the first import of torch
os.environ.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")  # a GPU's number is that of nvidia-smi
if COMPILER not in sys.modules:
    for name, functions in STAND_INS.items():
        sys.modules[name] = StandIn(name)
        vars(sys.modules[name]).update(functions)
