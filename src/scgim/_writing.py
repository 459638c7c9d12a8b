"""Writes that cannot destroy: everything is written beside, and takes its place when it is complete.

Files of one result belong together (a model and its cells, tables and pictures of a fit), so they change together:

1. they are written into a folder ``.scgim-new-...`` inside the folder of the result;
2. that folder is renamed to ``.scgim-ready``: from this step on the new result is the valid one;
3. its files are moved into their places, one by one, and the empty folder is removed.

A full disk, an error or an interruption during 1 leaves what was there. A kill during 3 leaves files of the new result in
``.scgim-ready``; :func:`recover`, which readers and writers call first, moves the rest.
"""

import contextlib
import ctypes
import errno
import os
import secrets
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

NEW = ".scgim-new-"
READY = ".scgim-ready"
WHOLE = (".zarr",)  # folders that are replaced as one, not file by file
FULL = (errno.ENOSPC, errno.EDQUOT)
SLACK = 2**20  # bytes that stay free beside what is written
SWAP = {"linux": ("renameat2", 2), "darwin": ("renameatx_np", 2)}  # RENAME_EXCHANGE and RENAME_SWAP are both 2
AT_FDCWD = {"linux": -100, "darwin": -2}


@contextlib.contextmanager
def together(folder: str | os.PathLike[str], argument: str = "path") -> Iterator[Path]:
    """Write several files that belong together.

    Parameters
    ----------
    folder
        Folder of the result; it is made if it is not there. Files that are not written anew stay in it.
    argument
        What the user calls it.

    Yields
    ------
    A folder to write into. Its files take their places in `folder` when the block ends without an error.
    """
    folder = Path(folder)
    recover(folder)
    with told(argument, folder), _staged(folder) as stage:
        yield stage
        for path in stage.rglob("*"):
            _sync(path)
        _declare(stage, folder / READY)
    recover(folder)
    _sync(folder)


@contextlib.contextmanager
def beside(path: str | os.PathLike[str], argument: str = "path") -> Iterator[Path]:
    """Write one file, or one folder of zarr.

    Parameters
    ----------
    path
        What is written or replaced.
    argument
        What the user calls it.

    Yields
    ------
    A path in the same folder, with the same suffix, which takes the place of `path` when the block ends without an error.
    """
    path = Path(path)
    with told(argument, path.parent), _staged(path.parent) as stage:
        yield stage / path.name
        _sync(stage / path.name)
        _put(stage / path.name, path)
    shutil.rmtree(stage, ignore_errors=True)


@contextlib.contextmanager
def told(argument: str, folder: Path) -> Iterator[None]:
    """Errors of a folder that cannot be written to, or has no room, become sentences that begin with the argument."""
    try:
        yield
    except OSError as error:
        try:
            if error.errno in FULL:
                raise OSError(f"{folder}: the disk is full; make room, or name a folder on another disk.")
            check_room(folder, -SLACK)
        except OSError as why:
            raise type(why)(f"{argument}: {why}") from error
        raise


@contextlib.contextmanager
def _staged(folder: Path) -> Iterator[Path]:
    """A new folder to write into; where the block fails, it is removed, and so are the folders that were made for it."""
    made = _make(folder)
    stage = _stage(folder)
    try:
        yield stage
    except BaseException:  # an interruption too
        shutil.rmtree(stage, ignore_errors=True)
        for path in made:
            with contextlib.suppress(OSError):
                path.rmdir()
        raise


def recover(folder: str | os.PathLike[str]) -> None:
    """Finish a write that was cut off after it was complete; nothing where there is none.

    Parameters
    ----------
    folder
        Folder of a result.
    """
    folder = Path(folder)
    ready = folder / READY
    if not ready.is_dir():
        return
    for new in _units(ready):
        place = folder / new.relative_to(ready)
        place.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):  # another process was faster
            _put(new, place)
    shutil.rmtree(ready, ignore_errors=True)


