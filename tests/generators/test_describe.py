import json
import sys

import pytest

from pipeline.generators import describe


def call(monkeypatch, capsys, *arguments):
    monkeypatch.setattr(sys, "argv", ["describe", *arguments])
    describe.main()
    return capsys.readouterr().out


def test_json_has_both_networks_stages_parameters_and_flops(monkeypatch, capsys):
    description = json.loads(
        call(monkeypatch, capsys, "--dataset", "cifar10", "--variant", "full", "--released", "--json")
    )
    assert description["generator"]["parameters"] == 83_312_495
    assert description["discriminator"]["parameters"] == 10_210_400
    assert [stage["blocks"][0]["side"] for stage in description["generator"]["stages"]] == [8, 16, 32]
    assert description["released"] is True and description["generator"]["forward_flops"] > 1e10


def test_celeba128_is_the_generator_of_the_papers_table_6(cell):
    """By a second-hand reading, which gives this count; the 256-pixel networks are those that were released."""
    description = describe.describe(cell("celeba128", "full"))
    assert description["generator"]["parameters"] == 151_512_455
    assert description["generator"]["forward_flops"] / 2e9 == pytest.approx(24.98, abs=0.01)
    released = cell("church256", "full", released=True).network.generator
    widths = [stage.blocks[0].width for stage in cell("church256", "full").network.generator.stages]
    assert widths == [stage.blocks[0].width for stage in released.stages] == [1024, 1024, 1024, 256, 64, 16]


def test_text_names_every_stage(monkeypatch, capsys):
    text = call(monkeypatch, capsys, "--dataset", "church256")
    assert "205,291,927 parameters" in text and "images of 256 x 256" in text
    rows = [line.split() for line in text.splitlines()]
    assert ["3", "pixel_shuffle", "False", "4", "64", "256", "4", "4", "token", "grid", "16"] in [
        row[:11] for row in rows
    ]
    assert ["cls", "1", "16", "384"] in [row[:4] for row in rows]


@pytest.mark.parametrize(
    ("option", "value", "hint"),
    [("--dataset", "cifar", "did you mean 'cifar10'"), ("--variant", "fulll", "did you mean 'full'")],
)
def test_unknown_names_end_in_one_line(monkeypatch, capsys, option, value, hint):
    arguments = {"--dataset": "digits", "--variant": "full"} | {option: value}
    monkeypatch.setattr(sys, "argv", ["describe", *[part for pair in arguments.items() for part in pair]])
    with pytest.raises(SystemExit) as stopped:
        describe.main()
    assert stopped.value.code == 1
    error = capsys.readouterr().err
    assert error.startswith("error: conf/: ") and value in error and hint in error and error.count("\n") == 1
