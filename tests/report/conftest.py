"""Two synthetic projects, and the report of the first, for all tests of this folder."""

import pytest

from pipeline.report.results import Results
from report_project import MODEL_CELLS, render, write_project


@pytest.fixture(scope="session")
def project(tmp_path_factory):
    return write_project(tmp_path_factory.mktemp("project"))


@pytest.fixture(scope="session")
def report(project):
    return render(project)


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    """Results of a matrix with CNNs, with and without augmentation, and a row beyond the paper."""
    folder = write_project(tmp_path_factory.mktemp("models"), MODEL_CELLS)
    return Results.load(folder / "plan", folder / "results")
