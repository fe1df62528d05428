"""OpFromGraph and custom_gradient: values, gradients of every order, overrides, forward mode, batches, and what a graph does with them."""
from __future__ import annotations

import warnings

import numpy as np
import pytest

import exprgraph as eg
from exprgraph.batch import batched
from exprgraph.bodies import Body
from exprgraph.errors import CallError, DisconnectedInputError, DTypeError, GradientError, GraphError, NullTypeGradError, RankError
from exprgraph.graph import order
from exprgraph.ops.rows import undefined
from exprgraph.reference import evaluate
from exprgraph.testing import check_grads
from tests.faults import WAYS, run

A, B = np.array([0.5, -1.0, 2.0]), np.array([1.5, 3.0, -0.25])
M = np.linspace(-1, 1, 12).reshape(3, 4)


def op(**options):
    x, y = eg.dvector("x"), eg.dvector("y")
    return eg.OpFromGraph([x, y], [x * eg.sin(y), x + y], name="pair", **options)


def product(**options):
    x, y = eg.dvector("x"), eg.dvector("y")
    return eg.OpFromGraph([x, y], [x * y], name="product", **options)


def grads(function, *point, **options):
    """The gradients of the sum of a function, by NumPy."""
    inputs = [eg.tensor(f"a{k}", "float64", (None,) * np.ndim(p)) for k, p in enumerate(point)]
    found = eg.grad(function(*inputs).sum(), inputs, **options)
    return evaluate(found, {i.node: np.asarray(p) for i, p in zip(inputs, point)})


@pytest.mark.parametrize("way", WAYS)
def test_values_and_gradients(way: str) -> None:
    """On three ways to compute, the same as the graph without the node."""
    pair = op()

    def outputs(m, a, b, node):
        p, q = pair(a * 2, b) if node else (a * 2 * eg.sin(b), a * 2 + b)
        g = eg.grad((p * q).sum(), [a, b])
        return [p, q, *g, *eg.grad((g[0] * g[1]).sum(), [a, b])]
    got = run(way, lambda m, a, b: outputs(m, a, b, True), [A, B])
    wanted = run(way, lambda m, a, b: outputs(m, a, b, False), [A, B])
    for one, other in zip(got, wanted):
        np.testing.assert_allclose(one, other, rtol=1e-12)


def test_a_node_until_it_is_compiled() -> None:
    a = eg.dvector("a")
    out = op()(a, a)[0] + 1
    assert [n.op.name for n in order([out]) if isinstance(n.op, Body)] == ["pair"]
    f = eg.compile([a], out, device="numpy")
    assert not any(isinstance(n.op, Body) for n in order(f.graph.outputs))
    assert "pair" in eg.pp(out) and "pair" in eg.debugprint(out, file="str")
    explained = eg.explain(out, {a: A})
    inside = eg.explain(out, {a: A}, optimized=True)
    assert any("sin" in row.text for row in inside.rows) and inside.first_bad is None
    assert explained.first_bad is None and any("pair" in row.text for row in explained.rows)


def test_it_fuses_with_what_is_around_it() -> None:
    x = eg.vector("x")
    double = eg.OpFromGraph([x], [eg.exp(x) * 2])
    f = eg.compile([x], eg.sin(double(x + 1)) * x, device="pocl")
    assert f.why().count("launch") == eg.compile([x], eg.sin(eg.exp(x + 1) * 2) * x, device="pocl").why().count("launch")


def test_the_same_argument_twice_and_outputs_that_are_inputs() -> None:
    x, y = eg.dvector("x"), eg.dvector("y")
    whole = eg.OpFromGraph([x, y], [x, x * y, x])
    g, = grads(lambda a: sum(whole(a, a)), A)
    np.testing.assert_allclose(g, 2 + 2 * A)


def test_one_output_leads_to_another() -> None:
    x = eg.dvector("x")
    first = x * x
    chain = eg.OpFromGraph([x], [first, first * x])
    g, = grads(lambda a: sum(chain(a)), A)
    np.testing.assert_allclose(g, 2 * A + 3 * A ** 2)


