import bz2
import gzip
import io
import lzma
import shutil
import tarfile
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT
from PIL import Image

from labkit import data
from labkit.data import DataError

pytestmark = pytest.mark.engine

# CIFAR-10's pictures made JPEG files again: never to be mixed with the original, hence their name.
REAL = ROOT.parent / "shared" / "data" / "cifar10-images.tar.xz"


@pytest.fixture
def folder(tmp_path):
    """Two classes of small grey pictures."""
    rng = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for number in range(5):
            grey = rng.integers(0, 256, (9, 9), dtype=np.uint8)
            Image.fromarray(grey).save(tmp_path / name / f"{number}.png")
    return tmp_path


def test_digits():
    digits = data.images("digits")
    assert digits.train_images.shape == (1440, 8, 8, 1)
    assert digits.test_images.shape == (357, 8, 8, 1)
    assert digits.train_images.dtype == np.float64
    assert digits.train_images.flags.c_contiguous
    assert (digits.train_images.min(), digits.train_images.max()) == (0, 1)
    assert set(digits.test_labels) == set(range(10)) == {int(c) for c in digits.classes}
    again = data.images("digits")
    assert np.array_equal(digits.train_images, again.train_images)
    other = data.images("digits", seed=1)
    assert not np.array_equal(digits.train_labels, other.train_labels)


def test_no_picture_is_in_both_parts():
    digits = data.images("digits")
    seen = {p.tobytes() for p in digits.train_images}
    # 1797 scans of pen strokes: not two are alike.
    assert not any(p.tobytes() in seen for p in digits.test_images)


def test_a_folder(folder):
    pets = data.images(folder)
    assert pets.classes == ("cat", "dog")
    assert pets.train_images.shape == (8, 9, 9, 1)
    assert pets.test_images.shape == (2, 9, 9, 1)
    assert 0 <= pets.train_images.min() < pets.train_images.max() <= 1


def test_a_folder_keeps_pictures_with_their_labels(folder):
    white = Image.new("L", (9, 9), 255)
    black = Image.new("L", (9, 9), 0)
    for number in range(5):
        white.save(folder / "cat" / f"{number}.png")
        black.save(folder / "dog" / f"{number}.png")
    pets = data.images(folder)
    assert np.array_equal(pets.train_images.mean(axis=(1, 2, 3)) < 0.5, pets.train_labels == 1)


def test_a_folder_scaled_and_in_colour(folder):
    pets = data.images(folder, size=6, channels=3)
    assert pets.train_images.shape == (8, 6, 6, 3)


def test_pictures_of_other_sizes_need_a_size(folder):
    Image.new("L", (5, 5)).save(folder / "dog" / "small.png")
    with pytest.raises(DataError, match=r"dog/small\.png has shape .*pass size="):
        data.images(folder)
    assert data.images(folder, size=8).train_images.shape[1:] == (8, 8, 1)


def test_pictures_that_are_not_square_stay_as_they_are(tmp_path):
    for name in ("train/cat", "train/dog", "test/cat", "test/dog"):
        (tmp_path / name).mkdir(parents=True)
        Image.new("L", (14, 12)).save(tmp_path / name / "0.png")
    pets = data.images(tmp_path)
    assert pets.train_images.shape == pets.test_images.shape == (2, 12, 14, 1)
    # Test pictures of another size are not scaled unasked either.
    for name in ("cat", "dog"):
        Image.new("L", (12, 12)).save(tmp_path / "test" / name / "0.png")
    with pytest.raises(DataError, match=r"test/cat/0\.png has shape \(12, 12, 1\).*pass size="):
        data.images(tmp_path)
    assert data.images(tmp_path, size=8).test_images.shape == (2, 8, 8, 1)


@pytest.mark.parametrize("name", ["5.tif", "5.TIFF", "5.heic"])
def test_pictures_of_kinds_that_are_not_read_are_named(folder, name):
    for other in ("Thumbs.db", ".DS_Store", "notes.txt", "._5.tif"):
        (folder / "dog" / other).write_bytes(b"no picture")
    assert len(data.images(folder).train_images) == 8
    (folder / "dog" / name).write_bytes(b"a picture")
    with pytest.raises(DataError, match=rf"dog/{name} is a picture .* PNG or JPEG"):
        data.images(folder)


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", "is empty"), (b"no picture", "cannot be read"), (b"\x89PNG\r\n\x1a\n12", "cannot be")],
)
def test_bad_pictures_are_named(folder, content, reason):
    (folder / "cat" / "bad.png").write_bytes(content)
    with pytest.raises(DataError, match=rf"cat/bad\.png {reason}"):
        data.images(folder)