def check_free(folder: str | os.PathLike[str], argument: str = "path") -> None:
    """Raise if a folder holds anything beside what a write that was cut off has left.

    Parameters
    ----------
    folder
        Folder of the result; it need not exist.
    argument
        What the user calls it.

    Raises
    ------
    ValueError
        It is a file, or not empty.
    """
    path = Path(folder)
    if path.exists() and (not path.is_dir() or any(not p.name.startswith(NEW) for p in path.iterdir())):
        raise ValueError(
            f"{argument}: {folder} already exists; name another folder, or replace what is there with overwrite=True."
        )


def check_room(folder: str | os.PathLike[str], n_bytes: int) -> None:
    """Raise if a folder cannot be written to, or has not the space.

    Parameters
    ----------
    folder
        Folder of the result; it need not exist.
    n_bytes
        About how much will be written.

    Raises
    ------
    PermissionError, NotADirectoryError
        Nothing can be written there.
    OSError
        There is less space than that.
    """
    there = Path(folder).absolute()
    while not there.exists():
        there = there.parent
    if not there.is_dir():
        raise NotADirectoryError(f"{folder}: {there} is a file; name another folder.")
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        raise PermissionError(
            f"{folder}: {there} cannot be written to ({error.strerror}); name another folder."
        ) from error
    free = shutil.disk_usage(there).free
    if free < n_bytes + SLACK:
        raise OSError(
            f"{folder}: about {_size(n_bytes)} will be written, and {_size(free)} are free; make room, or name a folder on "
            "another disk."
        )


def _size(n_bytes: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if n_bytes < 1000:
            return f"{n_bytes:.3g} {unit}"
        n_bytes /= 1000
    return f"{n_bytes:.3g} TB"


def _stage(folder: Path) -> Path:
    """A new folder to write into, whose name says which process it is of."""
    _clear(folder)
    stage = folder / f"{NEW}{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
    stage.mkdir()
    return stage


def _declare(stage: Path, ready: Path) -> None:
    """Make a complete result the valid one, after one that another process has completed meanwhile."""
    for _ in range(10):
        try:
            return os.rename(stage, ready)
        except OSError:
            if not ready.is_dir():
                raise
            recover(ready.parent)
    raise OSError(f"{ready.parent}: several processes write there at once; give each a folder.")


def _make(folder: Path) -> list[Path]:
    """Make a folder and its parents; those that were made, the innermost first."""
    absent = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    return absent


def _units(ready: Path) -> list[Path]:
    """What is moved in one step: files, and folders of zarr."""
    found = []
    for path in sorted(ready.iterdir()):
        if path.is_dir() and path.suffix not in WHOLE:
            found += _units(path)
        else:
            found.append(path)
    return found


def _put(new: Path, place: Path) -> None:
    """Replace a file or folder by another of the same disk; at no time is there neither."""
    if new.is_dir() and place.exists():
        if not _exchange(new, place):
            aside = _stage(place.parent)
            os.rename(place, aside / place.name)
            os.rename(new, place)
            shutil.rmtree(aside, ignore_errors=True)
        elif new.is_dir():
            shutil.rmtree(new, ignore_errors=True)
        else:
            new.unlink()
    else:
        os.replace(new, place)


def _exchange(a: Path, b: Path) -> bool:
    """Exchange two paths in one step, where the system can."""
    name, flag = SWAP.get(sys.platform, ("", 0))
    try:
        function = getattr(ctypes.CDLL(None, use_errno=True), name)
    except (AttributeError, OSError, TypeError):
        return False
    here = AT_FDCWD[sys.platform]
    return bool(function(here, os.fsencode(a), here, os.fsencode(b), ctypes.c_uint(flag)) == 0)


def _sync(path: Path) -> None:
    """To the disk, where the system can; some systems say only here that the disk is full."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno in (*FULL, errno.EIO):
            raise
    finally:
        os.close(handle)


def _clear(folder: Path) -> None:
    """Remove what killed writes of this machine have left unfinished."""
    if os.name == "nt":  # where a process cannot be asked whether it lives
        return
    start = f"{NEW}{socket.gethostname()}-"
    for path in folder.glob(f"{start}*"):
        process = path.name.removeprefix(start).partition("-")[0]
        if process.isdecimal() and not _lives(int(process)):
            shutil.rmtree(path, ignore_errors=True)


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