def test_sizes_ranks_and_dtypes_of_arguments() -> None:
    x = eg.tensor("x", "float32", (3, None))
    rows = eg.OpFromGraph([x], [x.sum(axis=0) + x.shape[0]], name="rows")
    a, v = eg.matrix("a"), eg.matrix("v")
    free = eg.OpFromGraph([v], [v.sum(axis=0) + v.shape[0]])
    for shape in ((3, 2), (5, 4), (1, 1), (0, 3)):
        got = eg.compile([a], free(a), device="numpy")(np.ones(shape, "float32"))
        np.testing.assert_array_equal(got, np.full(shape[1], 2.0 * shape[0]))
    known = eg.compile([a], rows(a), device="numpy")  # a length that an input was given is asked for
    assert known(np.ones((3, 2), "float32")).tolist() == [6, 6]
    with pytest.raises(eg.ShapeError, match="(?s)5.*3|3.*5"):
        known(np.ones((5, 2), "float32"))
    with pytest.raises(eg.ShapeError):
        rows(np.ones((5, 2), "float32"))
    n, d = eg.imatrix("n"), eg.dmatrix("d")
    assert rows(eg.bmatrix("b")).dtype == "float32" and rows(np.ones((3, 2), "float32")).dtype == "float32"
    assert rows(n).dtype == "float32"
    with pytest.raises(DTypeError, match=r"(?s)rows: argument 0 \(x\) is float64, float32 is needed.*test_own_gradients"):
        rows(d)
    with pytest.raises(RankError, match=r"rows: argument 0 \(x\) has 1 axes, 2 are needed"):
        rows(eg.vector("v"))
    with pytest.raises(CallError, match="rows takes 1 arguments, 2 given"):
        rows(n, n)


def test_what_it_takes_from_outside() -> None:
    """Shared variables, other inputs and values computed outside become inputs of the node, and have gradients."""
    x, c = eg.dvector("x"), eg.dvector("c")
    w = eg.shared(np.array([1.0, 2, 3]), name="w")
    made = c * c
    cube = eg.OpFromGraph([x], [x * w * made])
    a = eg.dvector("a")
    cost = cube(a * 2).sum()
    got = eg.compile([a, c], eg.grad(cost, [a, c, w, made]), device="numpy")(A, B)
    v = w.get_value()
    for g, wanted in zip(got, (2 * v * B ** 2, 4 * A * v * B, 2 * A * B ** 2, 2 * A * v)):
        np.testing.assert_allclose(g, wanted)
    f = eg.compile([a, c], cube(a), updates={w: w + 1}, device="numpy")
    first = f(A, B)
    np.testing.assert_allclose(f(A, B) - first, A * B ** 2)


def test_disconnected_inputs_of_a_body() -> None:
    x, y = eg.dvector("x"), eg.dvector("y")
    left = eg.OpFromGraph([x, y], [x * eg.disconnected_grad(y)])
    a, b = eg.dvector("a"), eg.dvector("b")
    with pytest.raises(DisconnectedInputError, match="respect to b"):
        eg.grad(left(a, b).sum(), b)
    cut = product(connection_pattern=[[True], [False]])
    with pytest.raises(DisconnectedInputError, match="respect to b"):
        eg.grad(cut(a, b).sum(), b)
    np.testing.assert_allclose(grads(cut, A, B, disconnected_inputs="ignore")[1], 0 * B)


OVERRIDES = {  # what the gradients of x * y become
    "lop": ({"lop_overrides": lambda i, o, g: [o[0] * g[0], i[0] * 10]}, lambda a, b: (a * b, a * 10)),
    "grad": ({"grad_overrides": lambda i, g: [i[1] * 2 * g[0], None]}, lambda a, b: (2 * b, 0 * b)),
    "list": ({"grad_overrides": ["default", lambda i, g: i[0] * 3 * g[0]]}, lambda a, b: (b, 3 * a)),
    "list of None": ({"lop_overrides": [None, "default"]}, lambda a, b: (0 * a, a)),
    "one None": ({"lop_overrides": None}, lambda a, b: (0 * a, 0 * b)),
    "op": ({"grad_overrides": None}, lambda a, b: (0 * a, 0 * b)),
}


