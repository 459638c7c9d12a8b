"""Results change as a whole: full disks, errors, interruptions and kills leave what was there, or all of the new."""

import os
import random
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from scgim._writing import NEW, READY, beside, check_free, check_room, recover, together

posix = pytest.mark.skipif(os.name == "nt", reason="signals and limits of POSIX")

WRITER = """
import sys, time
from pathlib import Path
from scgim._writing import together
with together(sys.argv[1]) as stage:
    for name in ("a.txt", "deep/b.txt", "c.zarr/0"):
        path = stage / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("new" * 100_000)
"""
OLD = {"a.txt": "old", "deep/b.txt": "old", "deep/other.txt": "kept", "c.zarr/1": "old", "user.txt": "kept"}
NEWER = dict.fromkeys(("a.txt", "deep/b.txt", "c.zarr/0"), "new" * 100000) | {
    "deep/other.txt": "kept",
    "user.txt": "kept",
}


def fill(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def files_of(folder: Path) -> dict[str, str]:
    """All files but those of a write that is not complete."""
    paths = [p for p in folder.rglob("*") if p.is_file() and not p.relative_to(folder).parts[0].startswith(NEW)]
    return {p.relative_to(folder).as_posix(): p.read_text() for p in paths}


def write_new(folder: Path) -> None:
    with together(folder) as stage:
        fill(stage, {name: text for name, text in NEWER.items() if text != "kept"})


def test_all_files_change_and_others_stay(tmp_path: Path) -> None:
    fill(tmp_path, OLD)
    write_new(tmp_path)
    assert files_of(tmp_path) == NEWER
    assert not [p for p in tmp_path.rglob("*") if p.name.startswith(".scgim")]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt(), ValueError()], ids=repr)
def test_errors_and_interruptions_leave_what_was_there(tmp_path: Path, error: BaseException) -> None:
    fill(tmp_path, OLD)
    with pytest.raises(type(error)), together(tmp_path) as stage:
        (stage / "a.txt").write_text("half")
        raise error
    assert files_of(tmp_path) == OLD and not list(tmp_path.glob(".scgim*"))
    with pytest.raises(type(error)), together(tmp_path / "x" / "y") as stage:
        raise error
    assert not (tmp_path / "x").exists()
    with pytest.raises(type(error)), beside(tmp_path / "a.txt") as path:
        path.write_text("half")
        raise error
    assert files_of(tmp_path) == OLD and not list(tmp_path.glob(".scgim*"))


@posix
@pytest.mark.parametrize("limit", [0, 1, 100_000, 299_999])
def test_a_disk_that_is_full_at_a_byte_leaves_what_was_there(tmp_path: Path, limit: int) -> None:
    fill(tmp_path, OLD)

    def full() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    done = subprocess.run(
        [sys.executable, "-B", "-c", WRITER, tmp_path], preexec_fn=full, capture_output=True, text=True
    )
    assert done.returncode == 1 and "File too large" in done.stderr
    assert files_of(tmp_path) == OLD and not list(tmp_path.glob(".scgim*"))


@posix
def test_a_kill_at_any_time_leaves_the_old_or_the_new(tmp_path: Path) -> None:
    source, moments = random.Random(0), []
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", WRITER, tmp_path / "first"], check=True)
    whole = time.perf_counter() - start
    for k in range(12):
        folder = tmp_path / str(k)
        fill(folder, OLD)
        process = subprocess.Popen([sys.executable, "-c", WRITER, folder])
        time.sleep(whole * (0.5 + 0.6 * source.random()))
        process.kill()
        process.wait()
        recover(folder)
        assert files_of(folder) in (OLD, NEWER)
        moments.append(files_of(folder) == OLD)
        write_new(folder)
        assert files_of(folder) == NEWER and not list(folder.glob(".scgim*"))


class _KilledError(Exception):
    """Stands for a kill: nothing is tidied up after it."""


@pytest.mark.parametrize("step", range(8))
def test_a_kill_between_any_two_steps_of_the_move(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    fill(tmp_path, OLD)
    left = [step]

    def counted(name: str):
        real = getattr(os, name)

        def call(*args, **kwargs):
            if left[0] == 0:
                monkeypatch.undo()
                raise _KilledError
            left[0] -= 1
            return real(*args, **kwargs)

        monkeypatch.setattr(os, name, call)

    for name in ("rename", "replace", "rmdir"):
        counted(name)
    monkeypatch.setattr("shutil.rmtree", lambda path, ignore_errors=False: None)
    monkeypatch.setattr("scgim._writing._exchange", lambda a, b: False)
    try:
        write_new(tmp_path)
    except _KilledError:
        pass
    else:
        monkeypatch.undo()
    declared = step > 0
    recover(tmp_path)
    found = {name: text for name, text in files_of(tmp_path).items() if not name.startswith(READY)}
    assert found == (NEWER if declared else OLD)


def test_what_a_killed_write_has_left_is_removed_by_the_next(tmp_path: Path) -> None:
    dead = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True, check=True
    )
    import socket

    left = tmp_path / f"{NEW}{socket.gethostname()}-{dead.stdout.strip()}-0"
    fill(left, {"a.txt": "half"})
    check_free(tmp_path)
    write_new(tmp_path)
    assert not left.exists() or os.name == "nt"
    with pytest.raises(ValueError, match="path: .* already exists"):
        check_free(tmp_path)


@pytest.mark.parametrize("swap", [True, False], ids=["exchange", "two renames"])
def test_one_file_and_one_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, swap: bool) -> None:
    if not swap:
        monkeypatch.setattr("scgim._writing._exchange", lambda a, b: False)
    for text in ("one", "two"):
        with beside(tmp_path / "sub" / "a.h5ad") as path:
            assert path.suffix == ".h5ad"
            path.write_text(text)
        with beside(tmp_path / "sub" / "z.zarr") as path:
            fill(path, {text: text})
    assert files_of(tmp_path) == {"sub/a.h5ad": "two", "sub/z.zarr/two": "two"}


def test_modes_are_those_of_ordinary_files(tmp_path: Path) -> None:
    write_new(tmp_path / "new")
    (tmp_path / "plain").mkdir()
    (tmp_path / "plain" / "a").write_text("")
    assert (tmp_path / "new").stat().st_mode == (tmp_path / "plain").stat().st_mode
    assert (tmp_path / "new" / "deep").stat().st_mode == (tmp_path / "plain").stat().st_mode
    assert (tmp_path / "new" / "a.txt").stat().st_mode == (tmp_path / "plain" / "a").stat().st_mode


def test_room_is_checked_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check_room(tmp_path / "not" / "there", 10)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(OSError, match=r"about 1e\+06 TB will be written, and .* are free"):
        check_room(tmp_path, 10**18)
    (path := tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError, match="is a file"):
        check_room(tmp_path / "file" / "x", 1)
    monkeypatch.setattr("tempfile.TemporaryFile", lambda dir: open(os.devnull + "/x"))
    with pytest.raises(PermissionError, match="cannot be written to"):
        check_room(tmp_path, 1)
    with pytest.raises(PermissionError, match=r"^out: .* cannot be written to .*; name another"), beside(path, "out"):
        raise PermissionError(13, "no")


def test_a_full_disk_is_named_with_the_argument(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"^dir_path: .*: the disk is full; make room"), together(tmp_path, "dir_path"):
        raise OSError(28, "No space left on device")
