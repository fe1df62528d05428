"""Shapes, indexing and creation against NumPy; every result's symbolic shape must be the shape that NumPy finds."""
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import exprgraph as eg
from exprgraph import dims, graph
from exprgraph.dims import Size, Value, as_dim, atoms, bounds, of_atom, program
from exprgraph.errors import DTypeError, IndexFault, RankError, ShapeError, UseError
from exprgraph.functions import creation as C
from exprgraph.functions import indexing as I
from exprgraph.functions import joining as J
from exprgraph.functions import shaping as S
from exprgraph.node import Graph, Out
from exprgraph.ops import index as rows
from exprgraph.ops.shape import bcast_size, dim_node, sum_to
from exprgraph.reference import evaluate, sizes
from exprgraph.types import dim_of


def numbers(*shape, dtype="float64"):
    return (np.arange(np.prod(shape, dtype=int)).reshape(shape) * 7 % 23 - 5).astype(dtype)


def values_of(out, values):
    """The arrays of the leaves, given by name."""
    return {n: np.asarray(values[n.name], n.outs[0].dtype) for n in graph.leaves([out])}


def run(out, **values):
    """Evaluate, and check that the type tells the truth about dtype and sizes."""
    given_values = values_of(out, values)
    sizes(Graph(tuple(Out(n) for n in given_values), (out,))).check(given_values)
    (got,) = evaluate([out], given_values)
    leaves = atoms(out.type.shape)
    known = [given_values[a.source].shape[a.axis] if isinstance(a, Size) else int(given_values[a.source]) for a in leaves]
    assert program(out.type.shape, leaves)(known) == got.shape
    assert got.dtype == out.dtype
    return got


def same(got, want):
    assert got.shape == np.shape(want)
    np.testing.assert_array_equal(got, want)


def symbol(name, rank, dtype="float64"):
    return eg.tensor(name, dtype, (None,) * rank)


