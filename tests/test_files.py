import errno
import os

import pytest

from labkit.files import WriteError, write_whole


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
