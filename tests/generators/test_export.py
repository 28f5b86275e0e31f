"""The exported program draws the same pictures, for any batch size, without this project."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from pipeline.generators import export
from pipeline.generators.library import load_generator
from trained_networks import write_trained


@pytest.mark.parametrize(
    "variant",
    [
        "full",
        "stylegan2",
        pytest.param("nystrom_attention", marks=pytest.mark.nightly),
        pytest.param("batch_norm", marks=pytest.mark.nightly),
    ],
)
def test_a_program_gives_the_same_pictures_in_a_process_that_has_pytorch_alone(cell, tmp_path, variant):
    run = write_trained(tmp_path / "run", cell("digits", variant).network)
    export.export_program(run, tmp_path / "generator.pt2")
    generator = load_generator(run)
    z = generator.latents(5, seed=3)
    np.save(tmp_path / "z.npy", z.numpy())
    code = (
        "import numpy as np, torch, sys\n"
        "program = torch.export.load('generator.pt2').module()\n"
        "z = torch.from_numpy(np.load('z.npy'))\n"
        "np.save('images.npy', np.concatenate([program(z[:1]).detach(), program(z[1:]).detach()]))\n"
        "sys.exit('pipeline' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, env={"OMP_NUM_THREADS": "1"})
    with torch.no_grad():
        expected = generator.network(z)
    assert torch.allclose(torch.from_numpy(np.load(tmp_path / "images.npy")), expected, atol=1e-5)


def test_a_wrong_ending_is_refused(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["export", "--run", "x", "--out", "a.pth"])
    with pytest.raises(SystemExit):
        export.main()
    assert "ends in .pt2" in capsys.readouterr().err


def test_what_cannot_be_written_is_one_line_before_any_work(monkeypatch, capsys, cell, tmp_path):
    run = write_trained(tmp_path / "run", cell("digits").network)
    (tmp_path / "file").touch()
    monkeypatch.setattr(export, "export_program", lambda *_: pytest.fail("exported"))
    monkeypatch.setattr(sys, "argv", ["export", "--run", str(run), "--out", str(tmp_path / "file/x.pt2")])
    with pytest.raises(SystemExit):
        export.main()
    error = capsys.readouterr().err
    assert error.startswith("error: --out: given ") and "cannot be written: " in error and error.count("\n") == 1