X = numbers(3, 4)
CUBE = numbers(2, 3, 4)
TABLE = [
    (lambda x: S.reshape(x, (4, 3)), lambda x: x.reshape(4, 3), X),
    (lambda x: S.reshape(x, 2, -1), lambda x: x.reshape(2, -1), X),
    (lambda x: x.reshape((-1,)), lambda x: x.reshape(-1), X),
    (lambda x: x.reshape((2, 6), 2), lambda x: x.reshape(2, 6), X),
    (lambda x: x.reshape((x.shape[1], x.shape[0])), lambda x: x.reshape(4, 3), X),
    (lambda x: x.reshape((x.shape[0] * 2, -1)), lambda x: x.reshape(6, 2), X),
    (lambda x: x.reshape(np.array([6, 2])), lambda x: x.reshape(6, 2), X),
    (lambda x: x.reshape((0, 7)), lambda x: x.reshape(0, 7), numbers(3, 0)),
    (lambda x: x.reshape((3, -1)), lambda x: x.reshape(3, -1), numbers(3, 0)),
    (lambda x: x.reshape(()), lambda x: x.reshape(()), numbers(1, 1)),
    (lambda x: x.flatten(), np.ravel, CUBE),
    (lambda x: S.flatten(x, 2), lambda x: x.reshape(2, 12), CUBE),
    (lambda x: S.flatten(x), np.ravel, numbers()),
    (S.ravel, np.ravel, X),
    (lambda x: x.T, np.transpose, CUBE),
    (lambda x: x.transpose(2, 0, 1), lambda x: x.transpose(2, 0, 1), CUBE),
    (lambda x: S.transpose(x, (0, -1, 1)), lambda x: x.transpose(0, -1, 1), CUBE),
    (lambda x: S.swapaxes(x, 0, -1), lambda x: np.swapaxes(x, 0, -1), CUBE),
    (lambda x: S.moveaxis(x, 0, -1), lambda x: np.moveaxis(x, 0, -1), CUBE),
    (lambda x: S.moveaxis(x, (0, 1), (-1, 0)), lambda x: np.moveaxis(x, (0, 1), (-1, 0)), CUBE),
    (lambda x: x.dimshuffle(1, "x", 0), lambda x: x.T[:, None], X),
    (lambda x: x.dimshuffle(("x", 0, 1)), lambda x: x[None], X),
    (lambda x: x.dimshuffle(1), lambda x: x[0], numbers(1, 4)),
    (lambda x: S.expand_dims(x, (0, -1)), lambda x: np.expand_dims(x, (0, -1)), X),
    (lambda x: S.expand_dims(x, 1), lambda x: np.expand_dims(x, 1), X),
    (lambda x: S.squeeze(x, 0), lambda x: x[0], numbers(1, 4)),
    (lambda x: S.squeeze(x, (0, -1)), lambda x: x[0, :, 0], numbers(1, 4, 1)),
    (lambda x: S.squeeze(S.expand_dims(x, (0, 2))), lambda x: x, X),
    (lambda x: S.shape_padleft(x, 2), lambda x: x[None, None], X),
    (lambda x: S.shape_padright(x), lambda x: x[..., None], X),
    (lambda x: S.shape_padaxis(x, -2), lambda x: x[:, None], X),
    (lambda x: S.addbroadcast(x, 0), lambda x: x, numbers(1, 4)),
    (lambda x: S.patternbroadcast(x, (True, False)), lambda x: x, numbers(1, 4)),
    (lambda x: S.unbroadcast(x, 0), lambda x: x, X),
    (lambda x: S.broadcast_to(x, (2, 3, 4)), lambda x: np.broadcast_to(x, (2, 3, 4)), X),
    (lambda x: S.broadcast_to(x, (5, 4)), lambda x: np.broadcast_to(x, (5, 4)), numbers(1, 4)),
    (lambda x: S.broadcast_to(x, (0, 4)), lambda x: np.broadcast_to(x, (0, 4)), numbers(1, 4)),
    (lambda x: S.broadcast_arrays(x, x[:, :1])[1], lambda x: np.broadcast_to(x[:, :1], x.shape), X),
    (lambda x: S.broadcast_arrays(x[0], x[:, :1])[0], lambda x: np.broadcast_to(x[0], x.shape), X),
    (lambda x: S.specify_shape(x, (3, None)), lambda x: x, X),
    (S.size, np.size, CUBE),
    (lambda x: x.shape[1], lambda x: x.shape[1], CUBE),
    (S.atleast_1d, np.atleast_1d, numbers()),
    (S.atleast_2d, np.atleast_2d, numbers(3)),
    (S.atleast_3d, np.atleast_3d, numbers(3)),
    (S.atleast_3d, np.atleast_3d, numbers(3, 4)),
    (lambda x: J.concatenate([x, x[:1]]), lambda x: np.concatenate([x, x[:1]]), X),
    (lambda x: J.join(1, x, x[:, :0], x), lambda x: np.concatenate([x, x], 1), X),
    (lambda x: J.concatenate([x, x], None), lambda x: np.concatenate([x, x], None), X),
    (lambda x: J.stack([x, x * 2], axis=-1), lambda x: np.stack([x, x * 2], -1), X),
    (lambda x: J.stack([x[0, 0], 3]), lambda x: np.stack([x[0, 0], 3.0]), X),
    (lambda x: J.vstack([x[0], x]), lambda x: np.vstack([x[0], x]), X),
    (lambda x: J.hstack([x, x]), lambda x: np.hstack([x, x]), X),
    (lambda x: J.hstack([x[0], x[1]]), lambda x: np.hstack([x[0], x[1]]), X),
    (lambda x: J.split(x, 2, 1)[1], lambda x: np.split(x, 2, 1)[1], X),
    (lambda x: J.split(x, [1, 3], axis=1)[1], lambda x: np.split(x, [1, 3], 1)[1], X),
    (lambda x: J.split(x, [1, 3], 2, 1)[1], lambda x: x[:, 1:], X),
    (lambda x: J.split(x, splits_size=[1, 2], n_splits=2)[1], lambda x: x[1:], X),
    (lambda x: J.repeat(x, 3, 1), lambda x: np.repeat(x, 3, 1), X),
    (lambda x: x.repeat(2), lambda x: np.repeat(x, 2), X),
    (lambda x: J.repeat(x, x.shape[0], 0), lambda x: np.repeat(x, 3, 0), X),
    (lambda x: J.repeat(x, 0, 0), lambda x: np.repeat(x, 0, 0), X),
    (lambda x: J.tile(x, 2), lambda x: np.tile(x, 2), X),
    (lambda x: J.tile(x, (2, 1, 3)), lambda x: np.tile(x, (2, 1, 3)), X),
    (lambda x: J.tile(x, (2,)), lambda x: np.tile(x, (2,)), numbers(0, 2)),
    (I.flip, np.flip, X),
    (lambda x: I.flip(x, 0), lambda x: np.flip(x, 0), numbers(0, 3)),
    (lambda x: I.roll(x, 2, 1), lambda x: np.roll(x, 2, 1), X),
    (lambda x: I.roll(x, -5), lambda x: np.roll(x, -5), X),
    (I.diagonal, np.diagonal, X),
    (lambda x: I.diagonal(x, 2), lambda x: np.diagonal(x, 2), X),
    (lambda x: I.diagonal(x, -1), lambda x: np.diagonal(x, -1), X),
    (lambda x: I.diagonal(x, 9), lambda x: np.diagonal(x, 9), X),
    (lambda x: I.diagonal(x, -9), lambda x: np.diagonal(x, -9), X),
    (lambda x: I.diagonal(x, 1, 2, 0), lambda x: np.diagonal(x, 1, 2, 0), CUBE),
    (lambda x: I.diag(x, 1), lambda x: np.diag(x, 1), X),
    (lambda x: I.diag(x, -2), lambda x: np.diag(x, -2), numbers(3)),
    (lambda x: I.diag(x, 1), lambda x: np.diag(x, 1), numbers(3)),
    (I.diag, np.diag, numbers(0)),
    (I.trace, np.trace, X),
    (lambda x: I.take(x, [2, 0, -1], 0), lambda x: np.take(x, [2, 0, -1], 0), X),
    (lambda x: I.take(x, [[2, 0], [7, -1]]), lambda x: np.take(x, [[2, 0], [7, -1]]), X),
    (lambda x: x.take(1, axis=1), lambda x: x.take(1, axis=1), X),
    (lambda x: I.take(x, [5, -7, 2], 1, mode="wrap"), lambda x: x.take([5, -7, 2], 1, mode="wrap"), X),
    (lambda x: I.take(x, [5, -7, 2], 1, mode="clip"), lambda x: x.take([5, -7, 2], 1, mode="clip"), X),
    (lambda x: I.take_along_axis(x, np.array([[1, -1], [0, 0], [3, 2]]), 1),
     lambda x: np.take_along_axis(x, np.array([[1, -1], [0, 0], [3, 2]]), 1), X),
    (lambda x: I.take_along_axis(x, np.array([[1], [0], [2]])), lambda x: np.take_along_axis(x, np.array([[1], [0], [2]]), 1), X),
    (lambda x: I.take_along_axis(x, np.array([[1]]), 0), lambda x: x[[1]], X),
    (lambda x: sum_to(x, 1, 3, 1), lambda x: x.sum((0, 2), keepdims=True), CUBE),
    (lambda x: sum_to(x, 4), lambda x: x.sum((0, 1)), CUBE),
    (lambda x: C.zeros_like(x), np.zeros_like, X),
    (lambda x: C.full_like(x, 3, "int8"), lambda x: np.full_like(x, 3, dtype="int8"), X),
    (lambda x: C.zeros((x.shape[1], 2), "int32"), lambda x: np.zeros((4, 2), "int32"), X),
    (lambda x: C.arange(x.shape[0]), lambda x: np.arange(3), X),
    (lambda x: C.arange(x.shape[1], 0, -3), lambda x: np.arange(4, 0, -3), X),
    (lambda x: C.eye(x.shape[0], 5, 1), lambda x: np.eye(3, 5, 1, dtype="float32"), X),
    (lambda x: C.identity_like(x), lambda x: np.eye(3, 4), X),
    (lambda x: C.tril(x, 1), lambda x: np.tril(x, 1), X),
    (C.triu, np.triu, CUBE),
    (lambda x: C.alloc(x, 2, 3, 4), lambda x: np.broadcast_to(x, (2, 3, 4)), X),
]


