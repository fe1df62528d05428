"""Rules that ask for facts: what their lists claim on values that keep to the facts, where they must not apply, and the whole pipeline."""
from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import exprgraph as eg
from exprgraph.facts import known, of
from exprgraph.known.functions import decided
from exprgraph.ops.compare import lt
from exprgraph.patterns import Rule
from exprgraph.reference import evaluate
from exprgraph.rules.catalogue import LISTS
from exprgraph.rules.known import KNOWN, MATRICES, PLACES, VALUES, _over
from tests.known_checks import applied, check_known, matrix
from tests.rule_cases import assert_same_bits

BY_NAME = {r.name: r for r in (*KNOWN, *MATRICES)}
WITHOUT = ("assume of what is known",)


@pytest.mark.parametrize("rule", [r for r in VALUES if r.name not in WITHOUT], ids=lambda r: r.name)
def test_rules_keep_every_bit_where_the_facts_hold(rule: Rule) -> None:
    check_known(rule)


def _two(test: Any) -> Any:
    return lambda match: test(of(match.bound["x"]), of(match.bound["y"]))


PLANTED = [
    (Rule("abs(x), low", lambda x: eg.abs(x), lambda x: x, known("x", low=0, nan=True)), "-0.0"),
    (Rule("relu(x) of NaN", lambda x: eg.relu(x), lambda x: 0, known("x", "nonpositive", nan=True)), "nan"),
    (Rule("relu(x), bounded", lambda x: eg.relu(x), lambda x: x, known("x", "finite")), "becomes"),
    (Rule("sign", lambda x: eg.sign(x), lambda x: 1, known("x", "nonnegative")), "0.0"),
    (Rule("floor of a number", lambda x: eg.floor(x), lambda x: x, known("x", "number")), "becomes"),
    (Rule("isfinite of a number", lambda x: eg.isfinite(x), lambda x: True, known("x", "number")), "False"),
    (Rule("isnan of what is finite or NaN", lambda x: eg.isnan(x), lambda x: False, known("x", "finite", nan=True)), "True"),
    (Rule("maximum of zeros", lambda x, y: eg.maximum(y, x), lambda x, y: x, _two(_over)), "0.0"),
    (Rule("maximum of NaN", lambda x, y: eg.maximum(x, y), lambda x, y: x, _two(lambda x, y: x.low >= y.high)), "nan"),
    (Rule("lt of NaN", lambda x, y: lt(x, y), lambda x, y: True, _two(lambda x, y: x.high < y.low)), "False"),
    (Rule("lt of equals", lambda x, y: lt(x, y), lambda x, y: True, _two(lambda x, y: x.high <= y.low), kinds="i"), "False"),
    (Rule("x % y of negatives", lambda x, y: eg.mod(x, y), lambda x, y: x, _two(lambda x, y: x.high < y.low), kinds="i"), "becomes"),
    (Rule("x // y", lambda x, y: eg.int_div(x, y), lambda x, y: 0, _two(lambda x, y: x.low >= 0 and x.high <= y.low), kinds="u"),
        "becomes"),
    (Rule("never", lambda x: eg.exp(x), lambda x: x, lambda m: of(m.bound["x"]).low > of(m.bound["x"]).high), "does not apply"),
]


@pytest.mark.parametrize("rule, where", PLANTED, ids=lambda r: getattr(r, "name", ""))
def test_planted_rules_are_caught(rule: Rule, where: str) -> None:
    with pytest.raises(AssertionError, match=where):
        check_known(rule)


S, L, U, Q = {"symmetric"}, {"lower_triangular"}, {"upper_triangular"}, {"orthogonal"}
TRIANGLES: Any = {"tril": (eg.tril, L), "tril 1": (lambda x: eg.tril(x, 1), L), "triu": (eg.triu, U),
    "triu -1": (lambda x: eg.triu(x, -1), U)}
ORDER = {"sort of sorted": eg.sort, "argsort of sorted": eg.argsort}
OF_RULE: dict[str, tuple[list[Any], list[Any]]] = {  # for each rule about places: where it applies, and where it must not
    "transpose of symmetric": (
        [lambda: matrix(S).T, lambda: matrix(S, "int8").T, lambda: matrix(S, rank=3).dimshuffle(0, 2, 1)],
        [lambda: matrix(L).T, lambda: matrix(S, rank=3).T, lambda: matrix(S, rank=3).dimshuffle(1, 0, 2),
            lambda: matrix(S).dimshuffle(1, "x", 0)]),
    "sort of sorted": ([lambda: eg.sort(eg.assume(eg.vector("x"), "sorted")), lambda: eg.sort(eg.arange(5)),
        lambda: eg.sort(eg.sort(eg.ivector("x")))],
                       [lambda: eg.sort(eg.assume(eg.matrix("x"), "sorted"), axis=0), lambda: eg.sort(eg.sort(eg.vector("x")))]),
    "argsort of sorted": ([lambda: eg.argsort(eg.assume(eg.vector("x"), "sorted"))],
        [lambda: eg.argsort(eg.assume(eg.matrix("x"), "sorted"))]),
    "switch(c, x, 0), x a triangle inside": (
        [lambda f=f, w=w: f(matrix(w)) for f, w in TRIANGLES.values()],
        [lambda: eg.tril(matrix(U)), lambda: eg.tril(matrix(L), -1), lambda: eg.triu(matrix(L)),
            lambda: eg.switch(eg.matrix("c") > 0, matrix(L), 0)]),
    "x @ x.T, x orthogonal": (
        [lambda: (lambda q: q.T @ q)(matrix(Q)), lambda: (lambda q: q @ q.T)(matrix(Q))],
        [lambda: (lambda q: q @ q)(matrix(Q)), lambda: matrix(Q).T @ matrix(Q), lambda: (lambda q: q @ q.T)(matrix(S))]),
    "x @ y, y diagonal": ([lambda: eg.matrix("a") @ matrix(L | U | S), lambda: eg.tensor3("a") @ matrix(L | U | S)],
        [lambda: eg.matrix("a") @ matrix(L), lambda: eg.matrix("a") @ matrix(L | U)]),
    "y @ x, y diagonal": ([lambda: matrix(L | U | S) @ eg.matrix("a"), lambda: matrix(L | U, rank=3, size=3) @ eg.matrix("a")],
        [lambda: matrix(U) @ eg.matrix("a")]),
}


