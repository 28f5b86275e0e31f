"""Settings of the report: they rerun the report and nothing else."""

from typing import Annotated

from pydantic import Field

from pipeline.base.schema import Strict


class ReportConfig(Strict):
    """Settings of the report; they change no number."""

    confidence: Annotated[float, Field(gt=0, lt=1)]  # of the t-interval over seeds
    grid_images: Annotated[int, Field(ge=1)]  # images of a fixed-latent grid shown per cell
    timeline_columns: Annotated[int, Field(ge=1)]  # moments of training shown side by side
    dpi: Annotated[int, Field(ge=50, le=600)]  # of the figures
