"""Objects become a JSON tree with arrays and come back; nothing that a tree says can run."""

import json
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import sparse

from scgim._core.state import MARK, StateError, pack, register, savable, unpack


@savable
class _Point(NamedTuple):
    x: float
    y: np.ndarray


@savable
@dataclass(frozen=True)
class _Shape:
    name: str
    points: list[_Point]
    weight: np.ndarray | None = None
    more: dict[str, Any] = field(default_factory=dict)


def through_json(value: Any) -> Any:
    tree, arrays = pack(value, name="top")
    return unpack(json.loads(json.dumps(tree, allow_nan=False)), arrays)


def same(a: Any, b: Any) -> bool:
    """Equal in type and value, NaN being itself."""
    if sparse.issparse(a):
        return type(a) is type(b) and a.dtype == b.dtype and same(a.toarray(), b.toarray())
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and bool(np.all((a == b) | ((a != a) & (b != b))))
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list | tuple):
        return type(a) is type(b) and len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    if hasattr(a, "__dataclass_fields__"):
        return type(a) is type(b) and same(vars(a), vars(b))
    return type(a) is type(b) and (a == b or (a != a and b != b))


def test_nested_objects_come_back() -> None:
    point = _Point(float("inf"), np.arange(3, dtype=np.int32))
    shape = _Shape(
        "a/b", [point, _Point(1.5, np.zeros((0, 2)))], np.ones((2, 2), order="F"), {"deep": (1, None, {3: "x"})}
    )
    assert same(through_json(shape), shape)


@pytest.mark.parametrize(
    "value",
    [
        np.array(["a", "bc"]),
        np.array([["a", None]], dtype=object),
        np.array([], dtype=object),
        np.array([True, False]),
        np.float16([1, np.nan]),
        np.array(3.0),
        sparse.csr_matrix(np.eye(3, dtype=np.float32)),
        sparse.csc_array(np.eye(3)),
        sparse.coo_matrix(([1.0, 2.0], ([0, 0], [1, 1])), shape=(2, 3)),
        {MARK: "object", "class": "_Point"},
        {"a.b": np.ones(1), "a": {"b": np.zeros(1)}},
        -float("inf"),
        float("nan"),
        10**30,
    ],
    ids=repr,
)
def test_values_come_back_as_they_went(value: Any) -> None:
    assert same(through_json(value), value)


leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | hnp.arrays(st.sampled_from([float, int, bool]), hnp.array_shapes(min_side=0, max_side=3))
)
trees = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text(max_size=3) | st.integers(), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None)
@given(trees)
def test_any_tree_comes_back(value: Any) -> None:
    assert same(through_json(value), value)


def test_numbers_of_numpy_become_those_of_python() -> None:
    assert same(through_json([np.int64(3), np.float32(0.5), np.bool_(True), np.str_("a")]), [3, 0.5, True, "a"])


def test_fields_that_a_tree_lacks_take_their_default() -> None:
    tree, arrays = pack(_Shape("a", [], np.ones(2), {"b": 1}))
    del tree["fields"]["weight"], tree["fields"]["more"]
    assert same(unpack(tree, arrays), _Shape("a", []))


@pytest.mark.parametrize(
    "value",
    [object(), {1, 2}, print, b"bytes", 1j, np.array([1j]), np.array([object()]), np.dtype(float)],
    ids=lambda value: type(value).__name__,
)
def test_all_else_is_refused_with_its_place(value: Any) -> None:
    with pytest.raises(TypeError, match=r"top\.a\.0: .* cannot be stored"):
        pack({"a": [value]}, name="top")


@pytest.mark.parametrize(
    "tree",
    [
        {MARK: "object", "class": "builtins.exec", "fields": {"source": "1"}},
        {MARK: "object", "class": "Popen", "fields": {}},
        {MARK: "object", "class": "_Point", "fields": {"x": 1}},
        {MARK: "object", "class": "_Point", "fields": {"x": 1, "y": 2, "z": 3}},
        {MARK: "object", "class": ["_Point"], "fields": {}},
        {MARK: "array", "name": "absent"},
        {MARK: "array", "name": "pickled"},
        {MARK: "text", "dtype": "str", "shape": [2], "values": ["a"]},
        {MARK: "text", "dtype": "O", "shape": [1], "values": ["a"]},
        {MARK: "text", "dtype": "str", "shape": [1], "values": [[1]]},
        {MARK: "sparse", "format": "csr", "array": False, "shape": [2, 2], "parts": {}},
        {MARK: "float", "value": "1e3"},
        {MARK: "dict", "items": [[[], 1]]},
        {MARK: "tuple"},
        {MARK: "unheard"},
        {MARK: None},
        {"a": print},
    ],
    ids=str,
)
def test_trees_that_are_not_ours_are_refused(tree: Any) -> None:
    with pytest.raises(StateError):
        unpack(tree, {"pickled": np.array([print], dtype=object)})


def test_trees_without_end_are_refused() -> None:
    tree: Any = []
    for _ in range(500):
        tree = [tree]
    with pytest.raises(StateError, match="nested"):
        unpack(tree, {})


def test_names_are_given_once() -> None:
    with pytest.raises(ValueError, match="_Point"):
        register(dict, name="_Point", fields=dict, build=dict)
    with pytest.raises(TypeError, match="dataclass"):
        savable(dict)