@pytest.mark.parametrize("case", range(len(TABLE)))
def test_functions(case):
    """C1, C11, C12: the functions give what NumPy gives, known sizes or not; their gradient is the adjoint."""
    ours, theirs, value = TABLE[case]
    want = theirs(value)
    open_sizes = symbol("x", value.ndim)
    for x in (open_sizes, eg.tensor("x", "float64", value.shape)):
        same(run(ours(x), x=value), want)
    out = ours(open_sizes)
    if out.dtype == "float64" and out.node.op.kind != "leaf":
        check_adjoint(out, open_sizes, value)


def check_adjoint(out, x, value):
    """These functions are linear: <g, f(e)> = <f*(g), e>, and the adjoint of the adjoint is the function again."""
    if x.node not in graph.leaves([out]):
        return
    shape = evaluate([out], {x.node: value})[0].shape
    g, e = symbol("g", len(shape)), np.random.default_rng(1).normal(size=value.shape)
    weight = np.random.default_rng(2).normal(size=shape)
    base = evaluate([out], {x.node: value * 0})[0]
    back = eg.grad((out * g).sum(), x, disconnected_inputs="ignore")
    got = run(back, x=value, g=weight)
    assert got.shape == value.shape
    np.testing.assert_allclose((got * e).sum(), ((evaluate([out], {x.node: e})[0] - base) * weight).sum(), rtol=1e-9, atol=1e-9)
    if g.node in graph.leaves([back]):
        again = eg.grad((back * symbol("e", value.ndim)).sum(), g)
        np.testing.assert_allclose(run(again, x=value, g=weight, e=e), evaluate([out], {x.node: e})[0] - base, rtol=1e-9, atol=1e-9)


