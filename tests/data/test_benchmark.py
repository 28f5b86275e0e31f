"""The benchmark of prepare measures two ways to the same pixels."""

import sys

from benchmarks import prepare
from image_files import encoded, pixels, write_zip


def test_both_sides_give_the_same_pixels_and_a_line_each(tmp_path, monkeypatch, capsys):
    write_zip(tmp_path / "images.zip", {f"{index}.jpg": encoded(pixels(index, 30, 22), "JPEG") for index in range(8)})
    monkeypatch.setattr(
        sys,
        "argv",
        ["prepare", "--source", str(tmp_path / "images.zip"), "--resolution", "16", "--rounds", "2", "--count", "6"],
    )
    prepare.main()
    out = capsys.readouterr().out
    assert "6 images -> 16 x 16, 2 rounds" in out and "pixels equal" in out
    assert (
        sum(line.startswith(("torchvision loop ", "prepare ")) and "images/s" in line for line in out.splitlines()) == 2
    )
