"""assume(): what refuses it, gradients, batches, files, devices, and DebugMode; conditions of rules of one's own."""
from __future__ import annotations

import inspect
import pickle
from typing import Any

import numpy as np
import pytest

import exprgraph as eg
from exprgraph.errors import AssertionFault, DTypeError, GraphError, OptionError, RankError, ShapeError, UseError
from exprgraph.known.words import WORDS, Wanted, broken, facts

X, M, N = eg.vector("x"), eg.matrix("m"), eg.ivector("n")


def line() -> int:
    """The line of the caller."""
    frame = inspect.currentframe()
    assert frame is not None and frame.f_back is not None
    return frame.f_back.f_lineno


BAD: dict[str, Any] = {
    "a word that is none": (lambda: eg.assume(X, "positve"), OptionError, r"assume: 'positve' is no word; did you mean 'positive'\?"),
    "another": (lambda: eg.assume(X, "banana"), OptionError, "words are positive, negative"),
    "no word": (lambda: eg.assume(X, 3), OptionError, "3 is no word"),
    "nothing": (lambda: eg.assume(X), OptionError, "a word is needed, or a bound"),
    "a bound that is none": (lambda: eg.assume(X, low="a"), UseError, "low='a': a number is needed"),
    "a bound that is a symbol": (lambda: eg.assume(X, high=X), UseError, "high=.*a number is needed"),
    "NaN": (lambda: eg.assume(X, high=float("nan")), UseError, "high=nan"),
    "bounds": (lambda: eg.assume(X, low=2, high=1), UseError, "low=2 is above high=1"),
    "two words": (lambda: eg.assume(X, "positive", "negative"), GraphError, "positive, negative.: no float32 is all of that"),
    "unsigned": (lambda: eg.assume(eg.cast(N, "uint8"), "negative"), GraphError, "no uint8"),
    "the op": (lambda: eg.assume(eg.exp(X), "negative"), GraphError, r"it is known to be in \[0.0, inf\]"),
    "a value": (lambda: eg.assume(np.array([1.0, 2]), high=0), GraphError, r"\[1.0, 2.0\]"),
    "another assumption": (lambda: eg.assume(eg.assume(N, low=3), high=2), GraphError, r"\[3, "),
    "a vector": (lambda: eg.assume(X, "symmetric"), RankError, "at least 2 axes is needed, not 1"),
    "a scalar": (lambda: eg.assume(eg.scalar(), "sorted"), RankError, "at least 1 axes"),
    "not square": (lambda: eg.assume(eg.ones((2, 3)), "orthogonal"), ShapeError, r"\(2, 3\) is not square"),
    "complex": (lambda: eg.assume(eg.zvector("z"), "number"), DTypeError, "does not take complex128"),
    "a condition": (lambda: eg.facts.known("x", "positve"), OptionError, "known: 'positve'"),
    "a condition about nothing": (
        lambda: eg.Rule("r", lambda x: eg.exp(x), lambda x: x, eg.facts.known("y", "positive")), OptionError,
            "is about 'y', which is no argument"),
}


@pytest.mark.parametrize("name", BAD)
def test_mistakes_have_the_users_line(name: str) -> None:
    call, error, text = BAD[name]
    with pytest.raises(error, match=text) as told:
        call()
    assert f"test_assuming.py:{call.__code__.co_firstlineno}" in str(told.value).splitlines()[-1] or "\n  at " in str(told.value)
    assert eg.facts.of(X) == eg.facts.of(eg.vector("y"))


