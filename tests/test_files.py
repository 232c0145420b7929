import errno
import os
import signal

import pytest

from labkit.files import WriteError, write_together, write_whole

pytestmark = pytest.mark.engine


def test_writes_and_says_whether_it_did(tmp_path):
    path = tmp_path / "deep" / "file.txt"
    assert write_whole(path, "one")
    assert not write_whole(path, "one")
    assert write_whole(path, b"two")
    assert path.read_text() == "two"
    assert [p.name for p in path.parent.iterdir()] == ["file.txt"]


@pytest.mark.parametrize("number", [errno.EACCES, errno.ENOSPC])
@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_failure_leaves_the_old_file(tmp_path, monkeypatch, number, call):
    path = tmp_path / "file.txt"
    path.write_text("old")

    def fail(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(WriteError, match=os.strerror(number)) as caught:
        write_whole(path, "new" * 1000)
    assert str(path) in str(caught.value)
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir() if p.is_file()] == ["file.txt"]


def test_a_file_in_the_way_of_a_folder(tmp_path):
    (tmp_path / "a").write_text("")
    with pytest.raises(WriteError, match="Nothing was changed"):
        write_whole(tmp_path / "a" / "b", "x")


def test_what_belongs_together_is_written_together(tmp_path):
    one, two = tmp_path / "one", tmp_path / "deep" / "two"
    assert write_together({one: "1", two: "2"}) == [one, two]
    assert write_together({one: "1", two: "3"}) == [two]
    assert (one.read_text(), two.read_text()) == ("1", "3")


def test_of_what_belongs_together_all_or_none_is_written(tmp_path):
    """In the place of the second stands a folder."""
    one, two, new = tmp_path / "one", tmp_path / "two", tmp_path / "new"
    one.write_text("old")
    two.mkdir()
    with pytest.raises(WriteError, match=r"two: cannot be written .*Nothing was changed"):
        write_together({one: "1", new: "0", two: "2"})
    assert one.read_text() == "old"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["one", "two"]


def test_a_name_that_cannot_be_taken_gives_the_others_back(tmp_path, monkeypatch):
    one, new, two = tmp_path / "one", tmp_path / "new", tmp_path / "two"
    one.write_text("old")
    real = os.replace

    def fail(source, target):
        if target == two:
            raise OSError(errno.EACCES, os.strerror(errno.EACCES))
        real(source, target)

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(WriteError, match="two: cannot be written"):
        write_together({one: "1", new: "0", two: "2"})
    assert one.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["one"]


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_waits_until_all_is_written(tmp_path, monkeypatch, kind):
    one, two = tmp_path / "one", tmp_path / "two"
    real = os.replace

    def interrupted(source, target):
        real(source, target)
        os.kill(os.getpid(), kind)

    def handler(*_):
        raise KeyboardInterrupt

    old = signal.signal(kind, handler)
    monkeypatch.setattr(os, "replace", interrupted)
    try:
        with pytest.raises(KeyboardInterrupt):
            write_together({one: "1", two: "2"})
        assert signal.getsignal(kind) is handler
    finally:
        signal.signal(kind, old)
    assert (one.read_text(), two.read_text()) == ("1", "2")
