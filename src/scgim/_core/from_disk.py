"""Compiled functions from the disk, without what numba would need to compile (layer `_core`; not from the paper).

Before its first look at the disk, numba reads the tables of all functions that compiled code may call, and extensions of
other packages: 0.2 s, as long as a search over few genes. Code that is compiled already needs the addresses of the
runtime alone; what is not there is compiled as usual, which reads the tables first.

Numba compiles a function anew where its own file changed. Code holds that of all functions it calls, so here the files of
these count, too.
"""

from __future__ import annotations

from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import numba
from llvmlite.binding import add_symbol
from numba.core.caching import FunctionCache
from numba.core.registry import CPUDispatcher
from numba.core.runtime import _nrt_python as runtime  # type: ignore[attr-defined]

KNOWN = ("0.68.",)  # versions of numba that are known to load so; others read what they need first


class _Stamped(FunctionCache):  # type: ignore[misc]
    """Compiled code of one function, as long as the files that it is from stay."""

    def __init__(self, function: Any) -> None:
        super().__init__(function)
        self._cache_file._source_stamp = [_hash(file) for file in sorted(_files(function))]


class _OnDisk(_Stamped):
    """That which is loaded without what numba would need to compile."""

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Compiled code for arguments of these types; None where there is none."""
        for name, address in runtime.c_helpers.items():
            add_symbol(name if name.startswith("_") else f"NRT_{name}", address)
        with self._guard_against_spurious_io_errors():
            return self._load_overload(sig, target_context)


@cache
def _hash(file: str) -> str:
    """Of its content; empty where there is no such file."""
    path = Path(file)
    return sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


def _files(function: Any, seen: tuple[Any, ...] = ()) -> set[str]:
    """Files of a function and of the compiled ones that it calls."""
    code, names = function.__code__, function.__globals__
    called = [names[name].py_func for name in code.co_names if isinstance(names.get(name), CPUDispatcher)]
    seen = (*seen, function)
    return {code.co_filename}.union(*(_files(other, seen) for other in called if other not in seen))


def from_disk(function: Any) -> Any:
    """The function that numba compiles, kept on the disk and loaded from there without preparing to compile."""
    if isinstance(function, CPUDispatcher):
        compiled: Any = function
        known = numba.__version__.startswith(KNOWN)
        compiled._cache = (_OnDisk if known else _Stamped)(function.py_func)
        if known:
            compiled._compilation_chain_init_hook = lambda: None  # of extensions, which the compiler asks for itself
    return function
