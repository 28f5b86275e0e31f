"""Where a copy is looked for, what is fetched, and what a person without a network is told."""

import functools
import hashlib
import http.server
import re
import shlex
import threading

import pytest
import requests
from hydra.core.override_parser.overrides_parser import OverridesParser

from image_files import config, encoded, pixels, write_zip
from pipeline.base import download
from pipeline.base.errors import UserError
from pipeline.data.prepare import prepare
from pipeline.data.sources import OFFICIAL, PublishedFile, as_override, locate

CONTENT = b"the official archive"


def entry(address, content=CONTENT):
    return PublishedFile(
        file="set.tar.gz",
        address=address,
        size=len(content),
        checksum=f"md5 {hashlib.md5(content).hexdigest()}",
        published="this test",
    )


@pytest.fixture
def server(tmp_path, monkeypatch):
    """An address that serves tmp_path/served, and the requests it got."""
    monkeypatch.setenv("no_proxy", "*")
    (tmp_path / "served").mkdir()
    asked = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            asked.append(self.path)

    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Handler, directory=tmp_path / "served")
    )
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}", asked
    server.shutdown()
    server.server_close()


@pytest.fixture
def served(server, tmp_path, monkeypatch):
    address, asked = server
    (tmp_path / "served/set.tar.gz").write_bytes(CONTENT)
    monkeypatch.setitem(OFFICIAL, "cifar10", entry(f"{address}/set.tar.gz"))
    return asked


def found(path=None):
    return locate("ten", config("cifar10", path=path and str(path)))


def kept(folder):
    """Names of what a download left, without the empty file that locks it."""
    return [path.name for path in folder.iterdir() if path.suffix != ".lock" or path.stat().st_size]


def test_fetched_once_checked_and_kept(served, tmp_path):
    path, checked = found()
    assert path == tmp_path / "cache/transgan/set.tar.gz" and path.read_bytes() == CONTENT
    assert checked == f"{OFFICIAL['cifar10'].checksum}, published by this test: matches"
    found()
    assert len(served) == 1 and [file.name for file in path.parent.iterdir()] == ["set.tar.gz"]


def test_a_data_root_keeps_what_is_fetched(served, tmp_path, monkeypatch):
    (tmp_path / "root").mkdir()
    monkeypatch.setenv("TRANSGAN_DATA", str(tmp_path / "root"))
    assert found()[0] == tmp_path / "root/set.tar.gz" and not (tmp_path / "cache").exists()


def test_the_first_place_wins(served, tmp_path, monkeypatch):
    root = tmp_path / "root"
    places = [
        tmp_path / "given.tar.gz",
        root / "ten",
        root / "ten.zip",
        root / "set.tar.gz",
        tmp_path / "cache/transgan/set.tar.gz",
    ]
    for place in places:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(CONTENT)
    monkeypatch.setenv("TRANSGAN_DATA", str(root))
    for number, place in enumerate(places[:-1]):
        assert found(places[0] if number == 0 else None)[0] == place
        place.unlink()
    monkeypatch.delenv("TRANSGAN_DATA")
    assert found()[0] == places[-1] and not served


@pytest.mark.parametrize(
    "content", [CONTENT[:-1], CONTENT + b"!", CONTENT[:-1] + b"!"], ids=["short", "long", "changed"]
)
def test_a_wrong_download_never_gets_its_name(served, tmp_path, content):
    (tmp_path / "served/set.tar.gz").write_bytes(content)
    with pytest.raises(UserError, match=r"^set\.tar\.gz could not be fetched.*(expected|more than).*\(20 bytes, md5 "):
        found()
    assert not kept(tmp_path / "cache/transgan")


def test_a_web_page_in_place_of_the_file_is_said(served, tmp_path, monkeypatch):
    (tmp_path / "served/page.html").write_bytes(CONTENT)
    monkeypatch.setitem(OFFICIAL, "cifar10", entry(OFFICIAL["cifar10"].address.replace("set.tar.gz", "page.html")))
    with pytest.raises(UserError, match="a web page came in place of the file"):
        found()