def test_a_truncated_picture(folder):
    path = folder / "cat" / "0.png"
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(DataError, match=r"cat/0\.png cannot be read"):
        data.images(folder)


def test_one_class_is_too_few(tmp_path):
    (tmp_path / "cat").mkdir()
    with pytest.raises(DataError, match=r"at least two sub-folders.*only 'cat'"):
        data.images(tmp_path)


def test_a_class_without_pictures(folder):
    (folder / "eel").mkdir()
    with pytest.raises(DataError, match="eel holds no picture"):
        data.images(folder)


def test_an_unknown_name():
    with pytest.raises(
        DataError,
        match=r"'digit' is neither a dataset .known: digits, cifar10, fashion-mnist. nor a",
    ):
        data.images("digit")


def test_digits_have_one_size():
    with pytest.raises(DataError, match="8×8"):
        data.images("digits", size=28)


def test_python_docs():
    text = data.text("python-docs")
    assert len(text) > 400_000
    assert "iterator" in text


def test_text_files(tmp_path):
    file = tmp_path / "poem.txt"
    file.write_text("Größe")
    assert data.text(file) == "Größe"
    file.write_bytes("Größe".encode("latin-1"))
    with pytest.raises(DataError, match="byte 2 is not UTF-8"):
        data.text(file)
    mark = b"\xef\xbb\xbf"
    file.write_bytes(mark + "Größe".encode("latin-1"))
    with pytest.raises(DataError, match="byte 5 is not UTF-8"):
        data.text(file)
    file.write_bytes(mark + "Größe".encode())
    assert data.text(file) == "Größe"
    file.write_text(" \n")
    with pytest.raises(DataError, match="is empty"):
        data.text(file)
    with pytest.raises(DataError, match="neither a text"):
        data.text(tmp_path / "none.txt")


def test_sixteen_bits_are_scaled(folder):
    deep = np.array([[0, 32768, 65535]] * 3, np.uint16)
    for name in ("cat", "dog"):
        for file in (folder / name).iterdir():
            file.unlink()
        for number in range(2):
            Image.fromarray(deep).save(folder / name / f"{number}.png")
    pets = data.images(folder)
    assert pets.train_images[0, 0, :, 0] == pytest.approx([0, 0.5, 1], abs=0.01)


def test_what_is_transparent_is_white(folder):
    for name in ("cat", "dog"):
        for file in (folder / name).iterdir():
            file.unlink()
        for number in range(2):
            Image.new("RGBA", (3, 3), (255, 0, 0, 0)).save(folder / name / f"{number}.png")
    assert data.images(folder).train_images.min() == 1


def test_the_first_picture_decides_on_colour(folder):
    Image.new("RGB", (9, 9), "red").save(folder / "dog" / "9.png")
    assert data.images(folder).train_images.shape[-1] == 1


def test_hidden_files_are_passed_over_and_dangling_links_named(folder):
    (folder / "cat" / "._0.png").write_bytes(b"junk")
    data.images(folder)
    (folder / "cat" / "gone.png").symlink_to(folder / "nothing")
    with pytest.raises(DataError, match=r"cat/gone\.png cannot be read"):
        data.images(folder)


def test_senseless_sizes(folder):
    with pytest.raises(DataError, match="size is 0"):
        data.images(folder, size=0)
    with pytest.raises(DataError, match="channels 2"):
        data.images(folder, channels=2)


# --- archives and given splits -------------------------------------------------------------


def packed(folder, file, kind):

    return shutil.make_archive(str(file), kind, folder)


COMPRESS = {"tar": bytes, "gztar": gzip.compress, "bztar": bz2.compress, "xztar": lzma.compress}
DAMAGED = r"pets[.a-z0-9]* is cut off or damaged"


@pytest.mark.parametrize("kind", ["zip", *COMPRESS])
def test_an_archive_is_read_as_the_folder_it_was_made_of(folder, tmp_path_factory, kind):
    file = packed(folder, tmp_path_factory.mktemp("packed") / "pets", kind)
    unpacked, archived = data.images(folder), data.images(file)
    assert archived.name == "pets"
    assert archived.classes == unpacked.classes
    assert np.array_equal(archived.train_images, unpacked.train_images)
    assert np.array_equal(archived.test_labels, unpacked.test_labels)