@pytest.mark.parametrize("case", OVERRIDES)
def test_overrides(case: str) -> None:
    options, wanted = OVERRIDES[case]
    for got, want in zip(grads(product(**options), A, B), wanted(A, B)):
        np.testing.assert_allclose(got, want)


def test_an_op_as_override() -> None:
    x, y, z, g = eg.dvectors("x", "y", "z", "g") if hasattr(eg, "dvectors") else [eg.dvector(n) for n in "xyzg"]
    slope = eg.OpFromGraph([x, y, z, g], [g * 5, z])
    got = grads(product(lop_overrides=slope), A, B)
    np.testing.assert_allclose(got[0], 5 + 0 * A)
    np.testing.assert_allclose(got[1], A * B)


@pytest.mark.parametrize("make, error, words", [
    (lambda: product(lop_overrides=lambda i, o, g: g, grad_overrides=lambda i, g: g), GradientError, "say the same thing"),
    (lambda: product(lop_overrides=["default"]), GradientError, "lop_overrides has 1 entries where 2 are needed"),
    (lambda: product(lop_overrides=3), GradientError, "lop_overrides: 3: \"default\", a function"),
    (lambda: product(connection_pattern=[[True]]), GraphError, "connection_pattern needs a list for each of the 2 inputs"),
    (lambda: eg.OpFromGraph([], []), GraphError, "inputs=.*a list of symbols is needed"),
    (lambda: eg.OpFromGraph([eg.constant(1.0)], [eg.constant(1.0)]), GraphError, "distinct symbols, none of them a constant"),
    (lambda: grads(product(lop_overrides=lambda i, o, g: g), A, B), GradientError, "gave 1 cotangent where 2 are needed"),
    (lambda: grads(product(lop_overrides=lambda i, o, g: ["3", None]), A, B), GradientError, "gave '3' as cotangent number 0"),
    (lambda: grads(product(lop_overrides=lambda i, o, g: [eg.matrix("m"), None]), A, B), GradientError,
     "cotangent number 0 that the rule of product gave is float32"),
    (lambda: grads(product(lop_overrides=lambda i, o, g: [undefined("no reason"), None]), A, B), NullTypeGradError, "no reason"),
    (lambda: eg.custom_gradient(lambda x: x)(eg.vector()), GradientError, r"returns \(value, pull\)"),
    (lambda: eg.custom_gradient(lambda x: (3, lambda g: g))(eg.vector()), GraphError, "its function gave 3"),
])
def test_wrong_overrides(make, error, words: str) -> None:
    with pytest.raises(error, match=words):
        make()


@eg.custom_gradient
def log1pexp(x):
    e = eg.exp(x)
    return eg.log(1 + e), lambda g: g * (1 - 1 / (1 + e))


@pytest.mark.parametrize("way", WAYS)
def test_custom_gradient(way: str) -> None:
    """Stable where the gradient of what is inside is not."""
    points = np.array([-800.0, 0, 1, 800])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        value, slope, second = run(way, lambda m, x: [y := log1pexp(x), g := eg.grad(y.sum(), x), eg.grad(g.sum(), x)], [points])
    np.testing.assert_allclose(value[:3], np.log1p(np.exp(points[:3])))
    np.testing.assert_allclose(slope, [0, 0.5, 1 / (1 + np.exp(-1)), 1])
    np.testing.assert_allclose(second[1:3], [0.25, np.exp(1) / (1 + np.exp(1)) ** 2])


def test_the_gradient_is_the_one_that_was_given_and_check_grads_sees_it() -> None:
    wrong = eg.custom_gradient(lambda x: (x * x, lambda g: 3 * g * x))
    np.testing.assert_allclose(grads(wrong, A)[0], 3 * A)
    with pytest.raises(AssertionError, match="order 1"):
        check_grads(wrong, (A,))
    check_grads(eg.custom_gradient(lambda x: (x * x, lambda g: 2 * g * x)), (A,), modes=("reverse", "forward"))


