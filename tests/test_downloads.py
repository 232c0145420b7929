"""Downloads, from a server on the loopback address, and what is done with bad ones."""

import contextlib
import errno
import gzip
import hashlib
import http.server
import io
import os
import shutil
import stat
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT
from typer.testing import CliRunner

from labkit import cli, data, downloads

pytestmark = pytest.mark.engine

SHARED = ROOT.parent / "shared" / "data"


class Server:
    """Serves what stands in `files`, and counts what is asked for."""

    def __init__(self):
        outer = self
        self.files, self.asked, self.failing, self.slow = {}, [], 0, 0.0
        self.headers = {}

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                outer.asked.append(self.path)
                time.sleep(outer.slow)
                content = outer.files.get(self.path.strip("/"))
                if outer.failing:
                    outer.failing -= 1
                    content = None
                self.send_response(200 if content is not None else 503)
                self.send_header("Content-Length", str(len(content or b"")))
                for name, value in outer.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                with contextlib.suppress(ConnectionError):  # the client has had enough
                    self.wfile.write(content or b"")

            def log_message(self, *arguments):
                pass

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.http.serve_forever)
        self.thread.start()

    def url(self, name):
        return f"http://127.0.0.1:{self.http.server_port}/{name}"

    def dataset(self, name, files):
        """Serve `files`, name to bytes, as a dataset."""
        self.files |= files
        described = tuple(
            downloads.File(n, self.url(n), hashlib.sha256(c).hexdigest(), len(c))
            for n, c in files.items()
        )
        return downloads.Dataset(name, described)


@pytest.fixture
def server(tmp_path, monkeypatch):
    monkeypatch.setenv("LABKIT_DATA", str(tmp_path / "cache"))
    monkeypatch.setattr(downloads.platformdirs, "user_cache_dir", lambda _: str(tmp_path / "own"))
    monkeypatch.setattr("time.sleep", lambda seconds, sleep=time.sleep: sleep(seconds / 50))
    served = Server()
    yield served
    served.http.shutdown()
    served.thread.join()
    served.http.server_close()


def left(folder):
    return sorted(p.name for p in folder.iterdir() if not p.name.endswith(".lock"))


def look_before(monkeypatch, owner, name, look):
    """Call `look` with a function's arguments before each of its calls."""
    real = getattr(owner, name)

    def call(*arguments, **options):
        look(*arguments)
        return real(*arguments, **options)

    monkeypatch.setattr(owner, name, call)


def test_a_file_is_loaded_once_and_may_be_read_by_all(server):
    dataset = server.dataset("poem", {"poem.txt": b"To be, or not to be"})
    for _ in range(2):
        assert downloads.read(dataset) == [b"To be, or not to be"]
    assert len(server.asked) == 1
    assert downloads.folder().joinpath("poem.txt").stat().st_mode & 0o777 == 0o644


def test_a_failing_server_is_tried_again(server):
    dataset = server.dataset("poem", {"poem.txt": b"again"})
    server.failing = downloads.RETRIES
    assert downloads.read(dataset) == [b"again"]
    assert len(server.asked) == downloads.RETRIES + 1


def test_other_bytes_are_refused_and_removed(server):
    dataset = server.dataset("poem", {"poem.txt": b"right"})
    server.files["poem.txt"] = b"wrong"
    with pytest.raises(downloads.DownloadError, match=r"poem\.txt could not be loaded from http"):
        downloads.read(dataset)
    assert left(downloads.folder()) == []
    assert len(server.asked) == 1  # they would be wrong again


@pytest.mark.parametrize("squeezed", [False, True])
def test_a_download_that_does_not_end_is_cut_off(server, monkeypatch, squeezed):
    """The server sends a thousand times as much as is expected, bare or compressed on the way."""
    dataset = server.dataset("big", {"big.txt": b"x" * 1000})
    content = b"x" * 10_000_000
    server.files["big.txt"] = gzip.compress(content) if squeezed else content
    server.headers = {"Content-Encoding": "gzip"} if squeezed else {}
    took = []
    write = downloads._Bounded.write

    def counted(self, chunk):
        write(self, chunk)
        took.append(len(chunk))

    monkeypatch.setattr(downloads._Bounded, "write", counted)
    with pytest.raises(downloads.DownloadError, match="it sends more than the 1,000 bytes"):
        downloads.read(dataset)
    assert sum(took) <= 1000
    assert server.asked == ["/big.txt"]  # it would send as much again
    assert not [p for p in downloads.folder().rglob("*") if p.name.startswith("big.txt")]