def test_one_folder_and_a_readme_are_packed(folder, tmp_path_factory):
    outer = tmp_path_factory.mktemp("outer")
    shutil.copytree(folder, outer / "pets")
    (outer / "README.txt").write_text("Our pets.")
    file = packed(outer, tmp_path_factory.mktemp("packed") / "pets", "zip")
    assert data.images(file).classes == ("cat", "dog")
    # The temporary folder is gone when the message is read, so it is not named.
    shutil.rmtree(outer / "pets" / "dog")
    file = packed(outer, tmp_path_factory.mktemp("packed") / "pets", "zip")
    with pytest.raises(DataError, match=r"in .*pets\.zip: pets needs .* it has only 'cat'"):
        data.images(file)
    shutil.rmtree(outer / "pets")
    file = packed(outer, tmp_path_factory.mktemp("packed") / "pets", "zip")
    with pytest.raises(DataError, match=r"in .*pets\.zip: the archive needs .* it has none"):
        data.images(file)


def archive(file, kind, members):
    """Pack `members`: pairs of a name and contents, or of a name and a special file's kind."""
    if kind == "zip":
        with zipfile.ZipFile(file, "w") as made:
            for name, content in members:
                made.writestr(name, content)
        return
    with tarfile.open(file, "w") as made:
        for name, content in members:
            info = tarfile.TarInfo(name)
            if isinstance(content, bytes):
                info.size = len(content)
                made.addfile(info, io.BytesIO(content))
            else:
                info.type, info.linkname = content
                made.addfile(info)


@pytest.mark.parametrize("kind", ["zip", "tar"])
@pytest.mark.parametrize("name", ["../evil.png", "{root}/evil.png", "a/../../evil.png"])
def test_what_climbs_out_of_an_archive_is_refused(tmp_path, monkeypatch, kind, name):
    file = tmp_path / f"evil.{kind}"
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # where one climbs out to
    archive(file, kind, [(name.format(root=tmp_path), b"evil")])
    with pytest.raises(DataError, match=rf"evil\.{kind}: '.*evil\.png' would be written outside"):
        data.images(file)
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize(
    "content",
    [
        (tarfile.SYMTYPE, "../../outside.png"),
        (tarfile.SYMTYPE, "/etc/passwd"),
        (tarfile.LNKTYPE, "../outside.png"),
        (tarfile.FIFOTYPE, ""),
    ],
)
def test_links_to_outside_and_pipes_are_refused(tmp_path, monkeypatch, content):
    file = tmp_path / "evil.tar"
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    archive(file, "tar", [("cat/0.png", content)])
    with pytest.raises(DataError, match=r"evil\.tar: 'cat/0\.png' is a link .*not unpacked") as e:
        data.images(file)
    assert "labkit-" not in str(e.value)
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("kind", ["zip", "tar"])
@pytest.mark.parametrize(
    ("names", "reason"),
    [
        (["cat", "cat/0.png"], r"(Not a directory|File exists): cat"),
        (["cat/" + "0" * 300], "File name too long: cat/000"),
    ],
)
def test_what_the_system_refuses_to_unpack_is_named(tmp_path, kind, names, reason):
    file = tmp_path / f"pets.{kind}"
    archive(file, kind, [(name, b"pet") for name in names])
    with pytest.raises(DataError, match=rf"pets\.{kind} cannot be unpacked here \({reason}"):
        data.images(file)


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [(6, 1, r"\d\.png.* is encrypted"), (8, 9, "compression method is not supported")],
)
def test_passwords_and_strange_compressions_are_named(
    folder, tmp_path_factory, field, value, reason
):
    file = Path(packed(folder, tmp_path_factory.mktemp("packed") / "pets", "zip"))
    content = bytearray(file.read_bytes())
    # The fields stand in a file's own header and, two bytes later, in the archive's list.
    for header, offset in ((b"PK\3\4", field), (b"PK\1\2", field + 2)):
        at = content.find(header)
        while at >= 0:
            content[at + offset] = value
            at = content.find(header, at + 1)
    file.write_bytes(content)
    with pytest.raises(DataError, match=rf"pets\.zip cannot be unpacked .*{reason}.*pack it again"):
        data.images(file)