HOLD: dict[str, Any] = {  # for each word an array that keeps to it, and some that do not
    "positive": ([1e-45, np.inf], [0.0], [np.nan], [-1]), "negative": ([-1e-45], [0.0], [1]),
    "nonnegative": ([0.0, 2], [-0.0], [-1], [np.nan]),
    "nonpositive": ([0.0, -0.0, -2], [1]), "finite": ([1e38], [np.inf], [np.nan]), "number": ([np.inf], [np.nan]),
    "integer": ([2.0, -0.0], [0.5], [np.nan]),
    "unique": ([3, 1], [1, 1], [0.0, -0.0]), "sorted": ([1, 1, 2], [2, 1], [1, np.nan]),
    "symmetric": ([[1, 2], [2, np.nan]], [[1, 2], [3, 1]], [[0, 0.0], [-0.0, 0]], [[1, 2]]),
    "diagonal": ([[1, 0], [0, np.inf]], [[1, 1], [0, 1]], [[1, 0], [2, 1]]), "lower_triangular": ([[1, -0.0], [2, 1]], [[1, 2], [0, 1]]),
    "upper_triangular": ([[1, 2], [0, 1]], [[1, 0], [2, 1]]), "orthogonal": ([[0, 1], [-1, 0]], [[1, 1], [0, 1]]),
    "positive_semidefinite": ([[2, 1], [1, 2]], [[1, 2], [2, 1]], [[1, 2], [3, 9]])}


@pytest.mark.parametrize("word", WORDS)
def test_DebugMode_looks_at_every_word(word: str) -> None:
    good, *bad = (np.array(a, "float32") for a in HOLD[word])
    x = M if good.ndim == 2 else X
    f, here = eg.compile([x], eg.assume(x, word) * 2, mode="DebugMode", device="numpy"), line()
    np.testing.assert_array_equal(f(good), good * 2)
    for array in bad:
        with pytest.raises(AssertionFault, match=rf"assume\(.*{word}\): .*\n.*test_assuming.py:{here}"):
            f(array)
    np.testing.assert_array_equal(f(good), good * 2)
    told = facts(Wanted((word,)), "float32")
    assert told is not None and broken(told, good) is None


def test_DebugMode_looks_at_bounds_and_at_what_rules_have_used_up() -> None:
    y = eg.assume(X * 2, low=-0.1, high=4)
    f = eg.compile([X], eg.isnan(y), mode="DebugMode", device="numpy")
    assert "mul" not in {n.op.name for n in eg.graph.order(f.graph.outputs)} and not f([2]).any() and not f([-0.05]).any()
    for bad in (2.5, -1, np.nan):
        with pytest.raises(AssertionFault, match="below|above|NaN"):
            f([bad])
    free = eg.compile([X], eg.assume(X, "positive", nan=True), mode="DebugMode", device="numpy")
    assert np.isnan(free([np.nan])).all()
    with pytest.raises(AssertionFault, match="below 1.4"):
        free([0])


def test_calls_do_not_look_at_values_otherwise() -> None:
    f = eg.compile([X], abs(eg.assume(X, "positive")), device="numpy")
    assert f([-1]) == -1, "what is assumed is not checked"
    assert eg.compile([X], abs(eg.assume(X, "positive")), device="numpy", optimizer="none")([-1]) == 1


