"""Shapes and creation against NumPy, and what is refused; every result's symbolic shape must be the shape that NumPy finds."""

import numpy as np
import pytest

import exprgraph as eg
from exprgraph.errors import DTypeError, IndexFault, RankError, ShapeError, UseError
from exprgraph.functions import creation as C
from exprgraph.functions import indexing as I
from exprgraph.functions import joining as J
from exprgraph.functions import shaping as S
from exprgraph.ops.shape import sum_to
from tests.movement_cases import CUBE, X, check_adjoint, numbers, run, same, symbol

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


MADE = [
    (lambda: C.arange(5), np.arange(5)),
    (lambda: C.arange(2, 9, 3), np.arange(2, 9, 3)),
    (lambda: C.arange(9, 2, -3), np.arange(9, 2, -3)),
    (lambda: C.arange(2, 9, -1), np.arange(2, 9, -1)),
    (lambda: C.arange(0, 1, 0.1), np.arange(0, 1, 0.1).astype("float32")),
    (lambda: C.arange(0, 1, 0.1, dtype="float64"), np.arange(0, 1, 0.1)),
    (lambda: C.arange(1.5, 9), np.arange(1.5, 9).astype("float32")),
    (lambda: C.arange(4, dtype="float32"), np.arange(4, dtype="float32")),
    (lambda: eg.linspace(0, 1, 0), np.zeros(0, "float32")),
    (lambda: eg.linspace(0, 1, 1), np.zeros(1, "float32")),
    (lambda: eg.linspace(-1, 3, 7, dtype="float64"), np.linspace(-1, 3, 7)),
    (lambda: eg.linspace(0, 1, 4, endpoint=False), np.linspace(0, 1, 4, endpoint=False).astype("float32")),
    (lambda: C.zeros(3), np.zeros(3, "float32")),
    (lambda: C.ones((2, 0)), np.ones((2, 0), "float32")),
    (lambda: C.full((2, 3), 7), np.full((2, 3), 7)),
    (lambda: C.full((2,), 2.5), np.full((2,), 2.5, "float32")),
    (lambda: C.empty(()), np.zeros((), "float32")),
    (lambda: C.eye(3), np.eye(3, dtype="float32")),
    (lambda: C.eye(2, 4, -1, "int8"), np.eye(2, 4, -1, "int8")),
    (lambda: C.tri(3, 4, 1), np.tri(3, 4, 1, "float32")),
    (lambda: C.to_one_hot(np.array([2, 0]), 3), np.eye(3, dtype="float32")[[2, 0]]),
    (lambda: C.to_one_hot(np.array([2**32 + 1, -1, 1, 3]), 3), np.eye(4, 3, 1, dtype="float32")[[3, 3, 0, 3]]),
    (lambda: C.to_one_hot(np.array([2**64 - 1, 1], "uint64"), 2, "int64"), np.array([[0, 0], [0, 1]])),
    (lambda: J.stack([C.arange(3)[1], 5]), np.array([1, 5])),
]


@pytest.mark.parametrize("case", range(len(MADE)))
def test_creation(case):
    """C14: ranges, filled tensors and triangles without inputs."""
    made, want = MADE[case]
    same(run(made()), want)


ERRORS = [
    (lambda x: x[3:, 1, 2, 0], IndexFault, "too many indices: 4"),
    (lambda x: x[..., 0, ...], IndexFault, "one Ellipsis"),
    (lambda x: x[4], IndexFault, r"index 4 is out of bounds for axis 0 of x \(3, 4\): its length is 3"),
    (lambda x: x[:, -5], IndexFault, r"index -5 is out of bounds for axis 1 of x \(3, 4\): its length is 4"),
    (lambda x: x[::0], ShapeError, "slice step cannot be zero"),
    (lambda x: x[1.0], DTypeError, "an index must be an integer"),
    (lambda x: x["a"], DTypeError, "an index must be an integer"),
    (lambda x: x[1.5:], DTypeError, "a slice bound must be an integer"),
    (lambda x: x[[0, 3]], IndexFault, "index 3 is out of bounds for axis 0 with size 3"),
    (lambda x: x[:, np.array([[0], [-5]])], IndexFault, "index -5 is out of bounds for axis 1 with size 4"),
    (lambda x: x[[0, 1], [0, 1, 2]], ShapeError, r"arrays of an index do not broadcast: their shapes are \(2,\), \(3,\)"),
    (lambda x: x[np.ones((3, 5), "bool")], ShapeError, r"axis 1 of x \(3, 4\) has 4 elements, axis 1 of the mask has 5"),
    (lambda x: x[eg.constant(np.ones((4, 4), "int8")) > x.shape[0]], ShapeError, r"axis 0 of x .* has 3 elements, axis 0 of the mask"),
    (lambda x: x[:, None, [True] * 3], ShapeError, r"axis 1 of x \(3, 4\) has 4 elements, axis 0 of the mask has 3"),
    (lambda x: x[[[0]], x > 0], IndexFault, "too many indices: 3"),
    (lambda x: x[{}], DTypeError, "is no tensor"),
    (lambda x: I.take(x, [True]), DTypeError, "take needs integers, not a mask"),
    (lambda x: eg.set_subtensor(x, 1), UseError, r"set_subtensor: the first argument must be an indexed .*\(x\[1:\], y\)"),
    (lambda x: eg.inc_subtensor(x[0] + 1, 1), UseError, "inc_subtensor: the first argument must be an indexed tensor"),
    (lambda x: eg.set_subtensor(3, 1), UseError, "the first argument must be an indexed tensor"),
    (lambda x: x[0].set([1, 2, 3]), ShapeError, r"values of shape \(3,\) do not broadcast to the indexed shape \(4,\)"),
    (lambda x: x[[0, 1], 1:].inc(np.ones((3, 3))), ShapeError, r"values of shape \(3, 3\) do not broadcast to the indexed shape \(2, 3\)"),
    (lambda x: x[0].set(np.ones((2, 1, 4))), ShapeError, r"values of shape \(2, 1, 4\) do not broadcast to the indexed shape \(4,\)"),
    (lambda x: eg.cast(x, "int32")[0].set(1.5), DTypeError, "set_subtensor: float64 values do not fit into a int32 tensor"),
    (lambda x: eg.cast(x, "uint8")[0].inc(-1), DTypeError, "Python integer -1 is out of bounds for uint8"),
    (lambda x: eg.cast(x, "uint8")[0].inc(eg.lvector()), DTypeError, "inc_subtensor: int64 values do not fit into a uint8 tensor"),
    (lambda x: (x > 0)[0].set(2), DTypeError, "set_subtensor: int64 values do not fit into a bool tensor"),
    (lambda x: x[7].set(0), IndexFault, "index 7 is out of bounds for axis 0"),
    (lambda x: x[[0, 7]].set(0), IndexFault, "index 7 is out of bounds for axis 0 with size 3"),
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
    (lambda x: x.reshape((x.shape[0] - 3, -1)), "-1 is undetermined beside sizes whose product is 0"),
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
