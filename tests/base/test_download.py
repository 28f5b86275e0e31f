"""Downloads against a local server: fetched once, the bytes as served, errors of one line."""

import gzip
import hashlib
import http.server
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from pipeline.base import download as module
from pipeline.base.download import PublishedFile, download, search_paths
from pipeline.base.errors import UserError
from pipeline.base.files import expand_home

CONTENT = bytes(range(256)) * 2_000


class Server:
    """What the test sets: the answer, headers to add, and after how many bytes it stops. How often it was asked."""

    content, headers, stop_after, status, asked = CONTENT, {}, None, 200, 0


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    state = Server()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            state.asked += 1
            self.send_response(state.status)
            for name, value in state.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(state.content)))
            self.end_headers()
            with suppress(ConnectionError):  # a client that gave up is part of the tests
                self.wfile.write(state.content[: state.stop_after])

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


def test_an_answer_that_breaks_off_leaves_nothing_and_the_next_call_fetches_the_file(server, tmp_path):
    path = tmp_path / "below/file.tar.gz"
    server.stop_after = 300_000
    with pytest.raises(UserError, match="300000 bytes read"):
        download(published(server.address), path)
    assert not [file for file in path.parent.iterdir() if file.stat().st_size]
    server.stop_after = None
    download(published(server.address), path)
    assert path.read_bytes() == CONTENT and [file.name for file in path.parent.iterdir()] == ["file.tar.gz"]
    assert path.stat().st_mode & 0o777 == 0o644


def test_two_stages_that_need_one_file_fetch_it_once(server, tmp_path):
    path = tmp_path / "file.tar.gz"
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: download(published(server.address), path), range(4)))
    assert path.read_bytes() == CONTENT and server.asked == 1


def test_an_archive_that_the_server_calls_encoded_arrives_as_it_is(server, tmp_path):
    server.content, server.headers = gzip.compress(CONTENT), {"Content-Encoding": "gzip"}
    download(published(server.address, server.content), tmp_path / "file.tar.gz")
    assert (tmp_path / "file.tar.gz").read_bytes() == server.content


def test_a_refusal_of_the_server_is_no_file(server, tmp_path):
    server.status, server.headers = 404, {"Content-Type": "text/html"}
    with pytest.raises(UserError, match=r"\(404 "):
        download(published(server.address), tmp_path / "file.tar.gz")
    assert not [path for path in tmp_path.iterdir() if path.stat().st_size]


def test_no_server_is_said_in_a_few_words(tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    with pytest.raises(UserError, match=r"\(.{0,60}refused\)$"):
        download(published("http://127.0.0.1:9/file.tar.gz"), tmp_path / "file.tar.gz")


def test_a_server_that_falls_silent_is_given_up(server, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "TIMEOUT", 0.2)
    silent = threading.Event()
    monkeypatch.setattr(Server, "headers", property(lambda _: silent.wait(5) and {}))
    with pytest.raises(UserError, match=r"\(timed out\)$"):
        download(published(server.address), tmp_path / "file.tar.gz")
    silent.set()


def test_places_are_the_data_root_then_the_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("TRANSGAN_DATA", raising=False)
    assert search_paths("x") == [tmp_path / "cache/transgan/x"]
    monkeypatch.setenv("TRANSGAN_DATA", str(tmp_path))
    assert search_paths("x") == [tmp_path / "x", tmp_path / "cache/transgan/x"]
    monkeypatch.setenv("TRANSGAN_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(UserError, match=r"^TRANSGAN_DATA=.*nowhere: no such folder"):
        search_paths("x")


def test_a_user_without_a_home_keeps_files_among_the_temporary_ones(monkeypatch, tmp_path):
    def no_home(_):
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr("pathlib.Path.expanduser", no_home)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("TRANSGAN_DATA", raising=False)
    monkeypatch.setattr(module.tempfile, "gettempdir", lambda: str(tmp_path))
    assert search_paths("x") == [tmp_path / f"transgan-{os.getuid()}/x"]
    monkeypatch.setenv("TRANSGAN_DATA", str(tmp_path))
    assert search_paths("x")[0] == tmp_path / "x"
    with pytest.raises(UserError, match="^~/x: the home folder is not known; set HOME"):
        expand_home("~/x")