MADE = [
    (lambda: C.arange(5), np.arange(5)),
    (lambda: C.arange(2, 9, 3), np.arange(2, 9, 3)),
    (lambda: C.arange(9, 2, -3), np.arange(9, 2, -3)),
    (lambda: C.arange(2, 9, -1), np.arange(2, 9, -1)),
    (lambda: C.arange(0, 1, 0.1), np.arange(0, 1, 0.1).astype("float32")),
    (lambda: C.arange(0, 1, 0.1, dtype="float64"), np.arange(0, 1, 0.1)),
    (lambda: C.arange(1.5, 9), np.arange(1.5, 9).astype("float32")),
    (lambda: C.arange(4, dtype="float32"), np.arange(4, dtype="float32")),
    (lambda: C.linspace(0, 1, 0), np.zeros(0, "float32")),
    (lambda: C.linspace(0, 1, 1), np.zeros(1, "float32")),
    (lambda: C.linspace(-1, 3, 7, dtype="float64"), np.linspace(-1, 3, 7)),
    (lambda: C.linspace(0, 1, 4, endpoint=False), np.linspace(0, 1, 4, endpoint=False).astype("float32")),
    (lambda: C.zeros(3), np.zeros(3, "float32")),
    (lambda: C.ones((2, 0)), np.ones((2, 0), "float32")),
    (lambda: C.full((2, 3), 7), np.full((2, 3), 7)),
    (lambda: C.full((2,), 2.5), np.full((2,), 2.5, "float32")),
    (lambda: C.empty(()), np.zeros((), "float32")),
    (lambda: C.eye(3), np.eye(3, dtype="float32")),
    (lambda: C.eye(2, 4, -1, "int8"), np.eye(2, 4, -1, "int8")),
    (lambda: C.tri(3, 4, 1), np.tri(3, 4, 1, "float32")),
    (lambda: C.to_one_hot(np.array([2, 0]), 3), np.eye(3, dtype="float32")[[2, 0]]),
    (lambda: J.stack([C.arange(3)[1], 5]), np.array([1, 5])),
]


@pytest.mark.parametrize("case", range(len(MADE)))
def test_creation(case):
    """C14: ranges, filled tensors and triangles without inputs."""
    made, want = MADE[case]
    same(run(made()), want)


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


@settings(max_examples=500, deadline=None)
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