def test_custom_gradient_of_several() -> None:
    """Several arguments and results, numbers and keywords that are passed on, None for zero, a shared variable from outside."""
    w = eg.shared(np.array(2.0), name="w")

    @eg.custom_gradient
    def both(x, power, y, *, scale):
        a, b = x ** power * y * w, x + y
        return (a, b), lambda ga, gb: (scale * ga + gb, None)
    x, y = eg.dvector("x"), eg.dvector("y")
    a, b = both(x, 2, y, scale=7.0)
    got = eg.compile([x, y], [a, b, *eg.grad((a + 3 * b).sum(), [x, y, w])], device="numpy")(A, B)
    for value, wanted in zip(got, (A * A * B * 2, A + B, 10 + 0 * A, 0 * B, (A * A * B).sum())):
        np.testing.assert_allclose(value, wanted)
    first = eg.custom_gradient(lambda p, q: ([p * q], lambda g: (g, None)))(x, y)
    assert isinstance(first, list) and len(first) == 1


def test_forward_rules() -> None:
    """Forward mode follows what is inside, or the rule that was given."""
    x, t = eg.dvector("x"), eg.dvector("t")
    plain = eg.custom_gradient(lambda x: (x * x, lambda g: 3 * g * x))
    given = eg.custom_gradient(lambda x: (x * x, lambda g: 3 * g * x, lambda t: 5 * t))
    listed = product(rop_overrides=lambda i, e: [e[0] * 11 + e[1]])
    pair = op()
    outputs = [eg.Rop(plain(x), x, t), eg.Rop(given(x), x, t), eg.Rop(listed(x, x * x), x, t), *eg.Rop(pair(x, x * x), x, t)]
    got = evaluate(outputs, {x.node: A, t.node: B})
    wanted = (2 * A * B, 5 * B, 11 * B + 2 * A * B, np.sin(A * A) * B + A * np.cos(A * A) * 2 * A * B, B + 2 * A * B)
    for value, want in zip(got, wanted):
        np.testing.assert_allclose(value, want)


def test_checked_to_the_second_order_in_both_modes() -> None:
    pair, inner = op(), product()
    check_grads(lambda a, b: pair(a, inner(a, b)), (A, B), modes=("forward", "reverse"))


def test_nested_bodies_and_copies() -> None:
    inner = product()
    x, y = eg.dvector("x"), eg.dvector("y")
    outer = eg.OpFromGraph([x, y], [inner(inner(x, y), y)], name="outer")
    a, b = eg.dvector("a"), eg.dvector("b")
    out = outer(a, b)
    copy = eg.clone(out, {a: b * 2})
    np.testing.assert_allclose(evaluate([out, copy, *eg.grad(out.sum(), [a, b])], {a.node: A, b.node: B}),
                               (A * B * B, 2 * B ** 3, B * B, 2 * A * B))
    np.testing.assert_allclose(eg.compile([b], eg.graph_replace(out, {a: b}), device="numpy")(B), B ** 3)
    np.testing.assert_allclose(eg.compile([b], out, givens={a: b + 1}, device="numpy")(B), (B + 1) * B * B)


def test_what_cannot_be_stored_says_so(tmp_path) -> None:
    a = eg.dvector("a")
    with pytest.raises(GraphError, match="product is no row of exprgraph's own tables"):
        eg.function_dump(tmp_path / "f.npz", [a], product()(a, a))


def test_bodies_with_prints_asserts_and_complex_numbers(capsys) -> None:
    x = eg.dvector("x")
    checked = eg.OpFromGraph([x], [eg.Print("seen")(eg.Assert("negative")(x, x > 0)) * 2])
    a = eg.dvector("a")
    f = eg.compile([a], checked(a), device="numpy")
    f(np.array([1.0]))
    assert "seen" in capsys.readouterr().out
    with pytest.raises(eg.AssertionFault, match="negative"):
        f(np.array([-1.0]))
    z = eg.zvector("z")
    square = eg.OpFromGraph([z], [z * z])
    direct, through = (eg.grad(eg.real(m * eg.conj(m)).sum(), z) for m in (z * z, square(z)))
    value = np.array([1 + 2j, -0.5j])
    np.testing.assert_allclose(*evaluate([direct, through], {z.node: value}))


