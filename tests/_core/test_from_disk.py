"""Compiled code from the disk: the same results, nothing read to compile, further code that calls it, and changes of what it calls."""

import subprocess
import sys
from textwrap import dedent

import numba
import pytest

from scgim._core.from_disk import KNOWN

MODULE = """
    import numba
    import numpy as np
    from scgim._core.from_disk import from_disk

    @from_disk
    @numba.njit
    def inner(x):
        if len(x) == 0:
            raise ValueError("empty")
        return (np.zeros(3) + np.exp(x[:3])).sum()

    @from_disk
    @numba.njit
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


LOW = """
    import numba

    @numba.njit(inline="always")
    def factor(x):
        return {factor} * x
"""
HIGH = """
    import numba
    from low import factor
    from scgim._core.from_disk import from_disk

    @numba.njit
    def middle(x):
        return factor(x) + 1

    @from_disk
    @numba.njit
    def outer(x):
        return middle(x)
"""


@pytest.mark.parametrize("known", [KNOWN, ()], ids=["known", "any"])
def test_code_is_compiled_again_where_what_it_calls_changed(tmp_path, known):
    """In another file, by way of a function that is not kept itself."""
    (tmp_path / "high.py").write_text(dedent(HIGH), encoding="utf-8")
    shown = "print(high.outer(3), sum(high.outer.stats.cache_hits.values()))"
    script = f"import scgim._core.from_disk as disk; disk.KNOWN = {known!r}; import high; {shown}"
    command = [sys.executable, "-B", "-c", script]
    ends = []
    for factor in (2, 2, 5):
        (tmp_path / "low.py").write_text(dedent(LOW.format(factor=factor)), encoding="utf-8")
        ends.append(subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout.split())
    assert ends == [["7", "0"], ["7", "1"], ["16", "0"]]
