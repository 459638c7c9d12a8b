"""Compiled code from the disk: the same results, nothing read to compile, and further code that calls it can be compiled."""

import subprocess
import sys
from textwrap import dedent

import numba

from scgim._core.from_disk import KNOWN

MODULE = """
    import numba
    import numpy as np
    from scgim._core.from_disk import from_disk

    @from_disk
    @numba.njit(cache=True)
    def inner(x):
        if len(x) == 0:
            raise ValueError("empty")
        return (np.zeros(3) + np.exp(x[:3])).sum()

    @from_disk
    @numba.njit(cache=True)
    def outer(x):
        return 2 * inner(x)
"""
SCRIPT = """
    import sys
    import numpy as np
    import kept

    print(kept.inner(np.zeros(4)), sum(kept.inner.stats.cache_hits.values()), "numba.typed.typeddict" in sys.modules)
    try:
        kept.inner(np.zeros(0))
    except ValueError as error:
        print(error)
    if sys.argv[1] == "more":
        print(kept.outer(np.zeros(4)))
"""


def test_from_disk_is_as_compiled(tmp_path):
    """A function that was compiled before; then one that calls it is."""
    (tmp_path / "kept.py").write_text(dedent(MODULE), encoding="utf-8")
    ends = []
    for more in ("alone", "more"):
        command = [sys.executable, "-c", dedent(SCRIPT), more]
        ends.append(
            subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout.split("\n")
        )
    assert ends[0][:2] == ["3.0 0 True", "empty"]
    known = numba.__version__.startswith(KNOWN)
    assert ends[1][:3] == [f"3.0 1 {not known}", "empty", "6.0"]
