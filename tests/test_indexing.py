"""Indexing, gathers and scatters against NumPy; every result's symbolic shape must be the shape that NumPy finds."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import exprgraph as eg
from exprgraph.errors import IndexFault, ShapeError
from exprgraph.functions import indexing as I
from exprgraph.ops import index as rows
from tests.movement_cases import CUBE, X, check_adjoint, numbers, run, same, symbol


class Picker:
    """`pick[...]` gives the index itself."""

    def __getitem__(self, key):
        return key


pick = Picker()
INDEX = [
    pick[1], pick[-1], pick[..., 0], pick[0, ...], pick[:, 1:2], pick[None, 1, None], pick[1, 2], pick[:, :, -1], pick[()], pick[...],
    pick[[1, 0, -1]], pick[:, [2, 0]], pick[:, [[2, 0], [1, -1]]], pick[..., [1]], pick[1, [0, 2]], pick[0, :, [1, 3, 2]],
    pick[[0, 1], :, 2], pick[:, 1, [0, 3]], pick[:, [1, 0], 2], pick[1, None, [0, 2]], pick[[], 1], pick[:, []], pick[np.int8(1)],
    pick[np.array(1)], pick[None],
    pick[::-1, ::2, 1:-1], pick[5:, :, ::-2], pick[np.array([1, 0], "uint64")], pick[np.array([-1], "int8"), None],
]


@pytest.mark.parametrize("case", range(len(INDEX)))
def test_index(case):
    """C8, C10: integers, slices, Ellipsis, None and one integer array, placed as NumPy places them."""
    key = INDEX[case]
    x = symbol("x", 3)
    same(run(x[key], x=CUBE), CUBE[key])
    if x[key] is not x:
        check_adjoint(x[key], x, CUBE)


bound = st.none() | st.integers(-8, 8)


@settings(max_examples=300, deadline=None)
@given(bound, bound, st.none() | st.integers(-4, 4).filter(bool), st.integers(0, 7),
       st.sets(st.sampled_from(["start", "stop", "step"])), st.booleans())
def test_slices(start, stop, step, n, symbolic, known):
    """C9: any slice means what Python means by it, its bounds and step known or not."""
    values = {"start": start, "stop": stop, "step": step}
    parts = [eg.lscalar(k) if k in symbolic and v is not None else v for k, v in values.items()]
    x, value = eg.tensor("x", "float64", (n if known else None,)), numbers(n)
    out = x[slice(*parts)]
    same(run(out, x=value, **values), value[start:stop:step])
    if out is not x:
        back = run(eg.grad(out.sum(), x), x=value, **values)
        marked = np.zeros(n)
        marked[start:stop:step] = 1
        same(back, marked)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 5), st.integers(-6, 6), st.sampled_from(["lscalar", "bscalar"]))
def test_symbolic_position(n, i, kind):
    """C8: an integer of the graph as index; outside the axis it is an IndexFault, before or while anything is computed."""
    x, index = symbol("x", 2), getattr(eg, kind)("i")
    out, value = x[:, index], numbers(2, n)
    if -n <= i < n:
        same(run(out, x=value, i=i), value[:, i])
    else:
        with pytest.raises((ShapeError, IndexFault), match="axis 1"):
            run(out, x=value, i=i)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(-4, 3), max_size=6), st.integers(0, 2))
def test_gather_and_scatter(positions, axis):
    """I9: equal positions accumulate; axes before and behind the gathered one keep their place."""
    x, idx = symbol("x", 3), eg.lvector("i")
    value, where = numbers(4, 4, 4), np.array(positions, "int64")
    out = I.take(x, idx, axis)
    same(run(out, x=value, i=where), value.take(where, axis))
    counted = np.zeros((4, 4, 4))
    np.add.at(np.moveaxis(counted, axis, 0), where, 1.0)
    same(run(eg.grad(out.sum(), x), x=value, i=where), counted)
    back = rows.scatter_add(idx, out, x.shape[axis], axis=axis)
    assert back.type.shape == x.type.shape
    weighted = eg.grad((back * back).sum(), x)
    many = np.bincount(where % 4, minlength=4).reshape([-1 if i == axis else 1 for i in range(3)])
    np.testing.assert_allclose(run(weighted, x=value, i=where), 2 * value * many**2)


def test_data_dependent_scalar():
    """A position that depends on values is looked up at run time; its gradient marks it."""
    x = symbol("x", 2)
    out = x[eg.argmax(x[:, 0])]
    same(run(out, x=X), X[X[:, 0].argmax()])
    marked = np.zeros_like(X)
    marked[X[:, 0].argmax()] = 1
    same(run(eg.grad(out.sum(), x), x=X), marked)


def test_small_index_dtypes():
    """C10: an int8 index reaches row -1 of 200; a uint64 index beyond int64 is out of bounds."""
    x, idx, wide = symbol("x", 1), eg.tensor("i", "int8", (None,)), eg.tensor("w", "uint64", (None,))
    same(run(I.take(x, idx, 0), x=numbers(200), i=[-1, 127, -128]), numbers(200)[[-1, 127, 72]])
    with pytest.raises(IndexFault, match="out of bounds for axis 0 with size 3"):
        run(I.take(x, wide, 0), x=numbers(3), w=np.array([2**64 - 1], "uint64"))
