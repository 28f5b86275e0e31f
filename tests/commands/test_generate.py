"""The sample command on a small finished run."""

import io
import os
import resource
import subprocess
import sys
import zipfile
from pathlib import Path

import imageio.v3 as imageio
import numpy as np
import pytest
from PIL import Image

from pipeline.commands import generate
from pipeline.generators import write_images
from pipeline.generators.library import load_generator
from trained_networks import write_trained

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def run(cell, tmp_path_factory):
    """A run of three channels; the digits of the matrix are grey."""
    spec = cell("digits").network.model_copy(update={"channels": 3})
    return write_trained(tmp_path_factory.mktemp("runs") / "seed0", spec)


def call(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["generate", *map(str, arguments)])
    generate.main()


def test_writes_a_grid_of_n_samples_that_depends_on_the_seed_alone(monkeypatch, run, tmp_path):
    pictures = []
    for name, seed, batch in (("a", 0, 64), ("b", 0, 5), ("c", 1, 64)):
        call(monkeypatch, "--run", run, "--n", 12, "--seed", seed, "--batch", batch, "--out", tmp_path / f"{name}.png")
        pictures.append(np.asarray(Image.open(tmp_path / f"{name}.png")).astype(int))
    assert pictures[0].shape == (3 * 36 + 4, 4 * 36 + 4, 3)
    assert abs(pictures[0] - pictures[1]).max() <= 1
    assert abs(pictures[0] - pictures[2]).max() > 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--n", "0"], "--n: given 0"),
        (["--seed", "-1"], "--seed: given -1"),
        (["--out", "grid.txt"], "ends in .png"),
        (["--out", "walk.mp4"], "needs the package imageio-ffmpeg"),
        (["--seeds", "5-1"], "--seeds: given '5-1'"),
        (["--seeds", "1,0-3"], "each seed once"),
        (["--seeds", "0-99999999999"], "1,000,000 at most"),
        (["--truncation", "-1"], "--truncation: given -1.0"),
        (["--keyframes", "1"], "--keyframes: given 1"),
        (["--run", "nowhere"], "nowhere: no finished run"),
    ],
)
def test_mistakes_end_in_one_line(monkeypatch, capsys, run, tmp_path, arguments, words):
    monkeypatch.setattr(write_images, "find_spec", lambda name: None)
    options = {"--run": str(run), "--out": str(tmp_path / "grid.png")} | dict([arguments])
    with pytest.raises(SystemExit):
        call(monkeypatch, *[part for pair in options.items() for part in pair])
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1
    assert not (tmp_path / "grid.png").exists()


def test_single_files_an_array_and_a_zip_hold_the_same_images(monkeypatch, run, tmp_path):
    for out in ("pictures", "images.zip", "images.npz"):
        call(monkeypatch, "--run", run, "--n", 7, "--seed", 2, "--batch", 3, "--out", tmp_path / out)
    images = load_generator(run).sample(7, seed=2, batch=3)
    with np.load(tmp_path / "images.npz") as arrays:
        assert np.array_equal(arrays["arr_0"], images) and arrays["arr_0"].dtype == np.uint8
    files = sorted((tmp_path / "pictures").iterdir())
    assert [file.name for file in files] == [f"{index:06d}.png" for index in range(7)]
    assert np.array_equal(np.stack([np.asarray(Image.open(file)) for file in files]), images)
    with zipfile.ZipFile(tmp_path / "images.zip") as archive:
        assert archive.testzip() is None
        found = [np.asarray(Image.open(io.BytesIO(archive.read(name)))) for name in archive.namelist()]
    assert np.array_equal(np.stack(found), images)


def test_the_same_samples_are_the_same_bytes(monkeypatch, run, tmp_path):
    for ending in ("zip", "npz", "gif"):
        for name in ("a", "b"):
            call(monkeypatch, "--run", run, "--n", 3, "--steps", 2, "--out", tmp_path / f"{name}.{ending}")
        assert (tmp_path / f"a.{ending}").read_bytes() == (tmp_path / f"b.{ending}").read_bytes()