@pytest.mark.parametrize("name", OF_RULE)
def test_rules_about_places_and_matrices(name: str) -> None:
    """Exact ones to the bit, real ones up to rounding, on values that keep to the words."""
    rule, (yes, no) = BY_NAME[name], OF_RULE[name]
    for make in yes:
        left = make()
        inputs = eg.explicit_graph_inputs([left])
        right = applied(rule, left, inputs)
        assert right is not None and (right.dtype, right.ndim) == (left.dtype, left.ndim), name
        values = {x.node: _kept(x) for x in inputs}
        before, after = evaluate([left, right], values)
        if rule in PLACES:
            assert_same_bits(name, before, after)
        np.testing.assert_allclose(after, before, rtol=1e-5, atol=1e-6)
    for make in no:
        left = make()
        assert applied(rule, left, eg.explicit_graph_inputs([left])) is None, name


def _kept(x: Any) -> np.ndarray:
    """An array of what is known of an input; of unknown ones in order, since some are assumed to be."""
    holds, rng = of(x).holds, np.random.default_rng(5)
    a = rng.standard_normal((3,) * x.ndim).astype("float64")
    a = np.maximum(a, a.swapaxes(-1, -2)) if "symmetric" in holds else a
    a = np.tril(a) if "lower_triangular" in holds else a
    a = np.triu(a) if "upper_triangular" in holds else a
    a = np.linalg.qr(a)[0] if "orthogonal" in holds else a
    if x.ndim == 1:
        return np.sort((a * 10).astype(x.dtype))
    return (a * 3 if x.dtype == "int8" else a).astype(x.dtype)


def test_every_rule_is_tried() -> None:
    assert {r.name for r in (*PLACES, *MATRICES)} == set(OF_RULE)
    assert set(KNOWN) <= set(LISTS["exact"]) and set(MATRICES) <= set(LISTS["real"])
    assert len({(r.name, r.kinds) for rules in LISTS.values() for r in rules}) == sum(map(len, LISTS.values()))


X, M = eg.vector("x"), eg.matrix("m")
PIPELINE = {
    "abs of exp less 1": (lambda: abs(eg.exp(X) + 1), "exp(x) + 1"),
    "maximum with a bound": (lambda: eg.maximum(eg.sigmoid(X), 0), "sigmoid(x)"),
    "clip of tanh": (lambda: eg.clip(eg.tanh(X), -1, 1), "tanh(x)"), "whole": (lambda: eg.floor(eg.sign(X)), "sign(x)"),
    "positions": (lambda: eg.arange(8) % 8, "iota(8, dtype='int64')"), "choice": (lambda: eg.where(eg.exp(X) < 0, X, eg.sin(X)), "sin(x)"),
    "sum of squares": (lambda: abs(eg.sqr(X).sum()), "sum(sqr(x))"), "assumed": (lambda: abs(eg.assume(X, "positive")), "x"),
    "assumed in between": (lambda: eg.log(eg.assume(1 + eg.exp(X), "positive")), "softplus(x)"),
    "assumed and transposed": (lambda: eg.assume(M, "symmetric").T, "m"),
    "assumed bounds": (lambda: eg.clip(eg.assume(X, low=0, high=0.1), 0, 0.1), "x"),
    "assumed NaN": (lambda: abs(eg.assume(X, "nonnegative", nan=True)), "x"),
    "zeros": (lambda: abs(eg.assume(X, low=0)), "abs(x)"), "no number": (lambda: eg.exp(X) >= 0, "exp(x) >= 0"),
    "identity": (lambda: eg.eye(3).T,
        "t1 = iota(3, dtype='int64')\ncast(dimshuffle(t1, 0, 'x') == dimshuffle(t1, 'x', 0), dtype='float32')"),
}


@pytest.mark.parametrize("name", PIPELINE)
@pytest.mark.parametrize("level", ["default", "fast_compile"])
def test_the_pipeline_uses_facts(name: str, level: str) -> None:
    make, wanted = PIPELINE[name]
    out = make()
    f = eg.compile([x for x in (X, M) if x.node in set(eg.graph.order([out]))], out, device="numpy", optimizer=level)
    if level == "default" or name != "assumed in between":
        assert eg.pp(f.graph.outputs[0]) == wanted


def test_real_rules_of_matrices_at_the_level_unsafe() -> None:
    d, v = eg.matrix("d"), np.diag([1.0, 2, 3]).astype("float32")
    f = eg.compile([M, d], M @ eg.assume(d, "diagonal"), device="numpy", optimizer="unsafe")
    assert "matmul" not in {n.op.name for n in eg.graph.order(f.graph.outputs)}
    a = np.arange(6, dtype="float32").reshape(2, 3)
    np.testing.assert_array_equal(f(a, v), a @ v)


def test_decided_compares_nothing_that_is_not_known() -> None:
    assert decided(lt, of(X), of(X)) is None