def test_a_full_disk_is_named(server, monkeypatch):
    import pooch

    def full(*arguments, **options):
        raise OSError(errno.ENOSPC, "No space left on device")

    dataset = server.dataset("poem", {"poem.txt": b"right"})
    monkeypatch.setattr(pooch.HTTPDownloader, "__call__", full)
    with pytest.raises(downloads.DownloadError, match=r"disk of .*cache is full.*LABKIT_DATA") as e:
        downloads.read(dataset)
    assert "by hand" not in str(e.value)


def test_a_file_may_be_read_by_all_as_soon_as_it_is_there(server, monkeypatch):
    dataset = server.dataset("poem", {"poem.txt": b"right"})
    appeared = []

    def look(source, target):
        if Path(target) == downloads.folder() / "poem.txt":
            appeared.append(stat.S_IMODE(os.stat(source).st_mode))

    look_before(monkeypatch, os, "rename", look)
    look_before(monkeypatch, os, "replace", look)
    downloads.read(dataset)
    assert appeared == [0o644]


def test_what_a_killed_download_has_left_is_removed(server):
    dataset = server.dataset("poem", {"poem.txt": b"right"})
    server.slow = 50.0  # the test's clock runs fifty times faster
    code = f"from labkit.downloads import *; read({dataset!r})"
    process = subprocess.Popen([sys.executable, "-c", code])
    while not server.asked:
        assert process.poll() is None
        time.sleep(0.5)
    process.kill()
    process.wait()
    assert [name[:10] for name in left(downloads.folder())] == [".poem.txt."]
    server.slow = 0.0
    assert downloads.read(dataset) == [b"right"]
    assert left(downloads.folder()) == ["poem.txt"]


def test_a_damaged_file_in_the_cache_is_loaded_again(server):
    dataset = server.dataset("poem", {"poem.txt": b"right"})
    downloads.folder().mkdir()
    (downloads.folder() / "poem.txt").write_bytes(b"wrong")
    assert downloads.read(dataset) == [b"right"]


def test_without_a_network_the_message_says_what_to_do(server):
    dataset = server.dataset("poem", {"poem.txt": b"right"})
    server.http.shutdown()
    server.http.server_close()
    with pytest.raises(downloads.DownloadError) as caught:
        downloads.read(dataset)
    message = str(caught.value)
    assert server.url("poem.txt") in message
    assert f"into {downloads.folder()} under the name poem.txt" in message
    assert "No chapter needs poem" in message
    # Put there by hand, it is taken.
    (downloads.folder() / "poem.txt").write_bytes(b"right")
    assert downloads.read(dataset) == [b"right"]


def test_thirty_processes_load_a_file_once(server):
    dataset = server.dataset("poem", {"poem.txt": b"right" * 1000})
    server.slow = 5.0  # the test's clock runs fifty times faster: 0.1 s
    code = (
        f"from labkit import downloads; from labkit.downloads import Dataset, File; "
        f"print(len(downloads.read({dataset!r})[0]))"
    )
    environment = {**os.environ, "LABKIT_DATA": str(downloads.folder())}
    started = [
        subprocess.Popen(
            [sys.executable, "-c", code],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
        )
        for _ in range(30)
    ]
    for process in started:
        out, err = process.communicate(timeout=300)
        assert process.returncode == 0, err.decode()
        assert out.split() == [b"5000"]
    assert server.asked == ["/poem.txt"]


# --- several users -------------------------------------------------------------------------


def test_a_shared_folder_that_cannot_be_written_gives_way(server, monkeypatch, tmp_path):
    dataset = server.dataset("poem", {"poem.txt": b"right"})
    monkeypatch.delenv("LABKIT_DATA")
    monkeypatch.setattr(downloads, "SHARED", tmp_path / "shared")
    assert downloads.folder() == tmp_path / "shared"
    assert stat.S_IMODE((tmp_path / "shared").stat().st_mode) == 0o1777
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert downloads.folder() == tmp_path / "own"
    # What an administrator has put there is used all the same.
    (tmp_path / "shared" / "poem.txt").write_bytes(b"right")
    assert downloads.there(dataset.files[0])
    assert downloads.read(dataset) == [b"right"]
    assert not server.asked


