"""Python functions as ops: values on every backend, sizes, rules, and what goes wrong in the function."""
from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import exprgraph as eg
from exprgraph.testing import check_grads
from tests.faults import WAYS

A = np.arange(6, dtype="float32").reshape(3, 2)
B = np.array([2, -1], "float32")
CALLS: list[str] = []


def _counted(name: str, result: Any) -> Any:
    CALLS.append(name)
    return result


@eg.as_op(itypes=[eg.fmatrix, eg.fvector], otypes=[eg.fvector], infer_shape=lambda node, shapes: [shapes[0][:1]],
          grad=lambda g, y, a, b: (eg.outer(g, b), eg.dot(a.T, g)),
          forward=lambda tangents, y, a, b: eg.dot(a if tangents[0] is None else tangents[0], b),
          batch=lambda inputs, mapped, size: eg.zeros((size, 3)))
def product(a, b):
    """A matrix times a vector."""
    return _counted("product", a @ b)


@eg.as_op([eg.fmatrix], [eg.fvector, eg.fscalar, eg.TensorType("int64", (2,))], lambda shapes: [shapes[0][1:], (), (2,)],
          grad=lambda gs, ys, a: (eg.zeros_like(a) + gs[0] + gs[1],))
def three(a):
    """Column sums, the sum of all, the shape."""
    return _counted("three", (a.sum(0), a.sum(dtype="float32"), np.array(a.shape)))


@eg.as_op([eg.fvector], [eg.fvector])
def positive(x):
    """A result whose size the values decide."""
    return _counted("positive", x[x > 0])


@pytest.fixture(params=WAYS)
def way(request) -> dict[str, Any]:
    CALLS.clear()
    return WAYS[request.param]


def test_values_beside_fused_kernels(way) -> None:
    a, b = eg.fmatrix("a"), eg.fvector("b")
    f = eg.compile([a, b], [product(a * 2, b) + 1, product(a, 2 * b).sum()], **way)
    assert CALLS == []  # compiling runs no function of the user's
    for x in (A, A[::-1], np.asfortranarray(A), A[:0]):
        got = f(x, B)
        np.testing.assert_array_equal(got[0], x @ B * 2 + 1)
        np.testing.assert_array_equal(got[1], (x @ (2 * B)).sum())
    assert CALLS == ["product"] * 8


def test_several_outputs_are_one_call(way) -> None:
    a = eg.fmatrix("a")
    sums, total, shape = three(a + 1)
    np.testing.assert_array_equal(eg.compile([a], total * 2, **way)(A), 2 * (A + 1).sum())
    CALLS.clear()
    got = eg.compile([a], [sums * 2, total, shape, sums + total], **way)(A)
    assert CALLS == ["three"]
    for x, want in zip(got, [(A + 1).sum(0) * 2, (A + 1).sum(), [3, 2], (A + 1).sum(0) + (A + 1).sum()]):
        np.testing.assert_array_equal(x, want)


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint64", "float16", "float32", "float64"])
def test_every_dtype_and_scalars(way, dtype: str) -> None:
    """Scalars, constants, sizes and transposed tensors are handed over as the types say."""
    kinds = [(dtype, 2), (dtype, 0), ("int64", 0), (dtype, 1)]
    seen = []

    @eg.as_op(kinds, [(dtype, 2)], lambda shapes: shapes[0])
    def look(*arrays):
        seen.append([(a.dtype.name, a.shape, a.flags.writeable) for a in arrays])
        return (arrays[0] | arrays[1] if dtype == "bool" else arrays[0] + arrays[1] + arrays[3][0]).astype(dtype)
    x, s = eg.tensor("x", dtype, (None, None)), eg.tensor("s", dtype, ())
    constant = eg.constant(np.ones(1, dtype))
    out = look(x.T, s, x.shape[0], constant)
    values, scalar = np.eye(2, 3, dtype=dtype), np.ones((), dtype)
    got = eg.compile([x, s], out, **way)(values, scalar)
    assert got.dtype == dtype
    np.testing.assert_array_equal(got, values.T | True if dtype == "bool" else values.T + 2)
    assert seen == [[(dtype, (3, 2), False), (dtype, (), False), ("int64", (), False), (dtype, (1,), False)]]


def test_a_size_that_values_decide(way) -> None:
    x = eg.fvector("x")
    f = eg.compile([x], positive(x - 1) * 2, **way)
    for values in ([1, 2, 3], [0, 0], [5], []):
        values = np.array(values, "float32")
        np.testing.assert_array_equal(f(values), 2 * (values - 1)[values > 1])
    assert "ReadSize" in f.why()


def test_sizes_that_nothing_tells() -> None:
    impure = eg.as_op([eg.fvector], [eg.fvector], pure=False)(lambda x: x)
    with pytest.raises(eg.ShapeError, match="is not pure .*: give infer_shape=") as caught:
        impure(eg.fvector())
    assert "test_as_op.py" in str(caught.value)
    known = eg.as_op([eg.fvector], [eg.TensorType("float32", (3,)), eg.fscalar], pure=False)(lambda x: (x[:3], x[0]))
    assert known(eg.fvector())[0].type.shape[0].const == 3