@pytest.mark.parametrize("source", ["cifar10", "stl10", "celeba", "lsun_church"])
def test_without_network_or_copy_the_error_says_everything(tmp_path, monkeypatch, source):
    real = OFFICIAL[source]

    def no_network(*_, **__):
        raise requests.ConnectionError("Network is unreachable")

    monkeypatch.setattr(requests, "get", no_network)
    with pytest.raises(UserError) as error:
        prepare(config(source), "mine", tmp_path / "out")
    message = str(error.value)
    for part in (
        real.file,
        f"{real.size:,} bytes",
        real.checksum,
        real.address,
        "Network is unreachable",
        f"cache/transgan/{real.file}",
        "conf/dataset/mine.yaml:data.path",
        "TRANSGAN_DATA",
    ):
        assert part in message
    assert "\n" not in message and not (tmp_path / "out").exists() and not kept(tmp_path / "cache/transgan")


def test_no_room_for_a_download(served, tmp_path, monkeypatch):
    monkeypatch.setattr(download.shutil, "disk_usage", lambda _: type("usage", (), {"free": 19}))
    with pytest.raises(UserError, match="0.0 GB are needed at .*, 0.0 GB are free"):
        found()
    assert not served


@pytest.mark.parametrize("path", ["nowhere.tar.gz", "nowhere/inside"])
def test_a_path_that_is_not_there_is_refused(tmp_path, path):
    with pytest.raises(
        UserError,
        match=rf"^conf/dataset/ten\.yaml: data\.path: .*{re.escape(path)}: no such file or folder; as an exp",
    ):
        found(tmp_path / path)


def test_a_data_root_that_is_not_there_is_refused(monkeypatch, tmp_path):
    monkeypatch.setenv("TRANSGAN_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(UserError, match=r"^TRANSGAN_DATA=.*nowhere: no such folder"):
        found()


def test_own_images_may_lie_in_the_data_root(monkeypatch, tmp_path):
    monkeypatch.setenv("TRANSGAN_DATA", str(tmp_path))
    with pytest.raises(UserError, match=rf"put them at {tmp_path}/mine \(a folder\) or mine\.zip"):
        locate("mine", config())
    write_zip(tmp_path / "mine.zip", {"a.png": encoded(pixels())})
    assert locate("mine", config()) == (tmp_path / "mine.zip", "none: there is no official file")
    (tmp_path / "mine").mkdir()
    assert locate("mine", config())[0] == tmp_path / "mine"


def test_every_entry_names_a_checksum_and_who_published_it():
    for source, official_file in OFFICIAL.items():
        algorithm, digest = official_file.checksum.split()
        assert (
            len(digest) == {"md5": 32, "sha256": 64}[algorithm] and official_file.published and official_file.size > 1e8
        ), source
        assert str(official_file) == f"{official_file.file} ({official_file.size:,} bytes, {official_file.checksum})"
    assert download.ROOT == "TRANSGAN_DATA"


@pytest.mark.parametrize(
    ("path", "override"),
    [
        ("/photos/a.zip", "-S conf/dataset/folder.yaml:data.path=/photos/a.zip"),
        ("/my photos/a", """-S 'conf/dataset/folder.yaml:data.path="/my photos/a"'"""),
        ("/fünf", """-S 'conf/dataset/folder.yaml:data.path="/fünf"'"""),
        ("/a=b,c", """-S 'conf/dataset/folder.yaml:data.path="/a=b,c"'"""),
        ("/it's", """-S 'conf/dataset/folder.yaml:data.path="/it'"'"'s"'"""),
    ],
)
def test_a_path_is_shown_as_hydra_and_the_shell_take_it(path, override):
    assert as_override("conf/dataset/folder.yaml:data.path", path) == override
    (argument,) = shlex.split(override)[1:]
    parsed = OverridesParser.create().parse_override(argument.partition(":")[2])
    assert parsed.value() == path


def test_a_copy_of_another_origin_is_taken_for_datasets_of_plain_images(tmp_path):
    """CelebA of Kaggle: another archive, its images in a folder of a folder; known by their number."""
    path = write_zip(tmp_path / "kaggle.zip", {"img_align_celeba/img_align_celeba/000001.png": encoded(pixels())})
    for given in (path, path / "img_align_celeba", path / "img_align_celeba/img_align_celeba"):
        found, checked = locate("celeba64", config("celeba", path=str(given)))
        assert found == given and checked.startswith("none: a local copy")
        with pytest.raises(UserError, match="holds 1 images, the dataset has 202,599"):
            prepare(config("celeba", path=str(given)), "celeba64", tmp_path / "out")
    with pytest.raises(UserError, match=r"kaggle\.zip/train: no such file|holds no folder 'train'; it has img_align"):
        prepare(config("celeba", path=str(path / "train")), "celeba64", tmp_path / "out")