ERRORS = [
    (lambda x: x[3:, 1, 2, 0], IndexFault, "too many indices: 4"),
    (lambda x: x[..., 0, ...], IndexFault, "one Ellipsis"),
    (lambda x: x[4], IndexFault, r"index 4 is out of bounds for axis 0 of x \(3, 4\): its length is 3"),
    (lambda x: x[:, -5], IndexFault, r"index -5 is out of bounds for axis 1 of x \(3, 4\): its length is 4"),
    (lambda x: x[::0], ShapeError, "slice step cannot be zero"),
    (lambda x: x[1.0], DTypeError, "an index must be an integer"),
    (lambda x: x["a"], DTypeError, "an index must be an integer"),
    (lambda x: x[1.5:], DTypeError, "a slice bound must be an integer"),
    (lambda x: x[x > 0], UseError, "boolean mask"),
    (lambda x: x[True], UseError, "boolean mask"),
    (lambda x: x[[0], [1]], UseError, "several integer arrays"),
    (lambda x: x[eg.argmax(x):], ShapeError, "depends on the values"),
    (lambda x: x.reshape((5, 2)), ShapeError, r"x \(3, 4\) of 12 elements cannot be reshaped to \(5, 2\) of 10"),
    (lambda x: x.reshape((-1, -1)), ShapeError, "only one size can be -1"),
    (lambda x: x.reshape((-1, 0)), ShapeError, "-1 is undetermined"),
    (lambda x: x.reshape((-2, -6)), ShapeError, "a size of reshape is negative: -2"),
    (lambda x: x.reshape((2.5, 2)), DTypeError, "a size must be an integer"),
    (lambda x: x.dimshuffle(0), ShapeError, "axis 1 of x .* cannot be dropped: its length is 4"),
    (lambda x: x.dimshuffle(0, 0, 1), ShapeError, "distinct axes"),
    (lambda x: x.dimshuffle(0, 2), ShapeError, "must hold axes of a tensor of 2 axes"),
    (lambda x: S.transpose(x, (0, 0)), ShapeError, "no order of 2 axes"),
    (lambda x: S.transpose(x, (0, 2)), ShapeError, "axis 2 is out of bounds"),
    (lambda x: S.squeeze(x, 0), ShapeError, "cannot be dropped"),
    (lambda x: S.broadcast_to(x, (3, 5)), ShapeError, "does not broadcast"),
    (lambda x: S.broadcast_to(x, (4,)), ShapeError, "does not broadcast"),
    (lambda x: S.expand_dims(x, tuple(range(40))), RankError, "at most 32 axes"),
    (lambda x: S.specify_shape(x, (3, 5)), ShapeError, r"axis 1 of x \(3, 4\) has 4 elements, not 5"),
    (lambda x: J.concatenate([x, x[0]]), RankError, "one rank"),
    (lambda x: J.concatenate([x, x[:, 1:]]), ShapeError, "axes 1 have sizes 4 and 3"),
    (lambda x: J.concatenate([]), RankError, "at least one"),
    (lambda x: J.split(x, 2), ShapeError, "2 equal parts"),
    (lambda x: J.split(x, splits_size=[1, 1], n_splits=2), ShapeError, "add up to 2"),
    (lambda x: J.repeat(x, [1, 2, 3], 0), UseError, "not supported"),
    (lambda x: I.take(x, [0.5]), DTypeError, "an index must be"),
    (lambda x: I.take_along_axis(x, [1]), RankError, "must agree"),
    (lambda x: I.diag(C.zeros((2, 2, 2))), RankError, "a vector or a matrix"),
    (lambda x: C.arange(0, 3, 0), ShapeError, "the step cannot be 0"),
    (lambda x: C.arange(x.shape[0], 1.5), DTypeError, "integers only"),
    (lambda x: C.zeros((2, -1)), ShapeError, "a size of broadcast_to is negative: -1"),
    (lambda x: C.zeros(x), DTypeError, "a size must be an integer"),
]


@pytest.mark.parametrize("case", range(len(ERRORS)))
def test_errors(case):
    """C8, C9, C11, C12, C13: what cannot be is refused when the graph is built, with the user's line."""
    call, error, message = ERRORS[case]
    with pytest.raises(error, match=message) as found:
        call(eg.tensor("x", "float64", (3, 4)))
    assert "test_movement.py:" in str(found.value)


LATE = [
    (lambda x: x[4], "index 4 is out of bounds for axis 0 of x"),
    (lambda x: x[-5], "index -5 is out of bounds for axis 0 of x"),
    (lambda x: x.reshape((5, -1)), "of 12 elements cannot be reshaped"),
    (lambda x: S.squeeze(x, 1), "cannot be dropped: its length is 4"),
    (lambda x: S.specify_shape(x, (None, 5)), "axis 1 of x .* has 4 elements, not 5"),
    (lambda x: J.concatenate([x, x.T]), "have sizes 4 and 3"),
    (lambda x: J.split(x, 2)[0], "the sizes add up to 2, axis 0 has 3 elements"),
    (lambda x: C.zeros(x.shape[0] - 5), "negative"),
    (lambda x: x[::x.shape[0] - 3], "slice step cannot be zero"),
]


@pytest.mark.parametrize("case", range(len(LATE)))
def test_late_errors(case):
    """What only the sizes of a call show is refused before anything is computed."""
    call, message = LATE[case]
    with pytest.raises((ShapeError, IndexFault), match=message):
        run(call(symbol("x", 2)), x=X)


