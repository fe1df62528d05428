"""Rows of a user's own: generated kernels, gradients, fusion, and rows that share a name with another."""
from __future__ import annotations

import numpy as np
import pytest

import exprgraph as eg
from examples.own_op import sinc
from exprgraph import dtypes
from exprgraph.close import close
from exprgraph.errors import GraphError
from exprgraph.node import Op
from exprgraph.ops.rows import row
from exprgraph.testing import check_grads
from tests.plan_runner import CPU, GPU, interpret

SCHEDULES = ("cpu", "gpu")
POINTS = np.array([0, 0.5, 3, -2, 1e-3, 40], "float64")


def outputs_of(x: eg.Out) -> list[eg.Out]:
    """The op itself, fused into a sum and behind other ops, its gradient and its second gradient."""
    slope = eg.grad(sinc(x).sum(), x)
    return [sinc(x), (2 * sinc(x + 1)).sum(), eg.exp(sinc(x)) * x, slope, eg.grad((slope * x).sum(), x)]


@pytest.mark.parametrize("dtype", dtypes.FLOATS)
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_own_row_on_pocl(schedule: str, dtype: str) -> None:
    x = eg.tensor("x", dtype, (None,))
    outputs = outputs_of(x)
    for values in (POINTS.astype(dtype), POINTS[:1].astype(dtype), np.zeros(0, dtype), np.linspace(-9, 9, 3000).astype(dtype)):
        close(eg.compile([x], outputs, device="pocl", schedule=schedule)(values), outputs, {x.node: values})


@pytest.mark.parametrize("target", [CPU, GPU], ids=SCHEDULES)
def test_own_row_in_the_interpreter(target) -> None:
    x = eg.vector("x")
    outputs = outputs_of(x)
    values = POINTS.astype("float32")
    close(interpret(eg.Graph((x,), tuple(outputs)), [x.node], [values], target), outputs, {x.node: values})


def test_gradients_of_the_own_row() -> None:
    check_grads(sinc, [np.array([0.4, -2, 3])], order=2)


def named(name: str, factor: int, **more) -> Op:
    """A row that multiplies by a number."""
    return row(name, lambda x: x * x.dtype.type(factor), f"{{0}} * {factor}", lambda g, y, x: (g * factor,), takes=dtypes.FLOATS, **more)


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("name", ["twice", "exp", "neg", "add", "sigmoid", "reshape", "size", "cast", "sum_to", "take"])
def test_rows_of_one_name_are_different_rows(name: str, schedule: str) -> None:
    """Two rows of one name, which may be the name of one of exprgraph's own; rules for that one do not apply to them."""
    x = eg.vector("x")
    one, other = named(name, 3), named(name, 5)
    out = one(other(x)) + one(x) - eg.exp(eg.neg(x)) + eg.log(other(one(x)))
    values = np.array([0.5, 1, 2], "float32")
    want = 15 * values + 3 * values - np.exp(-values) + np.log(15 * values)
    np.testing.assert_allclose(eg.compile([x], out, device="pocl", schedule=schedule)(values), want, rtol=1e-5)
    got, = interpret(eg.Graph((x,), (out,)), [x.node], [values], CPU if schedule == "cpu" else GPU)
    np.testing.assert_allclose(got, want, rtol=1e-5)


def test_a_row_named_like_an_integer_op_does_not_enter_sizes() -> None:
    n, x = eg.lscalar("n"), eg.vector("x")
    double = row("neg", lambda n: n * 2, "{0} * 2", takes=dtypes.INTS)
    for device in ("numpy", "pocl"):
        f = eg.compile([n, x], eg.broadcast_to(x, (double(n), x.shape[0])), device=device)
        assert f(3, np.zeros(2, "float32")).shape == (6, 2) and "ReadSize" in f.why()


@pytest.mark.parametrize("make, message", [
    (lambda: row("bare", np.sin, {}, takes=dtypes.FLOATS), "bare has no C spelling for float32"),
    (lambda: row("whole", np.sin, {"i": "{0}"}), "whole has no C spelling for float32"),
    (lambda: eg.ROWS["sum"].changed(name="total"), "total is a row of your own of the kind 'reduce'"),
])
def test_a_row_that_no_kernel_can_compute(make, message: str) -> None:
    x = eg.vector("x")
    out = make()(x)
    assert eg.compile([x], out, device="numpy")(np.ones(2, "float32")) is not None
    with pytest.raises(GraphError, match=message) as caught:
        eg.compile([x], out, device="pocl")
    assert "test_own_op.py" in str(caught.value)