@pytest.mark.parametrize("kind", ["zip", *COMPRESS])
def test_an_archive_cut_off_anywhere_is_refused(folder, tmp_path_factory, kind):
    file = Path(packed(folder, tmp_path_factory.mktemp("packed") / "pets", kind))
    content = file.read_bytes()
    end = len(content)
    if kind == "tar":  # the padding behind the archive's end may be missing
        with tarfile.open(file) as tar:
            end = -(-len(content.rstrip(b"\0")) // 512) * 512 + 1024
            assert tar.getmembers()[-1].offset_data < end - 1024
        file.write_bytes(content[:end])
        data.images(file)
    for cut in [*range(0, end, 512), end - 1]:
        file.write_bytes(content[:cut])
        with pytest.raises(DataError, match=DAMAGED):
            data.images(file)


@pytest.mark.parametrize("kind", COMPRESS)
def test_a_damaged_header_is_not_taken_for_the_end(folder, tmp_path_factory, kind):
    file = Path(packed(folder, tmp_path_factory.mktemp("packed") / "pets", "tar"))
    with tarfile.open(file) as tar:
        headers = [member.offset for member in tar]
    content = file.read_bytes()
    assert len(headers) > 10
    for header in headers:
        for place in (0, 105, 130):  # in the name, the mode, the size
            damaged = bytearray(content)
            damaged[header + place] ^= 4
            file.write_bytes(COMPRESS[kind](damaged))
            with pytest.raises(DataError, match=DAMAGED):
                data.images(file)


@pytest.mark.parametrize("kind", ["zip", *COMPRESS])
@pytest.mark.parametrize("content", [b"\0" * 2**22, b""])
def test_an_archive_that_unpacks_to_more_than_it_may_is_not_unpacked(
    folder, tmp_path, monkeypatch, kind, content
):
    """One large file of zeros, or many empty ones, each of which takes a block of the disk."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    for number in range(1 if content else 1000):
        (folder / "cat" / f"{number}.txt").write_bytes(content)
    file = packed(folder, tmp_path / "pets", kind)
    bound = 2**21 / 2**30
    written = []
    monkeypatch.setattr(data, "_folder", lambda *_: written.append(1))
    with pytest.raises(DataError, match=r"pets.* unpacks to more than .* pass unpacked_gib=1 or"):
        data.images(file, unpacked_gib=bound)
    assert not written
    assert not list(scratch.iterdir())
    data.images(file)
    assert written


def test_the_bound_counts_what_is_written(folder, tmp_path, monkeypatch):
    """Nothing of a zip is written before the sum is known; of a tar, no member too many."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (folder / "cat" / "big.txt").write_bytes(b"\0" * 2**22)
    sizes = []

    def measure(path, *arguments, **options):
        sizes.append(sum(f.stat().st_size for f in Path(path).rglob("*") if f.is_file()))

    for kind in ("zip", "gztar"):
        file = packed(folder, tmp_path / "pets", kind)
        with monkeypatch.context() as patched:
            patched.setattr(tempfile.TemporaryDirectory, "cleanup", lambda self: measure(self.name))
            with pytest.raises(DataError, match="unpacks to more"):
                data.images(file, unpacked_gib=2**21 / 2**30)
    assert sizes[0] == 0
    assert sizes[1] <= 2**21


def test_zeros_behind_an_archives_end_are_bounded(folder, tmp_path):
    file = tmp_path / "pets.tar.gz"
    shutil.make_archive(str(tmp_path / "pets"), "tar", folder)
    file.write_bytes(gzip.compress((tmp_path / "pets.tar").read_bytes() + b"\0" * 2**23))
    with pytest.raises(DataError, match="unpacks to more"):
        data.images(file, unpacked_gib=2**22 / 2**30)
    assert data.images(file).classes == ("cat", "dog")


def test_what_macos_packs_beside_the_pictures_is_left_out(folder, tmp_path_factory):

    target = tmp_path_factory.mktemp("packed")
    file = target / "pets.zip"
    with zipfile.ZipFile(file, "w") as archive:
        for picture in folder.rglob("*.png"):
            inside = f"pets/{picture.relative_to(folder)}"
            archive.write(picture, inside)
            archive.writestr(f"__MACOSX/{inside}", b"notes")
    assert data.images(file).classes == ("cat", "dog")


def test_what_is_wrong_in_an_archive_is_named(folder, tmp_path_factory):
    (folder / "cat" / "0.png").write_bytes(b"no picture")
    file = packed(folder, tmp_path_factory.mktemp("packed") / "pets", "zip")
    with pytest.raises(DataError, match=r"in .*pets.zip: cat/0.png cannot be read"):
        data.images(file)


def test_own_pictures_never_bear_a_datasets_name(folder, tmp_path_factory, monkeypatch):
    """CIFAR-10 made JPEG files again, in a folder `cifar10`, must not pass for the original."""
    place = tmp_path_factory.mktemp("place")
    for name in ("cifar10", "pets"):
        shutil.copytree(folder, place / name)
        packed(folder, place / name, "xztar")
    names = ("cifar10", "cifar10.tar.xz", "pets", "pets.tar.xz")
    named = [data.images(place / name).name for name in names]
    assert named == ["cifar10-own", "cifar10-own", "pets", "pets"]
    monkeypatch.chdir(place / "pets")
    assert data.images(".").name == "pets"


def test_a_folder_with_its_own_test_set(folder, tmp_path_factory):

    split = tmp_path_factory.mktemp("split")
    shutil.copytree(folder, split / "train")
    shutil.copytree(folder, split / "test")
    (split / "test" / "cat" / "0.png").unlink()
    pets = data.images(split)
    assert (len(pets.train_images), len(pets.test_images)) == (10, 9)
    shutil.rmtree(split / "test" / "cat")
    (split / "test" / "cow").mkdir()
    shutil.copy(folder / "cat" / "1.png", split / "test" / "cow")
    with pytest.raises(DataError, match="train has the classes cat, dog, test cow, dog"):
        data.images(split)


# --- decoders ------------------------------------------------------------------------------


def jpegs():
    """JPEG files of several kinds, and real ones where they are on this machine."""

    rng = np.random.default_rng(0)
    smooth = np.kron(rng.integers(0, 256, (6, 6, 3)), np.ones((7, 7, 1))).astype(np.uint8)
    for quality in (30, 75, 95):
        for subsampling in (0, 1, 2):
            buffer = io.BytesIO()
            Image.fromarray(smooth).save(buffer, "JPEG", quality=quality, subsampling=subsampling)
            yield buffer.getvalue()
    if REAL.is_file():
        with tarfile.open(REAL) as tar:
            for _, member in zip(range(300), tar, strict=False):
                if member.name.endswith(".jpg"):
                    yield tar.extractfile(member).read()


def test_both_frameworks_decode_the_same_pixels():
    """PyTorch's users decode by Pillow; TensorFlow has a decoder of its own."""

    import tensorflow as tf

    differing = 0
    for content in jpegs():
        pillow = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))
        exact = tf.io.decode_jpeg(content, channels=3, dct_method="INTEGER_ACCURATE").numpy()
        assert np.array_equal(exact, pillow)
        default = tf.io.decode_jpeg(content, channels=3).numpy()
        differing += not np.array_equal(default, pillow)
    assert differing  # else the option would be superfluous, and this test blind


