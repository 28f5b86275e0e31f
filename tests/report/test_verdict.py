"""The written rules, case by case."""

import pandas as pd
import pytest

from pipeline.report.metrics import better, family, metrics_among
from pipeline.report.paper import PaperValue
from pipeline.report.paper_tables import main_results
from pipeline.report.results import Measurement
from pipeline.report.verdict import RULES, Order, against_paper, change, order

FID = "fid50k_train_legacy"


def paper_value(value=9.0, mark="", protocol=FID, budget="100 kimg (a script)"):
    return PaperValue(value=value, text=str(value), mark=mark, protocol=protocol, budget=budget)


def judged(values, paper=None, troubles=None, metric=FID, *, kimg=100.0, same_settings=True):
    measured = Measurement(pd.Series(dict(enumerate(values)), dtype=float), troubles or {})
    return against_paper(measured, paper or paper_value(), metric, kimg, 0.95, same_settings=same_settings)


def test_agrees_where_the_interval_holds_the_papers_value():
    assert judged([8.0, 9.5, 10.0]) == "agrees (+0.17)"
    assert judged([8.0, 9.5, 10.0], paper_value(mark="recalled")) == "agrees (+0.17, paper value recalled)"


def test_better_and_worse_follow_the_metrics_direction():
    assert judged([5.0, 5.1, 5.2]).startswith("better")
    assert judged([5.0, 5.1, 5.2], paper_value(protocol="is50k or is20k"), metric="is50k").startswith("worse")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"values": [9.0]}, "one seed"),
        ({"values": [9.0, 9.1], "kimg": 50.0}, "50.0% of the paper's training"),
        ({"values": [9.0, 9.1], "paper": paper_value(budget="")}, "not known"),
        ({"values": [9.0, 9.1], "metric": "fd_digits"}, "fd_digits is not the paper's protocol"),
        ({"values": [9.0, 9.1], "paper": paper_value(protocol="fid10k")}, "is not the paper's protocol"),
        ({"values": [9.0, 9.1], "paper": paper_value(protocol="not stated")}, "is not the paper's protocol"),
        ({"values": [9.0, 9.1], "same_settings": False}, "is not the paper's protocol"),
    ],
)
def test_no_verdict_says_why(changes, reason):
    text = judged(**changes)
    assert text.startswith("no verdict") and reason in text


@pytest.mark.parametrize(("dataset", "count"), [("cifar10", "50k"), ("stl10", "20k")])
def test_each_data_set_is_judged_by_the_papers_own_number_of_images(dataset, count):
    cells = pd.DataFrame(columns=["dataset", "variant", "seed", "status", "kimg"])
    frame = main_results(cells, dataset, 0.95).frame
    measured = [name.removeprefix("measured: ") for name in frame if name.startswith("measured: ")]
    assert set(measured[:2]) == {f"fid{count}_train_legacy", f"is{count}"}


def test_a_row_without_a_paper_value_gets_no_verdict():
    measured = Measurement(pd.Series({0: 9.0, 1: 9.1}), {})
    assert against_paper(measured, None, FID, 100.0, 0.95) == "no verdict: no paper value"


def test_out_of_memory_is_a_result():
    oom = paper_value(None)
    assert judged([], oom, {0: "oom", 1: "oom"}) == "as in the paper"
    assert judged([], troubles={0: "oom"}) == "oom" and judged([]) == "not run"
    assert judged([9.0, 9.1], oom) == "contrary to the paper: it ran out of memory"


@pytest.mark.parametrize(
    ("differences", "paper_improves", "expected"),
    [
        # mean -3, s = 1, t(2, 0.975) = 4.3027: half-width 2.48, so 0 is outside
        ([-2.0, -3.0, -4.0], True, Order.SEEN),
        ([-2.0, -3.0, -4.0], False, Order.CONTRADICTED),
        ([2.0, 3.0, 4.0], False, Order.SEEN),
        ([2.0, 3.0, 4.0], True, Order.CONTRADICTED),
        ([-2.0, -3.0, -4.0], None, Order.BETTER),
        ([2.0, 3.0, 4.0], None, Order.WORSE),
        # mean -2, s = 1: half-width 2.48 holds 0, although all three seeds agree
        ([-1.0, -2.0, -3.0], True, Order.UNDECIDED),
        # t(1, 0.975) = 12.7: two seeds have to agree to a tenth
        ([-2.0, -3.0], True, Order.UNDECIDED),
        ([-2.9, -3.0], True, Order.SEEN),
        ([-100.0], True, Order.UNDECIDED),
        ([0.0, 0.0], True, Order.SAME),
        ([], True, Order.NOTHING),
    ],
)
def test_the_order_of_two_rows(differences, paper_improves, expected):
    assert order(differences, "fd_digits", paper_improves, 0.95) == expected


def test_a_higher_score_is_better_where_the_metric_says_so():
    assert order([2.0, 3.0, 4.0], "is_digits", True, 0.95) == Order.SEEN


def test_changes_between_two_sides():
    assert change([0.0], "fd_digits", 0.95) == "the same"
    assert change([-1.0], "fd_digits", 0.95) == "undecided: one seed (-1.00)"
    assert change([-1.0, -1.1, -0.9], "recall_digits", 0.95) == "worse"
    assert change([-1.0, 1.0], "fd_digits", 0.95) == "undecided"


def test_the_rules_are_about_everything_the_functions_say():
    text = " ".join(rule for _, rule in RULES)
    words = (*(f"*{found}*" for found in Order if found not in (Order.SAME, Order.NOTHING)), "*agrees*", "*no verdict*")
    for word in words:
        assert word in text, word


def test_metrics_are_known_by_name():
    assert metrics_among(
        ["recall_digits", "kimg", "fd_digits", "fd_digits_std", "fid50k_train_legacy", "n_gen", "status", "is_digits"]
    ) == [FID, "fd_digits", "is_digits", "recall_digits"]
    assert family("seconds") is None and better("fd_digits", -1) and better("is_digits", 1)
    assert not better("is_digits", 0)
