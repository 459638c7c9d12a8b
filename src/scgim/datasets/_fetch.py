"""Find a public file in a directory of the user's, or download it once into a cache; its checksum is compared always."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from scgim._checks import AbsentError
from scgim._writing import told

ENVIRONMENT = "SCGIM_DATA_DIR"
TIMEOUT = 30  # seconds without an answer


def fetch(
    dataset: str, name: str, url: str, sha256: str | None, directory: str | os.PathLike[str] | None = None
) -> Path:
    """Path of a public file whose checksum is right.

    Parameters
    ----------
    dataset
        Name of the data set, which is also the name of its folder.
    name
        Name of the file.
    url
        Where it is published.
    sha256
        Its SHA-256, or None not to compare.
    directory
        Folder that holds the file, or holds a folder named `dataset` with it. If None, the folder named by the environment
        variable ``SCGIM_DATA_DIR`` is tried, then the cache, then the internet.

    Returns
    -------
    Path of the file.

    Raises
    ------
    FileNotFoundError
        If `directory` is given and does not hold the file.
    ValueError
        If the file is not the published one.
    ConnectionError
        If the file is in none of the places and cannot be downloaded.
    """
    found = find(dataset, name, directory)
    if found is not None:
        _compare(found, sha256, url)
        return found
    if directory is not None:
        raise AbsentError(
            f"directory={os.fspath(directory)!r} holds neither {name} nor {dataset}/{name}. Download {url} into it, or "
            "leave `directory` out to download automatically."
        )
    return _download(dataset, name, url, sha256)


def find(dataset: str, name: str, directory: str | os.PathLike[str] | None = None) -> Path | None:
    """Path of a file in `directory`, or in the folder named by ``SCGIM_DATA_DIR``: there, or in a folder named `dataset`."""
    place = directory if directory is not None else os.environ.get(ENVIRONMENT)
    candidates = (
        (Path(place) / name, Path(place) / dataset / name, Path(place) / Path(dataset).name / name) if place else ()
    )
    return next((path for path in candidates if path.is_file()), None)


def _compare(path: Path, sha256: str | None, url: str) -> None:
    """Refuse a file with another checksum."""
    if sha256 is None:
        return
    found = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            found.update(block)
    if found.hexdigest() != sha256:
        raise ValueError(
            f"{path} is not the published file: expected SHA-256 {sha256}, found {found.hexdigest()}. Download {url} again."
        )


def _download(dataset: str, name: str, url: str, sha256: str | None) -> Path:
    """Path in the cache, downloaded if it is not there."""
    import pooch

    folder = Path(pooch.os_cache("scgim")) / dataset
    advice = (
        f"Without internet or cache, download {url} on another machine, and pass the folder that holds {name} as `directory` or in "
        f"the environment variable {ENVIRONMENT}."
    )
    logger = pooch.get_logger()
    level = logger.level
    logger.setLevel("WARNING")
    try:
        known = None if sha256 is None else f"sha256:{sha256}"
        downloader = pooch.HTTPDownloader(timeout=TIMEOUT)
        with told("cache", folder):
            return Path(pooch.retrieve(url, known_hash=known, fname=name, path=folder, downloader=downloader))
    except ValueError as error:
        raise ValueError(f"{url} is not the published file ({dataset}): {error}. {advice}") from error
    except OSError as error:  # also what requests raises
        raise ConnectionError(f"{name} ({dataset}) could not be downloaded from {url}: {error}. {advice}") from error
    finally:
        logger.setLevel(level)