def test_a_long_chain_of_bodies_stays_linear() -> None:
    counts = []
    for n in (100, 200):
        y = x = eg.dvector("x")
        for _ in range(n):
            y = log1pexp(y)
        counts.append(len(order([eg.grad(y.sum(), x)])))
    assert counts[1] < 2.2 * counts[0]


def test_a_batch_keeps_the_gradient() -> None:
    """Over a batch, in any of the arguments, the gradient and forward rules are still those that were given."""
    mine = eg.custom_gradient(lambda x, y: (x * y.sum(), lambda g: (5 * g * y, 7 * g + y), lambda t, u: 3 * t + u * y))
    x, y, t = eg.dvector("x"), eg.dvector("y"), eg.dvector("t")
    out = mine(x, y)
    xs, ys = eg.dmatrix("xs"), eg.dmatrix("ys")
    values = {xs.node: M, ys.node: M[::-1].copy(), x.node: M[1], y.node: M[2], t.node: M[0]}
    for pairs in ({x: xs}, {y: ys}, {x: xs, y: ys}):
        wide, = batched([out], pairs, xs.shape[0])
        wrt = [pairs.get(x, x), pairs.get(y, y)]
        got = evaluate([wide, *eg.grad(wide.sum(), wrt), eg.Rop(wide, pairs.get(x, x), eg.ones_like(pairs.get(x, x)))], values)
        a, b = np.broadcast_arrays(*(values[w.node] for w in wrt))
        a, b = np.atleast_2d(a), np.atleast_2d(b)
        a, b = np.broadcast_to(a, (3, 4)), np.broadcast_to(b, (3, 4))
        slopes = [5 * b, 7 + b]
        wanted = [a * b.sum(axis=1, keepdims=True), *(s if w.ndim == 2 else s.sum(axis=0) for s, w in zip(slopes, wrt)), 3 + 0 * a]
        for value, want in zip(got, wanted):
            np.testing.assert_allclose(value, want)
    several, = batched([op()(x, y)[1]], {x: xs}, xs.shape[0])
    np.testing.assert_allclose(evaluate([several], values)[0], M + M[2])


def test_a_batch_of_a_checkpoint() -> None:
    x, xs = eg.dvector("x"), eg.dmatrix("xs")
    found = [eg.grad(batched([make(x)], {x: xs}, xs.shape[0])[0].sum(), xs)
             for make in (lambda v: eg.sin(v) * v, eg.checkpoint(lambda v: eg.sin(v) * v))]
    np.testing.assert_allclose(*evaluate(found, {xs.node: M}))


def test_lanes_and_jacobians_of_bodies() -> None:
    """vmap, jacobian and hessian, on PoCL: the gradient is the one that was given, in every lane."""
    x, m = eg.dvector("x"), eg.dmatrix("m")
    wrong = eg.custom_gradient(lambda v: (v * v, lambda g: 7 * g * v))
    again = eg.checkpoint(wrong)
    found = [eg.grad(eg.vmap(wrong)(m).sum(), m), eg.vmap(lambda v: eg.grad(wrong(v).sum(), v))(m),
             eg.jacobian(wrong(x), x, mode="reverse"), eg.jacobian(again(x), x, mode="reverse"), eg.jacobian(wrong(x), x, mode="forward")]
    got = eg.compile([x, m], found, device="pocl")(A, M)
    for value, wanted in zip(got, (7 * M, 7 * M, np.diag(7 * A), np.diag(7 * A), np.diag(2 * A))):
        np.testing.assert_allclose(value, wanted, atol=1e-15)
    np.testing.assert_allclose(eg.hessian(wrong(x).sum(), x).eval({x: A}), 7 * np.eye(3))


def test_pictures_of_bodies() -> None:
    x = eg.dvector("x")
    out = log1pexp(x) * 2
    assert "log1pexp" in eg.to_dot(out) and "log1pexp" in eg.latex(out) and eg.to_networkx(out).number_of_nodes() == 4
    with pytest.raises(eg.UseError, match="log1pexp has no counterpart in sympy"):
        eg.to_sympy(out)
