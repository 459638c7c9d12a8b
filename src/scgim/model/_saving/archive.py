"""The file of a saved model: arrays and JSON, and nothing in it that can run (layer `model`).

``model.npz`` is a zip archive: ``model.json`` is a tree of :mod:`scgim._core.state` with a header, and every other member
is one array of numbers in numpy's format. A file is read by a parser of JSON and one of arrays, without pickles.
"""

from __future__ import annotations

import io
import json
import pickletools
import struct
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy

from scgim._core.state import StateError, unpack
from scgim._version import __version__

FORMAT = "scgim model"
FORMAT_VERSION = 1
"""Goes up when a file cannot be read by versions of scgim before."""

MODEL_FILE = "model.npz"
TREE_FILE = "model.json"  # inside of it
PICKLED_FILES = ("model.pt", "model_params.pt", "attr.pkl")  # of scvi-tools, now and before 0.15
MOST_TREE = 2**30  # bytes of JSON
DAMAGE = (
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    NotImplementedError,  # a compression that Python has not
    OSError,
    RecursionError,
    RuntimeError,
    StateError,
    TypeError,
    ValueError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)


@dataclass
class Saved:
    """What a file holds."""

    attributes: dict[str, Any]  # those of the model whose names end in `_`
    parameters: dict[str, np.ndarray]  # arrays of the torch module
    var_names: Any  # names of the variables; of each modality for a MuData


def write_archive(path: Path, tree: Any, arrays: dict[str, np.ndarray]) -> None:
    """Write a tree and its arrays as one file; the same content gives the same bytes."""
    header = {"format": FORMAT, "format_version": FORMAT_VERSION, "scgim": __version__}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:

        def member(name: str) -> zipfile.ZipInfo:  # with a date that is always the same
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            return info

        text = json.dumps(header | {"tree": tree}, allow_nan=False, ensure_ascii=False)
        archive.writestr(member(TREE_FILE), text.encode(), compresslevel=6)
        for name, array in arrays.items():
            with archive.open(member(f"{name}.npy"), "w", force_zip64=True) as stream:
                npy.write_array(stream, np.asanyarray(array), allow_pickle=False)


def read_saved(folder: Path, prefix: str) -> Saved:
    """Read a file of :meth:`GIM.save`.

    Raises
    ------
    ValueError
        See :meth:`GIM.load`.
    """
    path = folder / f"{prefix}{MODEL_FILE}"
    if not path.is_file():
        raise ValueError(_why_absent(folder, prefix))
    try:
        with zipfile.ZipFile(path) as archive:
            header = _read_header(archive)
            if header.get("format") != FORMAT:
                raise StateError("it is not a file of scgim")
            version = header.get("format_version")
            if isinstance(version, int) and version > FORMAT_VERSION:
                raise _LaterError(str(header.get("scgim")))
            names = [name for name in archive.namelist() if name.endswith(".npy")]
            arrays = {name.removesuffix(".npy"): _read_array(archive, name) for name in names}
        state = unpack(header["tree"], arrays)
        saved = Saved(**{name: state[name] for name in ("attributes", "parameters", "var_names")})
        if not isinstance(saved.attributes, dict) or not isinstance(saved.parameters, dict):
            raise StateError("its parts are not dicts")
        return saved
    except _LaterError as error:
        raise ValueError(
            f"dir_path: {path} was saved by scgim {error}, later than this version ({__version__}); update scgim to open it."
        ) from None
    except DAMAGE as error:
        raise damaged(path, error) from error


class _LaterError(Exception):
    """The file was written in a later format."""


def _read_header(archive: zipfile.ZipFile) -> dict[str, Any]:
    if archive.getinfo(TREE_FILE).file_size > MOST_TREE:
        raise StateError(f"{TREE_FILE} is larger than any model's")
    header = json.loads(archive.read(TREE_FILE))
    if not isinstance(header, dict):
        raise StateError(f"{TREE_FILE} is not an object")
    return header


def _read_array(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    """One array, whose header may not claim more than the file holds."""
    content = archive.read(name)  # compares the checksum
    stream = io.BytesIO(content)
    version = npy.read_magic(stream)
    read = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}[version]
    shape, _, dtype = read(stream)
    if dtype.hasobject or int(np.prod(shape, dtype=object)) * dtype.itemsize != len(content) - stream.tell():
        raise StateError(f"the array {name!r} is not what its header says")
    stream.seek(0)
    return npy.read_array(stream, allow_pickle=False)


def damaged(path: Path, error: BaseException) -> ValueError:
    reason = " ".join(str(error).split()) or type(error).__name__
    return ValueError(
        f"dir_path: {path} is damaged or was not saved by scgim ({reason[:200]}); restore it from a copy, or fit again and save."
    )


def _why_absent(folder: Path, prefix: str) -> str:
    """One sentence on a folder without the file of a model."""
    if not folder.is_dir():
        return f"dir_path: {folder} is not a folder; name the folder that GIM.save or 'scgim fit' has left."
    for name in PICKLED_FILES:
        path = folder / f"{prefix}{name}"
        if path.is_file():
            maker = _pickled_class(path)
            if maker in (None, "GIM"):
                return (
                    f"dir_path: {path} is a pickle, which can run code when it is opened, so scgim does not; fit again and save "
                    "with this version."
                )
            return f"dir_path: {path} was saved by {maker}, not by GIM; open it with {maker}.load of scvi-tools."
    others = sorted(p.name.removesuffix(MODEL_FILE) for p in folder.glob(f"*{MODEL_FILE}"))
    if others:
        return f"prefix: {folder} holds no model with prefix={prefix!r}; found {others[:5]}."
    return f"dir_path: {folder} holds no saved model ({prefix}{MODEL_FILE}); name the folder of GIM.save."


def _pickled_class(path: Path) -> str | None:
    """Class that a file of scvi-tools says it holds; the pickle is scanned, never loaded."""
    try:
        with zipfile.ZipFile(path) as archive:
            name = next(n for n in archive.namelist() if n.endswith("data.pkl"))
            texts = [arg for _, arg, _ in pickletools.genops(archive.read(name)) if isinstance(arg, str)]
        maker = texts[texts.index("model_name") + 1]
        return maker if maker.isidentifier() else None
    except (*DAMAGE, StopIteration):
        return None