def test_a_file_per_seed(monkeypatch, run, tmp_path):
    call(monkeypatch, "--run", run, "--seeds", "0-2,20", "--out", tmp_path / "seeds")
    files = sorted((tmp_path / "seeds").iterdir())
    assert [file.name for file in files] == ["seed00000.png", "seed00001.png", "seed00002.png", "seed00020.png"]
    assert np.array_equal(np.asarray(Image.open(files[3])), load_generator(run).sample(1, seed=20)[0])


def test_a_folder_that_holds_something_is_left_alone(monkeypatch, capsys, run, tmp_path):
    (tmp_path / "old").mkdir()
    (tmp_path / "old/other.png").write_bytes(b"")
    with pytest.raises(SystemExit):
        call(monkeypatch, "--run", run, "--out", tmp_path / "old")
    assert "a new or empty folder" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "old").iterdir()] == ["other.png"]
    assert {path.name for path in tmp_path.iterdir()} == {"old"}


@pytest.mark.parametrize(("options", "frames"), [(["--n", 4, "--keyframes", 3], 15), (["--seeds", "1,4"], 10)])
def test_a_video_walks_in_a_circle(monkeypatch, run, tmp_path, options, frames):
    call(monkeypatch, "--run", run, *options, "--steps", 5, "--out", tmp_path / "walk.gif")
    pictures = imageio.imread(tmp_path / "walk.gif")
    assert len(pictures) == frames and pictures.shape[-1] == 3
    if "--n" in options:
        assert pictures.shape[1:3] == (2 * 36 + 4, 2 * 36 + 4)


@pytest.mark.parametrize(
    "out", ["folder.png", "folder.npz", "file/x.png", "file/pictures", f"{'n' * 300}.png", "/proc/no/x.npz"]
)
def test_what_cannot_be_written_is_one_line_before_any_image_is_drawn(monkeypatch, capsys, run, tmp_path, out):
    for name in ("folder.png", "folder.npz"):
        (tmp_path / name).mkdir()
    (tmp_path / "file").touch()
    monkeypatch.setattr("pipeline.generators.library.load_generator", lambda *_: pytest.fail("loaded"))
    with pytest.raises(SystemExit):
        call(monkeypatch, "--run", run, "--out", tmp_path / out)
    error = capsys.readouterr().err
    assert error.startswith("error: --out: given ") and error.count("\n") == 1


@pytest.mark.parametrize("out", ["full.npz", "full.zip", "full.png", "folder", "full.gif"])
def test_a_full_disk_is_one_line_and_leaves_nothing(monkeypatch, capsys, run, tmp_path, out):
    """A limit on the size of files stands for the disk: writing more is an OSError as well."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (60, before[1]))
        with pytest.raises(SystemExit) as end:
            call(monkeypatch, "--run", run, "--n", 40, "--steps", 2, "--out", tmp_path / out)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    error = capsys.readouterr().err
    assert end.value.code == 1 and error.startswith("error: ") and error.count("\n") == 1 and "File too large" in error
    assert not list(tmp_path.iterdir())


def test_a_terminal_without_unicode_gets_its_line(run, tmp_path):
    out = tmp_path / "größe.png"
    done = subprocess.run(
        [sys.executable, "-m", "pipeline.cli", "generate", "--run", run, "--n", "1", "--out", out],
        capture_output=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
    )
    assert done.returncode == 0 and out.is_file() and b"gr\\xf6\\xdfe.png" in done.stdout


@pytest.mark.parametrize("name", ["samples_t0.7", "step_0.25kimg", "plain"])
def test_a_folder_may_have_a_number_at_its_end(monkeypatch, run, tmp_path, name):
    call(monkeypatch, "--run", run, "--n", 2, "--out", tmp_path / name)
    assert len(list((tmp_path / name).iterdir())) == 2


def test_grey_images_are_grey_files(monkeypatch, cell, tmp_path):
    grey = write_trained(tmp_path / "grey", cell("digits").network.model_copy(update={"channels": 1}))
    for out in ("grid.png", "folder", "walk.gif"):
        call(monkeypatch, "--run", grey, "--n", 2, "--steps", 2, "--out", tmp_path / out)
    assert Image.open(tmp_path / "grid.png").mode == Image.open(tmp_path / "folder/000000.png").mode == "L"