def test_pure_calls_are_merged_and_impure_ones_are_not(way) -> None:
    x = eg.fvector("x")

    def make(pure):
        return eg.as_op([eg.fvector], [eg.fvector], lambda shapes: shapes[0], pure=pure)(lambda x: _counted(str(pure), x + 1))
    for pure, calls in ((True, 1), (False, 2)):
        CALLS.clear()
        op = make(pure)
        f = eg.compile([x], op(x) * op(x), **way)
        np.testing.assert_array_equal(f(B), (B + 1) ** 2)
        assert len(CALLS) == calls and set(CALLS) == {str(pure)}


def test_an_impure_call_of_constants_is_left_to_the_call(way) -> None:
    op = eg.as_op([eg.fvector], [eg.fvector], lambda shapes: shapes[0], pure=False)(lambda x: _counted("now", x + len(CALLS)))
    f = eg.compile([], op(eg.constant(B)), **way)
    assert CALLS == []
    np.testing.assert_array_equal([f(), f()], [B, B + 1])


@pytest.mark.parametrize("result, message", [
    (lambda x: x.astype("float64"), r"gave float64 with 1 axes as output 0, its type is float32\(\?\)"),
    (lambda x: x[None], "gave float32 with 2 axes as output 0"),
    (lambda x: x[1:], r"gave shape \(1,\) as output 0, \(2,\) was expected by its infer_shape"),
    (lambda x: None, "gave object with 0 axes"),
    (lambda x: 1 / 0, "raised ZeroDivisionError: division by zero"),
    (lambda x: x.__setitem__(0, 1), "raised ValueError: assignment destination is read-only"),
])
def test_faults_of_the_function(way, result, message: str) -> None:
    """The error says what and where; shared variables are as they were, and the function works on."""
    bad = [True]
    op = eg.as_op([eg.fvector], [eg.fvector], lambda shapes: shapes[0], name="mine")(lambda x: result(x) if bad[0] else x + 1)
    x, total = eg.fvector("x"), eg.shared(np.zeros(2, "float32"))
    f = eg.compile([x], op(x * 2).sum(), updates={total: total + x}, **way)
    with pytest.raises(eg.OwnOpError, match="mine " + message) as caught:
        f(B)
    assert "test_as_op.py" in str(caught.value)
    assert "raised" not in message or type(caught.value.__cause__).__name__ in message
    np.testing.assert_array_equal(total.get_value(), [0, 0])
    bad[0] = False
    np.testing.assert_array_equal(f(B), (B * 2 + 1).sum())
    np.testing.assert_array_equal(total.get_value(), B)


def test_two_results_where_one_is_promised() -> None:
    op = eg.as_op([eg.fvector], [eg.fvector, eg.fscalar], lambda shapes: [shapes[0], ()], name="pair")(lambda x: x)
    x = eg.fvector("x")
    with pytest.raises(eg.OwnOpError, match="pair gave 1 value, 2 are needed"):
        eg.compile([x], op(x)[0], device="numpy")(B)


def test_an_interrupt_is_not_ours_to_wrap(way) -> None:
    def interrupted(x):
        raise KeyboardInterrupt
    x = eg.fvector("x")
    f = eg.compile([x], eg.as_op([eg.fvector], [eg.fvector], lambda shapes: shapes[0])(interrupted)(x), **way)
    with pytest.raises(KeyboardInterrupt):
        f(B)


@pytest.mark.parametrize("call, error, message", [
    (lambda x: product(x), eg.CallError, "product takes 2 arguments, 1 given"),
    (lambda x: product(x, x), eg.RankError, "product: argument 1 has 2 axes"),
    (lambda x: product(x.astype("float64"), x[0]), eg.DTypeError, "product: argument 0 is float64"),
    (lambda x: eg.as_op([eg.lscalar], [eg.lscalar], name="whole")(abs)(2.5), eg.DTypeError, "whole: argument 0 is 2.5"),
    (lambda x: eg.as_op([float], [eg.fvector]), TypeError, "is no type: write eg.fmatrix"),
    (lambda x: eg.as_op([eg.zvector], [eg.fvector])(abs), eg.DTypeError, "as_op does not take complex128"),
    (lambda x: eg.as_op([eg.fmatrix], [eg.fvector], lambda s: [(1, 2)])(abs)(x), eg.ShapeError, "gave 2 sizes for output 0"),
    (lambda x: eg.as_op([eg.fmatrix], [eg.fscalar, eg.fscalar], lambda s: [()])(abs)(x), eg.ShapeError, "infer_shape of abs gave 1 value"),
])
def test_refusals(call, error, message: str) -> None:
    with pytest.raises(error, match=message):
        got = call(eg.fmatrix("x"))
        got(eg.fvector())


