"""Objects as a JSON tree and a dict of arrays, and back: the only way in which scgim stores objects (layer `_core`).

No pickles, and no names that are looked up in modules: a class can be read back only if it was registered with
:func:`savable` (or :func:`register`, for classes of other packages), and objects are made by calling its constructor
with the fields that the tree lists. A tree that was tampered with can hold wrong numbers, but it cannot run code.

The tree holds None, booleans, numbers, text, lists and objects of JSON as they are. All else is an object with the key
``"#"``, which says what it is:

====================================================================  ================================================
``{"#": "float", "value": "nan"}``                                    a number that JSON has not: nan, inf, -inf
``{"#": "tuple", "items": [...]}``                                    a tuple
``{"#": "dict", "items": [[key, value], ...]}``                       a dict whose keys are not all text
``{"#": "array", "name": "fit.graph"}``                               an array of numbers or booleans, in `arrays`
``{"#": "text", "dtype": "str", "shape": [3], "values": [...]}``      an array of text, ``"object"`` or ``"str"``
``{"#": "sparse", "format": "csr", "shape": [3, 3], "parts": {...}}``  a sparse matrix or array
``{"#": "object", "class": "Fit", "fields": {...}}``                  an object of a registered class
====================================================================  ================================================
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np
from scipy import sparse

MARK = "#"
NUMBERS = "biuf"  # kinds of dtypes that arrays may have: booleans, integers, floats
SPARSE = {"csr": ("data", "indices", "indptr"), "csc": ("data", "indices", "indptr"), "coo": ("data", "row", "col")}
NOT_IN_JSON = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}
DEPTH = 100  # of the tree; deeper ones are not ours

T = TypeVar("T")
Tree = Any
"""What :func:`json.dumps` takes with ``allow_nan=False``."""


class StateError(ValueError):
    """A tree that cannot be turned into objects; the message says where."""


@dataclasses.dataclass(frozen=True)
class _Codec:
    """How objects of a class become fields, and fields an object."""

    cls: type
    fields: Callable[[Any], Mapping[str, Any]]
    build: Callable[..., Any]


_BY_NAME: dict[str, _Codec] = {}
_BY_TYPE: dict[type, str] = {}


def register(cls: type, *, name: str, fields: Callable[[Any], Mapping[str, Any]], build: Callable[..., Any]) -> None:
    """Let objects of a class be packed.

    Parameters
    ----------
    cls
        The class itself; subclasses are not included.
    name
        Its name in trees. It is part of the format: it stays when the class is renamed.
    fields
        From an object to its fields, each of which can be packed.
    build
        From the fields, as keywords, to an object.
    """
    if name in _BY_NAME and _BY_NAME[name].cls.__qualname__ != cls.__qualname__:
        raise ValueError(f"name: {name!r} stands for {_BY_NAME[name].cls.__qualname__} already.")
    _BY_NAME[name] = _Codec(cls, fields, build)
    _BY_TYPE[cls] = name


def savable(cls: type[T]) -> type[T]:
    """Class decorator: dataclasses and named tuples whose objects :func:`pack` takes, under their name.

    Fields that a tree lacks take their default, so that a class may get new ones; fields that are not of the
    constructor (``init=False``) are not kept. A class whose older trees need more has a class method ``stored``, which
    is called with the fields in place of the constructor.
    """
    if dataclasses.is_dataclass(cls):
        names = tuple(f.name for f in dataclasses.fields(cls) if f.init)
    elif issubclass(cls, tuple) and hasattr(cls, "_fields"):
        names = tuple(getattr(cls, "_fields"))  # noqa: B009 - a named tuple, of which types know nothing
    else:
        raise TypeError(f"cls: expected a dataclass or a named tuple, found {cls.__qualname__}.")

    def fields(value: Any) -> dict[str, Any]:
        return {name: getattr(value, name) for name in names}

    register(cls, name=cls.__name__, fields=fields, build=getattr(cls, "stored", cls))
    return cls


def pack(value: Any, *, name: str = "") -> tuple[Tree, dict[str, np.ndarray]]:
    """A value as a JSON tree and the arrays that it names.

    Parameters
    ----------
    value
        None, booleans, numbers, text, arrays, sparse matrices, objects of registered classes, and lists, tuples and
        dicts of these. Numbers of numpy become those of Python.
    name
        Start of the names of the arrays.

    Raises
    ------
    TypeError
        Something else, with its place.
    """
    packer = _Packer()
    return packer.tree(value, (name,) if name else ()), packer.arrays


def unpack(tree: Tree, arrays: Mapping[str, np.ndarray]) -> Any:
    """Inverse of :func:`pack`.

    Parameters
    ----------
    tree
        From :func:`pack`, or from :func:`json.loads`.
    arrays
        The arrays that it names.

    Raises
    ------
    StateError
        The tree is not one of :func:`pack`, or a class, a field or an array is unknown.
    """
    return _Unpacker(arrays).value(tree, ())


def _where(path: tuple[str, ...]) -> str:
    return ".".join(path) or "the value"


class _Packer:
    """One call of :func:`pack`."""

    def __init__(self) -> None:
        self.arrays: dict[str, np.ndarray] = {}

    def tree(self, value: Any, path: tuple[str, ...]) -> Tree:
        if value is None or isinstance(value, bool | str | int) and type(value) not in _BY_TYPE:
            return str(value) if isinstance(value, str) else value
        if isinstance(value, np.generic):
            return self.tree(value.item(), path)
        if isinstance(value, float):
            return float(value) if math.isfinite(value) else {MARK: "float", "value": str(float(value))}
        if type(value) in _BY_TYPE:
            name = _BY_TYPE[type(value)]
            fields = _BY_NAME[name].fields(value)
            return {MARK: "object", "class": name, "fields": {k: self.tree(v, (*path, k)) for k, v in fields.items()}}
        if isinstance(value, Mapping):
            return self.mapping(value, path)
        if isinstance(value, list):
            return [self.tree(v, (*path, str(k))) for k, v in enumerate(value)]
        if type(value) is tuple:
            return {MARK: "tuple", "items": [self.tree(v, (*path, str(k))) for k, v in enumerate(value)]}
        if isinstance(value, np.ndarray):
            return self.array(value, path)
        if sparse.issparse(value):
            return self.sparse(value, path)
        raise TypeError(
            f"{_where(path)}: {type(value).__qualname__} cannot be stored; expected None, numbers, text, arrays, objects of "
            "classes that scgim registers, or lists, tuples and dicts of these."
        )

    def mapping(self, value: Mapping[Any, Any], path: tuple[str, ...]) -> Tree:
        if all(isinstance(k, str) for k in value) and MARK not in value:
            return {str(k): self.tree(v, (*path, str(k))) for k, v in value.items()}
        items = [[self.tree(k, (*path, "key")), self.tree(v, (*path, str(k)))] for k, v in value.items()]
        return {MARK: "dict", "items": items}

    def array(self, value: np.ndarray, path: tuple[str, ...]) -> Tree:
        if value.dtype.kind in NUMBERS:
            return {MARK: "array", "name": self.keep(value, path)}
        values = value.ravel().tolist()
        if value.dtype.kind not in "UOT" or not all(v is None or isinstance(v, str) for v in values):
            raise TypeError(
                f"{_where(path)}: an array of dtype {value.dtype} cannot be stored; expected numbers or text."
            )
        dtype = "str" if value.dtype.kind == "U" else "object"
        return {MARK: "text", "dtype": dtype, "shape": list(value.shape), "values": values}

    def sparse(self, value: Any, path: tuple[str, ...]) -> Tree:
        kept = value if value.format in SPARSE else value.tocsr()
        names = SPARSE[kept.format]
        parts = {name: self.keep(np.asarray(getattr(kept, name)), (*path, name)) for name in names}
        array = isinstance(value, sparse.sparray)
        return {MARK: "sparse", "format": kept.format, "array": array, "shape": list(kept.shape), "parts": parts}

    def keep(self, value: np.ndarray, path: tuple[str, ...]) -> str:
        """Keep an array under the name of its place."""
        name = re.sub(r"[^A-Za-z0-9_.-]", "_", ".".join(path)) or "value"
        unique, k = name, 1
        while unique in self.arrays:
            unique, k = f"{name}.{k}", k + 1
        self.arrays[unique] = np.asarray(value)
        return unique


class _Unpacker:
    """One call of :func:`unpack`."""

    def __init__(self, arrays: Mapping[str, np.ndarray]) -> None:
        self.arrays = arrays

    def value(self, tree: Tree, path: tuple[str, ...]) -> Any:
        if len(path) > DEPTH:
            raise StateError(f"{_where(path[:3])}: nested more than {DEPTH} deep.")
        if tree is None or isinstance(tree, bool | int | float | str):
            return tree
        if isinstance(tree, list):
            return [self.value(v, (*path, str(k))) for k, v in enumerate(tree)]
        if not isinstance(tree, dict):
            raise StateError(f"{_where(path)}: {type(tree).__qualname__} is not of JSON.")
        if MARK not in tree:
            return {k: self.value(v, (*path, k)) for k, v in tree.items()}
        reader = self.READERS.get(tree[MARK]) if isinstance(tree[MARK], str) else None
        if reader is None:
            raise StateError(f"{_where(path)}: {tree[MARK]!r} is unknown to this version of scgim.")
        try:
            return reader(self, tree, path)
        except StateError:
            raise
        except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError) as error:
            raise StateError(f"{_where(path)}: not what was stored ({type(error).__name__}: {error}).") from error

    def read_float(self, tree: dict[str, Any], path: tuple[str, ...]) -> float:
        return NOT_IN_JSON[tree["value"]]

    def read_tuple(self, tree: dict[str, Any], path: tuple[str, ...]) -> Any:
        return tuple(self.value(v, (*path, str(k))) for k, v in enumerate(tree["items"]))

    def read_dict(self, tree: dict[str, Any], path: tuple[str, ...]) -> Any:
        return {self.value(k, (*path, "key")): self.value(v, (*path, str(k))) for k, v in tree["items"]}

    def read_array(self, tree: dict[str, Any], path: tuple[str, ...]) -> np.ndarray:
        return self.find(tree["name"], path)

    def read_text(self, tree: dict[str, Any], path: tuple[str, ...]) -> np.ndarray:
        dtype = {"str": str, "object": object}[tree["dtype"]]
        if not all(v is None or isinstance(v, str) for v in tree["values"]):
            raise StateError(f"{_where(path)}: expected text.")
        result = np.empty(len(tree["values"]), dtype=object)
        result[:] = tree["values"]
        return result.astype(dtype).reshape(tree["shape"])

    def read_sparse(self, tree: dict[str, Any], path: tuple[str, ...]) -> Any:
        form = tree["format"]
        data, first, second = (self.find(tree["parts"][name], (*path, name)) for name in SPARSE[form])
        parts = (data, (first, second)) if form == "coo" else (data, first, second)
        suffix = "_array" if tree["array"] else "_matrix"
        makers = {f.__name__: f for f in (sparse.csr_matrix, sparse.csc_matrix, sparse.coo_matrix)}
        makers |= {f.__name__: f for f in (sparse.csr_array, sparse.csc_array, sparse.coo_array)}
        return makers[form + suffix](parts, shape=tuple(tree["shape"]))

    def read_object(self, tree: dict[str, Any], path: tuple[str, ...]) -> Any:
        codec = _BY_NAME.get(tree["class"])
        if codec is None:
            raise StateError(f"{_where(path)}: the class {tree['class']!r} is unknown to this version of scgim.")
        return codec.build(**{k: self.value(v, (*path, k)) for k, v in tree["fields"].items()})

    def find(self, name: str, path: tuple[str, ...]) -> np.ndarray:
        """An array of numbers, by its name."""
        if name not in self.arrays:
            raise StateError(f"{_where(path)}: the array {name!r} is missing.")
        array = self.arrays[name]
        if not isinstance(array, np.ndarray) or array.dtype.kind not in NUMBERS:
            raise StateError(f"{_where(path)}: the array {name!r} does not hold numbers.")
        return array

    READERS = {
        "float": read_float,
        "tuple": read_tuple,
        "dict": read_dict,
        "array": read_array,
        "text": read_text,
        "sparse": read_sparse,
        "object": read_object,
    }
