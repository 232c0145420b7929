"""Archives of pictures, unpacked with care: nothing outside, nothing more than was allowed."""

import math
import os
import tarfile
import zipfile
from pathlib import Path

from labkit.errors import DataError


class _Room:
    """What may still be unpacked of an archive."""

    def __init__(self, file: Path, gib: float) -> None:
        self.file, self.gib, self.left = file, gib, gib * 2**30

    def take(self, size: int) -> None:
        """Take room for one file, an empty one included, or raise."""
        self.left -= max(size, 2**12)
        if self.left < 0:
            raise DataError(
                f"{self.file} unpacks to more than {self.gib:g} GiB; not unpacked. If you trust "
                f"it, pass unpacked_gib={math.ceil(2 * self.gib)} or more"
            )


def unpack(file: Path, target: Path, gib: float) -> None:
    """Unpack a .zip or .tar, compressed or not, into a folder.

    Parameters
    ----------
    target
        An empty folder, resolved.
    gib
        The most that may be written, in GiB of 2³⁰ bytes.

    Raises
    ------
    DataError
        When it is damaged, cut off, locked, larger than that, or holds what would be written
        outside of `target`.
    """
    room = _Room(file, gib)
    try:
        if zipfile.is_zipfile(file):
            with zipfile.ZipFile(file) as archive:
                # macOS packs its own notes beside the pictures.
                found = [i for i in archive.infolist() if not i.filename.startswith("__MACOSX/")]
                for info in found:
                    _demand_inside(file, info.filename, target)
                    room.take(info.file_size)  # zipfile unpacks no more of it than that
                archive.extractall(target, found)
            return

        def inside(member: tarfile.TarInfo, folder: str) -> tarfile.TarInfo:
            _demand_inside(file, member.name, target)  # "data" would take /x for x
            room.take(member.size)
            return tarfile.data_filter(member, folder)

        with tarfile.open(file) as tar:
            tar.extractall(target, filter=inside)
            _demand_end(tar, room)
    except DataError:
        raise
    except tarfile.FilterError as error:
        raise DataError(
            f"{file}: {error.tarinfo.name!r} is a link that leads outside, or neither file nor "
            f"folder; not unpacked; pack it again without that"
        ) from error
    except RuntimeError as error:  # a password, or a compression that Python does not know
        raise DataError(
            f"{file} cannot be unpacked ({error}); pack it again as .zip, without a password"
        ) from error
    except Exception as error:  # damaged ones raise many kinds
        # With a number it is the system's; gzip and bz2 raise it, too.
        if isinstance(error, OSError) and error.errno:
            reason = ": ".join(str(part) for part in (error.strerror, error.filename) if part)
            raise DataError(
                f"{file} cannot be unpacked here ({without(target, reason)}); unpack it "
                f"yourself, mend that, and give the folder"
            ) from error
        reason = str(error).partition("\n")[0].rstrip(":")
        raise DataError(
            f"{file} is cut off or damaged, or no archive at all ({reason}); load or pack it again"
        ) from error


def _demand_inside(file: Path, name: str, target: Path) -> None:
    if not (target / name).resolve().is_relative_to(target):
        raise DataError(
            f"{file}: {name!r} would be written outside; not unpacked; pack it again without that"
        )


def _demand_end(tar: tarfile.TarFile, room: _Room) -> None:
    """Demand the mark that ends an archive, two blocks of zeros, with only zeros behind it.

    tarfile takes a damaged header for the end, and does without the mark.
    """
    stream, zeros = tar.fileobj, 0
    assert stream is not None
    stream.seek(tar.offset)
    while chunk := stream.read(2**20):
        if chunk.strip(b"\0"):
            raise tarfile.ReadError(f"no header at byte {tar.offset}, nor the archive's end")
        room.take(len(chunk))
        zeros += len(chunk)
    if zeros < 2 * tarfile.BLOCKSIZE:
        raise tarfile.ReadError("the mark at the archive's end is missing")


def without(root: Path, message: str) -> str:
    """Take a folder out of a message: it is gone when the message is read."""
    return message.replace(f"{root}{os.sep}", "").replace(str(root), "the archive")
