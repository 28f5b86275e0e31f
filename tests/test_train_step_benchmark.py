"""The step benchmark's choice of modes; what it measures is run by hand."""

import pytest

from benchmarks import train_step
from benchmarks.train_step import MODES, without_emulation
from pipeline.base.errors import UserError


def test_bf16_modes_are_skipped_where_the_cpu_would_emulate_them(monkeypatch, capsys):
    monkeypatch.setattr(train_step, "has_bf16", lambda: False)
    assert without_emulation(["reference", "bf16", "fp32", "bf16_compiled"], "cpu") == ["reference", "fp32"]
    said = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in said] == ["bf16", "bf16_compiled"]
    assert all("has no bf16" in line for line in said)
    with pytest.raises(UserError, match="--modes: given bf16; allowed"):
        without_emulation(["bf16"], "cpu")


@pytest.mark.parametrize(("device", "bf16"), [("cuda", False), ("cpu", True)])
def test_every_mode_stays_elsewhere(monkeypatch, capsys, device, bf16):
    monkeypatch.setattr(train_step, "has_bf16", lambda: bf16)
    assert without_emulation(list(MODES), device) == list(MODES)
    assert not capsys.readouterr().out