@pytest.mark.parametrize("links", [True, False])
def test_a_lock_may_be_taken_by_all_as_soon_as_it_is_there(tmp_path, monkeypatch, links):
    fcntl = pytest.importorskip("fcntl")
    lock = tmp_path / ".poem.txt.lock"
    seen = []

    def look(*_):
        if lock.exists():
            seen.append(stat.S_IMODE(lock.stat().st_mode))

    look_before(monkeypatch, os, "fchmod", look)
    look_before(monkeypatch, fcntl, "flock", look)
    if not links:  # some file systems have none: there it is a moment later

        def fail(*_):
            raise OSError(errno.EPERM, "Operation not permitted")

        look_before(monkeypatch, os, "link", fail)
    umask = os.umask(0o077)
    try:
        with downloads._lock(tmp_path / "poem.txt"):
            assert left(tmp_path) == []
    finally:
        os.umask(umask)
    assert seen[-1] == 0o666
    assert set(seen) == {0o666} or not links


def test_fetch_goes_on_after_a_file_that_cannot_be_read(server, monkeypatch, tmp_path):
    closed = server.dataset("closed", {"closed.bin": b"c"})
    good = server.dataset("good", {"good.bin": b"g"})
    monkeypatch.setattr(downloads, "KNOWN", {"closed": closed, "good": good})
    downloads.folder().mkdir()
    file = downloads.folder() / "closed.bin"
    file.write_bytes(b"c")

    def deny(path, *_):
        if path == file:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))

    look_before(monkeypatch, Path, "open", deny)
    look_before(monkeypatch, Path, "unlink", deny)
    with pytest.warns(UserWarning, match=r"closed\.bin cannot be used, and .*own.* chmod a\+r"):
        result = CliRunner().invoke(cli.app, ["fetch"])
    assert result.exit_code == 0, result.output
    assert f"closed: closed.bin, 0.0 MiB, loaded in {tmp_path / 'own'}\n" in result.output
    assert "good: good.bin, 0.0 MiB, loaded\n" in result.output


