"""Two synthetic projects and their reports for all tests of this folder."""

import pytest

from report_project import MODEL_CELLS, render, write_project


@pytest.fixture(scope="session")
def project(tmp_path_factory):
    return write_project(tmp_path_factory.mktemp("project"))


@pytest.fixture(scope="session")
def report(project):
    return render(project)


@pytest.fixture(scope="session")
def models_report(tmp_path_factory):
    """The report of a matrix with CNNs, with and without augmentation, and a row beyond the paper."""
    return render(write_project(tmp_path_factory.mktemp("models"), MODEL_CELLS))