EQUAL = [
    lambda x, i: (x[1:], x[:-1]), lambda x, i: (x[2:], x[1:-1]), lambda x, i: (x[:3], x[-3:]), lambda x, i: (x[::-1], x),
    lambda x, i: (x[1:][1:], x[:-1][:-1]), lambda x, i: (x[::2][::2], x[::4]), lambda x, i: (x[-2::-1], x[1:]),
    lambda x, i: (x[i:i + 4], x[i:i + 4] * 2), lambda x, i: (J.concatenate([x[:0], x]), x), lambda x, i: (x.reshape((-1, 1))[:, 0], x),
    lambda x, i: (J.repeat(x, 2)[::2], x), lambda x, i: (I.roll(x, i), x), lambda x, i: (C.arange(x.shape[0]), x),
]


@pytest.mark.parametrize("case", range(len(EQUAL)))
def test_provably_equal_sizes(case):
    """Slices that are equally long have equal Dims: nothing has to be decided when the function is called."""
    left, right = EQUAL[case](symbol("x", 1), eg.lscalar("i"))
    assert left.type.shape == right.type.shape


LEAVES = [Out(symbol("x", 2).node), eg.lscalar("i")]
SIZES = [Size(LEAVES[0].node, 0), Size(LEAVES[0].node, 1), Value(LEAVES[1].node)]


def random_dim(rng, depth):
    """A Dim and the same thing computed with plain integers."""
    if not depth or rng.random() < 0.2:
        i, n = rng.randrange(3), rng.randint(-5, 5)
        return (of_atom(SIZES[i]), lambda v: v[i]) if rng.random() < 0.6 else (as_dim(n), lambda v: n)
    (x, f), (y, g) = random_dim(rng, depth - 1), random_dim(rng, depth - 1)
    n = rng.choice([1, 2, 3, 4, -2])
    return rng.choice([
        lambda: (x + y, lambda v: f(v) + g(v)), lambda: (x - y, lambda v: f(v) - g(v)), lambda: (x * y, lambda v: f(v) * g(v)),
        lambda: (x // n, lambda v: f(v) // n), lambda: (x % n, lambda v: f(v) % n),
        lambda: (dims.minimum(x, y), lambda v: min(f(v), g(v))), lambda: (dims.maximum(x, y), lambda v: max(f(v), g(v)))])()


@pytest.mark.parametrize("seed", range(300))
def test_dims_mean_what_they_say(seed):
    """The normal form and its bounds agree with plain integers, and a Dim survives the way to a node and back."""
    rng = random.Random(seed)
    dim, plain = random_dim(rng, rng.choice([1, 2, 3]))
    low, high = bounds(dim)
    node = dim_node(dim)
    assert dim_of(node) == dim
    for _ in range(6):
        v = [rng.randint(0, 9), rng.randint(0, 9), rng.randint(-9, 9)]
        want = plain(v)
        assert program([dim], SIZES)(v) == (want,)
        assert low <= want <= high
    known = {n: np.zeros(v[:2]) if n.outs[0].ndim else np.asarray(v[2]) for n in graph.leaves([node])}
    assert evaluate([node], known)[0] == want


def test_asking_for_a_shape_computes_only_sizes():
    """The shape of a result rests on the sizes of the inputs, not on the result."""
    x, y = symbol("x", 2), symbol("y", 1)
    out = J.concatenate([eg.exp(x) + y, x[1:]], 0)
    needed = {n.op.name for s in out.shape for n in graph.order([s])}
    assert needed <= {"input", "constant", "size", "bcast_size", "add", "mul", "maximum"}
    assert dim_of(bcast_size(x.shape[0], y.shape[0])) == dims.bcast(x.type.shape[0], y.type.shape[0])
    assert x.shape[0] is x.shape[0]


def test_long_chains():
    """B4: slices and concatenations one after the other, deeper than Python's stack."""
    y = symbol("x", 1)
    for _ in range(1000):
        y = J.concatenate([y[1:], y[:1]])
    same(run(y, x=numbers(7)), np.roll(numbers(7), -1000))


def test_deep_sizes():
    """B3: a size that comes of more broadcasts than Python may recurse."""
    xs = eg.vectors(1200)
    total = xs[0]
    for x in xs[1:]:
        total = total + x
    (length,) = total.type.shape
    leaves = atoms([length])
    assert program([length], leaves)([1] * 700 + [5] + [1] * 499) == (5,)
    facts = {leaf.text: as_dim(4) for leaf in leaves}
    assert dims.substitute(length, facts) == 4
    assert bounds(length)[0] == 0
    assert dim_of(dim_node(length)) == length