@pytest.mark.parametrize("level", ["none", "fast_compile", "default", "unsafe"])
def test_kernels_do_nothing_for_it(level: str, monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(eg.config, "cache", str(tmp_path))
    plain, told = (eg.compile([M], f(M).T @ M + eg.exp(f(M.sum(axis=0))), device="pocl", optimizer=level)
                   for f in (lambda x: x, lambda x: eg.assume(x, "finite")))
    value = np.arange(6, dtype="float32").reshape(3, 2) / 4
    np.testing.assert_array_equal(plain(value), told(value))

    def kernels(text: str) -> list[str]:
        return [r for r in text.splitlines() if not r.lstrip().startswith("//")]
    assert kernels(plain.source()) == kernels(told.source())


def test_gradients_batches_and_tangents_go_through() -> None:
    y = (eg.assume(X, "positive") ** 2).sum()
    assert eg.compile([X], eg.grad(y, X), device="numpy")([3.0]) == 6
    assert eg.compile([X], eg.Rop(eg.assume(X, "positive") ** 2, X, X), device="numpy")([3.0]) == 18
    assert eg.compile([X], eg.hessian(y, X), device="numpy")([3.0]) == 2
    lanes = eg.vmap(lambda v: abs(eg.assume(v, "unique", "positive")))(M)
    node = next(n for n in eg.graph.order([lanes]) if n.op.name == "assume")
    assert node.param("words") == ("positive",), "elements of two lanes may be equal"
    assert eg.pp(eg.compile([M], lanes, device="numpy").graph.outputs[0]) == "m"
    assert eg.vmap(lambda v: eg.assume(v, "unique"))(M).type == M.type


def test_files_and_pickles_keep_it(tmp_path) -> None:
    out = eg.assume(X, "integer", low=0, high=2.5, nan=True)
    again = pickle.loads(pickle.dumps(out))
    assert eg.facts.of(again) == eg.facts.of(out) and again.node.params == out.node.params
    eg.function_dump(tmp_path / "f.npz", [X], out * 2)
    assert eg.compile(**eg.function_load(tmp_path / "f.npz"), device="numpy")([2.0]) == 4
    f = eg.compile([X], abs(out), device="numpy")
    assert pickle.loads(pickle.dumps(f))([2.0]) == 2


def test_a_size_stays_a_size() -> None:
    n = eg.lscalar("n")
    f = eg.compile([n], eg.zeros((eg.assume(n, "positive") + 1,)), device="numpy")
    assert f(2).shape == (3,)
    assert eg.types.dim_of(eg.assume(n, "positive")) == eg.types.dim_of(n)


def test_it_is_merged_and_left_out_where_it_is_known() -> None:
    a, b = eg.assume(X, "positive"), eg.assume(X, "positive")
    f = eg.compile([X], [a - b, eg.assume(eg.sqr(X), low=0, nan=True)], device="numpy", optimizer="unsafe")
    assert [eg.pp(o) for o in f.graph.outputs][1] == "sqr(x)" and not f([2.0])[0].any()


def test_rules_of_ones_own_ask_for_facts() -> None:
    rule = eg.Rule("log(x) / 2", lambda x: eg.log(eg.sqrt(x)), lambda x: 0.5 * eg.log(x), when=eg.facts.known("x", "positive"))
    mode = eg.Mode().including(rule)
    for x, wanted in ((eg.assume(X, "positive"), "0.5 * log(x)"), (X, "log(sqrt(x))"), (eg.exp(eg.assume(X, low=0, high=3)),
        "0.5 * log(exp(x))")):
        assert eg.pp(eg.compile([X], eg.log(eg.sqrt(x)), mode=mode, device="numpy").graph.outputs[0]) == wanted
    assert str(rule.when) == "x is positive" and str(eg.facts.known("x", "finite", low=1, nan=True)) == "x is finite, low=1 or NaN"
    with eg.change_flags(mode=mode):
        g = eg.grad(eg.log(eg.sqrt(eg.assume(X, "positive"))).sum(), X)
    assert eg.compile([X], g, device="numpy")([4.0]) == 0.125
    assert eg.compile([X], eg.log(eg.sqrt(eg.assume(X, "positive"))), mode=eg.DebugMode().including(rule), device="numpy")([np.e ** 2]) == 1


def test_the_table_of_rules_shows_conditions() -> None:
    row = next(r for r in str(eg.rule_table("facts")).splitlines() if "relu(x), x <= 0" in r)
    assert "x is nonpositive" in row


def test_passes_tell_of_rules_that_used_an_assumption() -> None:
    f = eg.compile([X], abs(eg.assume(X, "positive")), device="numpy")
    told = f.passes().halves[0]
    assert "abs(x), x >= 0" in [r.rule.name for r in told.rules] and "assume" in eg.pp(told.before.outputs[0])
