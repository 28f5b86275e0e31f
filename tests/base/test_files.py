"""Files are written whole or not at all, and a changed byte is noticed."""

import hashlib
import os
import stat

import pytest

from pipeline.base.errors import UserError
from pipeline.base.files import (
    atomic_write,
    check_sha256,
    expand_home,
    printable,
    read_json,
    sha256,
    write_json,
    write_table,
    write_text,
)


@pytest.fixture
def old(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("old")
    return path


@pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_a_failing_body_leaves_the_old_file_and_nothing_else(old, failure):
    with pytest.raises(failure), atomic_write(old) as temporary:
        temporary.write_text("half of the n")
        raise failure
    assert old.read_text() == "old"
    assert list(old.parent.iterdir()) == [old]


def test_the_error_of_a_full_disk_names_the_file(old):
    with pytest.raises(OSError, match=rf"No space left on device: '{old}'"), atomic_write(old) as temporary:
        temporary.write_text("half of the n")
        with open("/dev/full", "w") as file:
            file.write("ew")
    assert old.read_text() == "old"


def test_a_failing_body_makes_no_new_file(tmp_path):
    with pytest.raises(RuntimeError), atomic_write(tmp_path / "new.npy"):
        raise RuntimeError
    assert not list(tmp_path.iterdir())


def test_the_old_file_stands_until_the_body_is_done(old):
    with atomic_write(old) as temporary:
        temporary.write_text("new")
        assert old.read_text() == "old"
        assert temporary.parent == old.parent and temporary.suffix == ".txt"
    assert old.read_text() == "new"
    assert list(old.parent.iterdir()) == [old]


def test_folders_are_made_and_files_are_readable_by_all(tmp_path):
    write_text(tmp_path / "a" / "b" / "c.txt", "ä\n")
    path = tmp_path / "a" / "b" / "c.txt"
    assert path.read_bytes() == "ä\n".encode()
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_json_goes_through_and_keeps_its_order(tmp_path):
    content = {"z": [1, 2.5, None], "a": {"é": True}, "tiny": 1e-300}
    write_json(tmp_path / "x.json", content)
    assert read_json(tmp_path / "x.json") == content
    assert list(read_json(tmp_path / "x.json")) == ["z", "a", "tiny"]
    assert (tmp_path / "x.json").read_text().endswith("}\n")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_json_refuses_what_is_no_number(old, value):
    with pytest.raises(ValueError):
        write_json(old, {"fd": value})
    assert old.read_text() == "old"


@pytest.mark.parametrize("content", [b'{"a": 1', b"", b"\xff\xfe"], ids=["truncated", "empty", "not text"])
def test_unreadable_json_names_the_file(tmp_path, content):
    (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(UserError) as error:
        read_json(tmp_path / "x.json")
    assert str(error.value).startswith(f"{tmp_path / 'x.json'}: not readable as JSON") and "\n" not in str(error.value)


def test_a_default_stands_for_a_missing_file_and_not_for_a_damaged_one(tmp_path):
    assert read_json(tmp_path / "absent.json", {}) == {}
    (tmp_path / "x.json").write_text("{")
    with pytest.raises(UserError, match="not readable as JSON"):
        read_json(tmp_path / "x.json", {})


def test_missing_files_are_named(tmp_path):
    with pytest.raises(UserError, match=r"absent\.json: no such file"):
        read_json(tmp_path / "absent.json")
    with pytest.raises(UserError, match=r"absent\.npy: no such file"):
        check_sha256(tmp_path / "absent.npy", "0" * 64)


def test_sha256_is_that_of_the_bytes(tmp_path):
    content = bytes(range(256)) * 5000
    (tmp_path / "x").write_bytes(content)
    assert sha256(tmp_path / "x") == hashlib.sha256(content).hexdigest()
    (tmp_path / "empty").touch()
    assert sha256(tmp_path / "empty") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_one_changed_bit_is_noticed(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"\x00" * 1000)
    recorded = sha256(path)
    assert check_sha256(path, recorded) is None
    path.write_bytes(b"\x00" * 999 + b"\x01")
    with pytest.raises(UserError, match=f"sha256 is {sha256(path)}, recorded was {recorded}"):
        check_sha256(path, recorded)


def test_a_path_without_a_tilde_needs_no_home(monkeypatch, tmp_path):
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr("os.path.expanduser", lambda path: path)  # as where the user has no passwd entry
    assert expand_home(tmp_path) == tmp_path
    with pytest.raises(UserError, match="^~/x: the home folder is not known; set HOME, or give the path without ~$"):
        expand_home("~/x")


def test_bytes_that_are_no_utf8_are_printed_as_escapes():
    assert printable("a/ü.png") == "a/ü.png"
    assert printable(os.fsdecode(b"a/\xff.png")) == "a/\\xff.png"


def test_a_table_has_a_column_a_key_and_seven_digits_of_a_float(tmp_path):
    write_table(tmp_path / "history.csv", [{"kimg": 0.5, "step": 2, "loss": 1 / 3}, {"kimg": 1.0, "step": 4, "w": "x"}])
    assert (tmp_path / "history.csv").read_text() == "kimg,step,loss,w\n0.5,2,0.3333333,\n1,4,,x\n"
    write_table(tmp_path / "history.csv", [])
    assert (tmp_path / "history.csv").read_text() == "kimg\n"
