"""What is said of a training for which the memory was too small."""

from typing import Any

from pipeline.base.memory import bytes_asked
from pipeline.training.config import TrainConfig


def shortage(error: BaseException, config: TrainConfig) -> dict[str, Any]:
    """What a person needs to know who wants that cell to fit: the facts of a run that ended as `oom`."""
    return {
        "detail": (str(error).splitlines() or [type(error).__name__])[0],
        "bytes_asked": bytes_asked(str(error)),
        "batch_discriminator": config.batch_discriminator,
        "batch_generator": config.batch_generator,
        "would_help": ", ".join(would_help(config)),
    }


def would_help(config: TrainConfig) -> list[str]:
    """Settings that need less memory than these; the first two leave the gradients what they are."""
    return [
        *([] if config.recompute else ["train.recompute: true"]),
        f"train.accumulate: {2 * config.accumulate}",
        *([] if config.precision == "bf16" else ["train.precision: bf16"]),
        "smaller train.batch_discriminator and train.batch_generator",
    ]
