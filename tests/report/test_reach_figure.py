"""Which tokens each kind of attention lets a token look at."""

import numpy as np

from pipeline.report.reach_figure import PALE, QUERY, reach, reached

BLOCK = {"side": 8, "window": 4, "landmarks": 16}


def blue(attention):
    words, image = reached(BLOCK | {"attention": attention})
    return words, int((image != np.array(PALE)).any(axis=-1).sum()), image


def test_as_many_tokens_are_coloured_as_the_words_say():
    assert blue("standard")[:2] == ("standard: all 64 tokens", 64)
    assert blue("grid")[:2] == ("grid: the 16 tokens of its cell of 4 x 4", 16)
    assert blue("axis")[:2] == ("axis: its row and its column, 15 tokens", 15)
    assert blue("nystrom")[:2] == ("nystrom: 16 means of 4 tokens", 64)


def test_the_query_is_inside_its_own_cell():
    _, _, image = blue("grid")
    assert tuple(image[3, 3]) == QUERY and tuple(image[3, 4]) == PALE and tuple(image[0, 0]) != PALE


def test_networks_without_blocks_have_no_map(tmp_path):
    assert reach([{}, {"network": {"generator": {"family": "resnet"}}}], "digits", tmp_path) is None