def start_as(user, code, folder):
    """Start a Python that becomes another user when all is imported: root's may lie in his home."""
    head = f"""
import encodings.idna, os, filelock, pooch, requests, tqdm
from labkit import downloads
from labkit.downloads import Dataset, File
os.setgroups([])
os.setgid({user})
os.setuid({user})
"""
    environment = {
        **os.environ,
        "LABKIT_DATA": str(folder / "shared"),
        "XDG_CACHE_HOME": str(folder / str(user)),
    }
    return subprocess.Popen(
        [sys.executable, "-c", head + code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
        text=True,
    )


@pytest.fixture
def machine():
    """A folder as /var/tmp/labkit is, and homes of two users; pytest's own is closed to them."""
    if not hasattr(os, "geteuid") or os.geteuid():
        pytest.skip("only root may become other users")
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    folder.chmod(0o755)
    (folder / "shared").mkdir()
    (folder / "shared").chmod(0o1777)
    for user in (65534, 12345):
        (folder / str(user)).mkdir()
        os.chown(folder / str(user), user, user)
    yield folder
    shutil.rmtree(folder)


def test_users_wait_for_each_other(server, machine):
    dataset = server.dataset("poem", {"poem.txt": b"right"})
    server.slow = 5.0
    code = f"print(downloads.read({dataset!r}))"
    started = [start_as(user, code, machine) for user in (65534, 12345) * 4]
    for process in started:
        out, err = process.communicate(timeout=300)
        assert out == "[b'right']\n", err
    assert server.asked == ["/poem.txt"]
    assert left(machine / "shared") == ["poem.txt"]


@pytest.mark.parametrize(("content", "mode"), [(b"right", 0o600), (b"wrong", 0o644)])
def test_a_file_in_the_way_gives_way_to_a_cache_of_ones_own(server, machine, content, mode):
    dataset = server.dataset("poem", {"poem.txt": b"right"})
    file = machine / "shared" / "poem.txt"
    file.write_bytes(content)
    file.chmod(mode)
    for _ in range(2):
        process = start_as(12345, f"print(downloads.read({dataset!r}))", machine)
        out, err = process.communicate(timeout=300)
        assert out == "[b'right']\n", err
        assert f"{file} cannot be used, and {machine}/12345/labkit/poem.txt is used" in err
        assert f"chmod a+r {file}" in err
    assert server.asked == ["/poem.txt"]
    assert file.read_bytes() == content
    # Without a place of their own, the mend is told.
    (machine / "65534").chmod(0o700)
    os.chown(machine / "65534", 0, 0)
    _, err = start_as(65534, f"downloads.read({dataset!r})", machine).communicate(timeout=300)
    assert "DownloadError: poem.txt could not be loaded" in err
    assert "Set LABKIT_DATA to a folder where you may read and write." in err


def test_fetch_loads_all_and_says_sizes(server, monkeypatch):
    good = server.dataset("good", {"good.bin": b"g" * 2**20})
    bad = server.dataset("bad", {"bad.bin": b"b"})
    server.files["bad.bin"] = b"not b"
    monkeypatch.setattr(downloads, "KNOWN", {"bad": bad, "good": good})
    result = CliRunner().invoke(cli.app, ["fetch"])
    assert result.exit_code == 1
    assert "good: good.bin, 1.0 MiB, loaded" in result.output
    assert "No chapter needs bad; " in result.output
    assert "good.bin, 1.0 MiB, there" in CliRunner().invoke(cli.app, ["fetch", "good"]).output
    assert CliRunner().invoke(cli.app, ["fetch", "golden"]).exit_code == 2


# --- the formats ---------------------------------------------------------------------------


def tar(members):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def test_cifar10_is_read_as_its_authors_wrote_it(server, monkeypatch):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (60, 3, 32, 32), dtype=np.uint8)
    labels = rng.integers(0, 10, 60, dtype=np.uint8)
    rows = np.concatenate([labels[:, None], pixels.reshape(60, -1)], axis=1)
    names = [f"data_batch_{n}.bin" for n in range(1, 6)] + ["test_batch.bin"]
    inside = {
        f"cifar-10-batches-bin/{name}": part.tobytes()
        for name, part in zip(names, np.split(rows, 6), strict=True)
    }
    inside["cifar-10-batches-bin/batches.meta.txt"] = b"\n".join(b"c%d" % n for n in range(10))
    dataset = server.dataset("cifar10", {"c.tar.gz": tar(inside)})
    monkeypatch.setitem(downloads.KNOWN, "cifar10", dataset)
    found = data.images("cifar10")
    assert found.train_images.shape == (50, 32, 32, 3)
    assert np.array_equal(found.train_images[7] * 255, pixels[7].transpose(1, 2, 0))
    assert np.array_equal(found.test_labels, labels[50:])
    assert found.classes[9] == "c9"
    with pytest.raises(data.DataError, match="has one size"):
        data.images("cifar10", size=16)


def test_fashion_mnist_is_read_as_its_authors_wrote_it(server, monkeypatch):
    def idx(values):
        head = bytes([0, 0, 8, values.ndim]) + np.array(values.shape, ">i4").tobytes()
        return gzip.compress(head + values.tobytes())

    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (9, 28, 28), dtype=np.uint8)
    labels = rng.integers(0, 10, 9, dtype=np.uint8)
    files = {"a": idx(pictures), "b": idx(labels), "c": idx(pictures[:3]), "d": idx(labels[:3])}
    monkeypatch.setitem(downloads.KNOWN, "fashion-mnist", server.dataset("fashion-mnist", files))
    found = data.images("fashion-mnist")
    assert np.array_equal(found.train_images[..., 0] * 255, pictures)
    assert np.array_equal(found.test_labels, labels[:3])
    assert len(found.classes) == 10


@pytest.mark.skipif(not SHARED.is_dir(), reason="the real data are not on this machine")
def test_the_real_tiny_shakespeare(server, monkeypatch):
    known = downloads.KNOWN["tiny-shakespeare"]
    content = (SHARED / "tinyshakespeare.txt").read_bytes()
    served = server.dataset("tiny-shakespeare", {known.files[0].name: content})
    assert served.files[0].sha256 == known.files[0].sha256
    assert served.files[0].size == known.files[0].size
    monkeypatch.setitem(downloads.KNOWN, "tiny-shakespeare", served)
    plays = data.text("tiny-shakespeare")
    assert len(plays) == 1_115_394
    assert plays.startswith("First Citizen:")