def test_arguments_are_cast_where_nothing_is_lost(way) -> None:
    k = eg.tensor("k", "int16", (None,))
    f = eg.compile([k], product(eg.ones((3, 2), "float32"), k), **way)
    np.testing.assert_array_equal(f(np.array([1, 2], "int16")), [3, 3, 3])


def test_gradients_are_the_users(way) -> None:
    a, b = eg.fmatrix("a"), eg.fvector("b")
    cost = (product(a, b) ** 2).sum() + three(a)[1] * 3 + three(a)[0].sum()
    got = eg.compile([a, b], eg.grad(cost, [a, b]), **way)(A, B)
    np.testing.assert_allclose(got[0], 2 * np.outer(A @ B, B) + 4)
    np.testing.assert_allclose(got[1], 2 * A.T @ (A @ B))


def test_gradients_to_second_order() -> None:
    def solve(a, b):
        return np.linalg.solve(a, b)
    op = eg.as_op([eg.dmatrix, eg.dvector], [eg.dvector], lambda s: s[1],
                  grad=lambda g, y, a, b: ((lambda z: (-eg.outer(z, y), z))(op(a.T, g))))(solve)
    check_grads(op, [np.eye(3) * 3 + np.arange(9).reshape(3, 3) / 9, np.arange(3.0)], order=2)


def test_no_gradient_is_said_so() -> None:
    x = eg.fvector("x")
    op = eg.as_op([eg.fvector], [eg.fvector], lambda s: s[0], name="opaque")(np.sort)
    with pytest.raises(eg.GradientError, match="opaque has no gradient"):
        eg.grad(op(x).sum(), x)
    few = eg.as_op([eg.fvector], [eg.fvector], lambda s: s[0], grad=lambda g, y, x: (g, g), name="few")(np.sort)
    with pytest.raises(eg.GradientError, match="grad of few gave 2 values, 1 is needed"):
        eg.grad(few(x).sum(), x)


def slot(out: eg.Out, which: str, *args: Any) -> Any:
    """A rule of the row of a node, called with the node's inputs as the machinery does."""
    node = out.node
    params = dict(node.params)
    if which == "forward":
        return node.op.forward(*args, out, *node.inputs, **params)
    return node.op.batch(*args, **params)


def test_forward_rules_are_the_users() -> None:
    a, b, t = eg.fmatrix("a"), eg.fvector("b"), eg.fmatrix("t")
    out = product(a, b)
    padding = (None,) * (len(out.node.inputs) - 1)
    got = slot(out, "forward", (t, *padding))
    np.testing.assert_array_equal(eg.compile([a, b, t], got, device="numpy", on_unused_input="ignore")(A, B, A + 1), (A + 1) @ B)
    assert three(a)[0].node.op.forward is None


def test_batch_rules(way) -> None:
    """The user's rule where there is one; else the function is called for each lane."""
    a, b, n = eg.fmatrix("a"), eg.fvector("b"), eg.lscalar("n")
    out = product(a, b)
    got = slot(out, "batch", out.node.inputs, (True, False) + (False,) * (len(out.node.inputs) - 2), n)
    assert eg.compile([n], got, **way)(4).shape == (4, 3)
    lanes = eg.ftensor3("lanes")
    sums = three(a)
    inputs = (lanes, *sums[0].node.inputs[1:])
    got = [slot(s, "batch", inputs, (True,) + (False,) * (len(inputs) - 1), lanes.shape[0]) for s in sums]
    values = np.arange(24, dtype="float32").reshape(4, 3, 2)
    CALLS.clear()
    results = eg.compile([lanes, a], got, on_unused_input="ignore", **way)(values, A)
    assert CALLS == ["three"] * 4
    for r, want in zip(results, [values.sum(1), values.sum((1, 2)), [[3, 2]] * 4]):
        np.testing.assert_array_equal(r, want)


def test_a_function_of_the_users_cannot_be_stored(tmp_path) -> None:
    a, b = eg.fmatrix("a"), eg.fvector("b")
    with pytest.raises(eg.GraphError, match="product is no row of exprgraph's own tables and cannot be stored"):
        eg.function_dump(str(tmp_path / "f"), [a, b], product(a, b))


def test_the_function_is_still_there() -> None:
    assert product.__wrapped__ is product.function and product.__doc__ == "A matrix times a vector." and product.__name__ == "product"
    assert repr(product) == "<op product>"
    f = eg.compile([a := eg.fmatrix("a")], three(a)[0], device="pocl", schedule="cpu")
    assert "function 'three' of your own" in f.why()


def test_a_function_may_call_compiled_functions(way) -> None:
    x = eg.fvector("x")
    inner = eg.compile([x], eg.exp(x) * 2, **way)
    outer = eg.compile([x], eg.as_op([eg.fvector], [eg.fvector], lambda s: s[0])(lambda v: inner(v) + 1)(x + 1) * 2, **way)
    np.testing.assert_allclose(outer(B), (np.exp(B + 1) * 2 + 1) * 2, rtol=1e-6)