needs_real = pytest.mark.skipif(
    not REAL.is_file(), reason="the real pictures are not on this machine"
)


@needs_real
def test_some_of_cifar10_as_jpeg(tmp_path):
    pictures = tmp_path / "cifar10-jpeg"
    with tarfile.open(REAL) as tar:
        for number, member in zip(range(2500), tar, strict=False):
            if member.isreg() and number % 10 == 0:
                inside = member.name.removeprefix("test/")
                tar.extract(member.replace(name=inside), pictures, filter="data")
    found = data.images(pictures)
    assert found.name == "cifar10-jpeg"
    assert len(found.train_images) + len(found.test_images) > 200
    assert found.train_images.shape[1:] == (32, 32, 3)
    assert found.classes[:2] == ("airplane", "automobile")
    # Skies are brighter than streets.
    means = found.train_images.mean(axis=(1, 2, 3))
    assert means[found.train_labels == 0].mean() > means[found.train_labels == 1].mean()


@needs_real
@pytest.mark.slow
def test_all_of_cifar10_as_jpeg(tmp_path):
    link = tmp_path / "cifar10-jpeg.tar.xz"
    link.symlink_to(REAL)
    found = data.images(link)
    assert found.name == "cifar10-jpeg"
    assert found.train_images.shape == (50_000, 32, 32, 3)
    assert found.test_images.shape == (10_000, 32, 32, 3)
    assert len(found.classes) == 10
    assert (np.bincount(found.test_labels) == 1000).all()
