"""How a training ended, and what the report says of a cell that was not trained."""

from enum import StrEnum


class Status(StrEnum):
    """The status of a cell. A member equals its text, so records read from JSON compare as they are."""

    OK = "ok"  # trained to the end
    DIVERGED = "diverged"  # a loss, gradient or weight was not finite, or the samples collapsed
    OUT_OF_MEMORY = "oom"  # the training did not fit into memory
    NOT_RUN = "not run"  # planned, and no record of a training exists
