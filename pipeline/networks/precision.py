"""Where a network insists on full precision, whatever the training's."""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor


def full_precision(x: Tensor) -> AbstractContextManager:
    """No autocast on x's device; on `meta`, which has none, nothing."""
    return nullcontext() if x.is_meta else torch.autocast(x.device.type, enabled=False)
