"""Downloads against a local server: continued, fetched once, the bytes as served, errors of one line."""

import gzip
import hashlib
import http.server
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from pipeline.base import download as module
from pipeline.base.download import Mismatch, PublishedFile, download, first_existing, places
from pipeline.base.errors import UserError

CONTENT = bytes(range(256)) * 2_000


class Server:
    """What the test sets: the answer, headers to add, whether ranges are served, and after how many bytes it stops."""

    content, headers, ranges, stop_after, status = CONTENT, {}, True, None, 200

    def __init__(self):
        self.ranges_asked = []


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    state = Server()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked = self.headers.get("Range")
            state.ranges_asked.append(asked)
            start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and state.ranges else 0
            self.send_response(206 if start else state.status)
            for name, value in state.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(state.content) - start))
            self.end_headers()
            with suppress(ConnectionError):  # a client that gave up is part of the tests
                self.wfile.write(state.content[start : state.stop_after])

        def log_message(self, *_):
            pass

    serving = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=serving.serve_forever, args=(0.01,), daemon=True).start()
    state.address = f"http://127.0.0.1:{serving.server_address[1]}/file.tar.gz"
    yield state
    serving.shutdown()
    serving.server_close()


def published(address, content=CONTENT):
    return PublishedFile(
        file="file.tar.gz",
        address=address,
        size=len(content),
        checksum=f"sha256 {hashlib.sha256(content).hexdigest()}",
        published="this test",
    )


@pytest.mark.parametrize("ranges", [True, False], ids=["the server continues", "the server starts anew"])
def test_a_download_that_broke_off_is_continued(server, tmp_path, monkeypatch, ranges):
    monkeypatch.setattr(module, "BLOCK", 1 << 14)
    path = tmp_path / "below/file.tar.gz"
    server.stop_after = 300_000
    with pytest.raises(OSError, match="the answer broke off; the same command continues it"):
        download(published(server.address), path)
    assert not path.exists()
    part = (path.parent / ".file.tar.gz.part").stat().st_size
    assert 0 < part <= 300_000
    server.stop_after, server.ranges = None, ranges
    download(published(server.address), path)
    assert path.read_bytes() == CONTENT and server.ranges_asked == [None, f"bytes={part}-"]
    assert [file.name for file in path.parent.iterdir()] == ["file.tar.gz"]
    assert path.stat().st_mode & 0o777 == 0o644


def test_a_part_of_another_file_is_not_continued_twice(server, tmp_path):
    path, part = tmp_path / "file.tar.gz", tmp_path / ".file.tar.gz.part"
    part.write_bytes(b"another file")
    with pytest.raises(Mismatch, match="SHA256 hash"):
        download(published(server.address), path)
    assert not part.exists() and not path.exists()
    download(published(server.address), path)
    assert path.read_bytes() == CONTENT


def test_a_part_that_is_too_long_is_fetched_anew(server, tmp_path):
    path = tmp_path / "file.tar.gz"
    (tmp_path / ".file.tar.gz.part").write_bytes(CONTENT + b"more")
    download(published(server.address), path)
    assert path.read_bytes() == CONTENT and server.ranges_asked == [None]


def test_two_stages_that_need_one_file_fetch_it_once(server, tmp_path):
    path = tmp_path / "file.tar.gz"
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: download(published(server.address), path), range(4)))
    assert path.read_bytes() == CONTENT and len(server.ranges_asked) == 1


def test_an_archive_that_the_server_calls_encoded_arrives_as_it_is(server, tmp_path):
    server.content, server.headers = gzip.compress(CONTENT), {"Content-Encoding": "gzip"}
    download(published(server.address, server.content), tmp_path / "file.tar.gz")
    assert (tmp_path / "file.tar.gz").read_bytes() == server.content


def test_a_refusal_of_the_server_is_no_file(server, tmp_path):
    server.status, server.headers = 404, {"Content-Type": "text/html"}
    with pytest.raises(OSError, match="^404 "):
        download(published(server.address), tmp_path / "file.tar.gz")
    assert not [path for path in tmp_path.iterdir() if path.stat().st_size]


def test_no_server_is_said_in_a_few_words(tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    with pytest.raises(OSError, match="^.{0,60}refused$"):
        download(published("http://127.0.0.1:9/file.tar.gz"), tmp_path / "file.tar.gz")


def test_a_server_that_falls_silent_is_given_up(server, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "TIMEOUT", 0.2)
    silent = threading.Event()
    monkeypatch.setattr(Server, "headers", property(lambda _: silent.wait(5) and {}))
    with pytest.raises(OSError, match=r"no byte came for 0\.2 s"):
        download(published(server.address), tmp_path / "file.tar.gz")
    silent.set()


def test_places_are_the_data_root_then_the_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("TRANSGAN_DATA", raising=False)
    assert places("x") == [tmp_path / "cache/transgan/x"]
    monkeypatch.setenv("TRANSGAN_DATA", str(tmp_path))
    assert places("x") == [tmp_path / "x", tmp_path / "cache/transgan/x"]
    assert first_existing(places("x")) is None
    (tmp_path / "x").touch()
    assert first_existing(places("x")) == tmp_path / "x"
    monkeypatch.setenv("TRANSGAN_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(UserError, match=r"^TRANSGAN_DATA=.*nowhere: no such folder"):
        places("x")
