"""Compiled functions from the disk, without what numba would need to compile (layer `_core`; not from the paper).

Before its first look at the disk, numba reads the tables of all functions that compiled code may call, and extensions of
other packages: 0.2 s, as long as a search over few genes. Code that is compiled already needs the addresses of the
runtime alone; what is not there is compiled as usual, which reads the tables first.
"""

from __future__ import annotations

from typing import Any

import numba
from llvmlite.binding import add_symbol
from numba.core.caching import FunctionCache
from numba.core.registry import CPUDispatcher
from numba.core.runtime import _nrt_python as runtime  # type: ignore[attr-defined]

KNOWN = ("0.68.",)  # versions of numba of which this is known; others load as they do


class _OnDisk(FunctionCache):  # type: ignore[misc]
    """Compiled code of one function."""

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Compiled code for arguments of these types; None where there is none."""
        for name, address in runtime.c_helpers.items():
            add_symbol(name if name.startswith("_") else f"NRT_{name}", address)
        with self._guard_against_spurious_io_errors():
            return self._load_overload(sig, target_context)


def from_disk(function: Any) -> Any:
    """The function that numba compiles and keeps on the disk, loaded from there without preparing to compile."""
    if isinstance(function, CPUDispatcher) and numba.__version__.startswith(KNOWN):
        compiled: Any = function
        compiled._cache = _OnDisk(function.py_func)
        compiled._compilation_chain_init_hook = lambda: None  # of extensions, which the compiler asks for itself
    return function
