"""What rows say of their results, as a check of one row: from values that keep to drawn facts the result has to keep to what it claims."""
from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np

import exprgraph as eg
from exprgraph import facts
from exprgraph.known.record import ELEMENTS, LOWER, NUMBER, ORTHOGONAL, PLUS, PSD, SORTED, SYMMETRIC, UNIQUE, UPPER, WHOLE, Facts, of_dtype
from exprgraph.known.words import broken
from exprgraph.node import INPUT, Op, Out, leaf
from exprgraph.reference import evaluate
from tests.rule_cases import DTYPES, Array, drawn, specials

DRAWS = 24
Make = Callable[..., Any]


@cache
@np.errstate(all="ignore")
def pool(dtype: str) -> Array:
    """The special values of a dtype, and what is beside and between them."""
    found = specials(dtype)
    if dtype.startswith("float"):
        more = np.array([-1e-3, 0.3, 1.5, 3, -3, 7, 300, 1e-7, -700, 2 ** 24]).astype(dtype)
        finite = found[np.isfinite(found)]
        return np.unique(np.concatenate([found, more, np.nextafter(finite, np.array(np.inf, dtype)), [np.array(-0.0, dtype)]]))
    return found


def words_of(rng: np.random.Generator) -> frozenset[str]:
    """Some words about elements."""
    return frozenset(w for w in sorted(ELEMENTS) if rng.random() < 0.5)


def fact(rng: np.random.Generator, dtype: str) -> Facts:
    """Some facts of a dtype, between two of its values."""
    values = pool(dtype)
    low, high = sorted(v.item() for v in rng.choice(values[values == values], 2))
    if rng.random() < 0.3:
        low, high = of_dtype(dtype).low, of_dtype(dtype).high
    holds = words_of(rng) | of_dtype(dtype).holds
    return Facts(low, high, holds if low <= 0 <= high else holds | {PLUS})


def fitting(known: Facts, dtype: str) -> Array:
    """All values of the pool, and the ends of the interval, that keep to facts about elements."""
    values = pool(dtype)
    if not dtype.startswith("float"):
        return np.array([v for v in values.tolist() if known.low <= v <= known.high], dtype)
    values = np.concatenate([values, np.array([known.low, known.high, -0.0, 0.0]).astype(dtype)])
    keeps = (values >= known.low) & (values <= known.high) | (values != values) & (NUMBER not in known.holds)
    keeps &= ~((values == 0) & np.signbit(values) & (PLUS in known.holds))
    return values[keeps & ((values != values) | (values == np.floor(values)) | (WHOLE not in known.holds))]


def symbol(dtype: str, rank: int, known: Facts) -> Out:
    """An input of which these facts are known."""
    made = Out(leaf(INPUT, dtype, (None,) * rank, "x"))
    made.node.facts = known
    return made


def assert_keeps(what: str, out: Out, value: Array) -> None:
    """AssertionError where a value does not keep to what is known of a tensor."""
    problem = broken(facts.of(out), value)
    assert problem is None, f"{what} of {[str(facts.of(i)) for i in out.node.inputs]} claims {facts.of(out)}: {problem}"


def takes(op: Op, dtypes: Sequence[str]) -> bool:
    """Whether a row takes operands of these dtypes as they are."""
    try:
        out = op(*(leaf_of(d) for d in dtypes))
    except (TypeError, ValueError):
        return False
    return [i.dtype for i in out.node.inputs] == list(dtypes)


def leaf_of(dtype: str) -> Out:
    """An input of a dtype."""
    return Out(leaf(INPUT, dtype, (None,), "x"))


def check_elementwise(op: Op, draws: int = DRAWS) -> None:
    """On all combinations of special values that keep to drawn facts, in every dtype; of float16 in float32 too, as kernels have it."""
    rng, arity = drawn(op.name), 3 if op.name in ("switch", "clip") else len(op.domain)
    for dtype in [d for kind in DTYPES.values() for d in kind]:
        chosen = ("bool", dtype, dtype) if op.name == "switch" else (dtype,) * arity
        if not takes(op, chosen):
            continue
        for _ in range(draws if arity > 1 else draws // 2):
            known = [fact(rng, d) for d in chosen]
            points = [fitting(k, d) for k, d in zip(known, chosen)]
            out = op(*(symbol(d, 1, k) for d, k in zip(chosen, known)))
            if op.name == "pow" and dtype.startswith("int"):
                points[1] = points[1][points[1] >= 0]  # others are refused
            if not all(p.size for p in points):
                continue
            values = [m.ravel() for m in np.meshgrid(*(_some(rng, p) for p in points))]
            for kind in (dtype, "float32") if dtype == "float16" and out.dtype == dtype else (dtype,):
                given = [v if v.dtype == bool and op.name == "switch" else v.astype(kind) for v in values]
                with np.errstate(all="ignore"):
                    assert_keeps(f"{op.name} in {dtype}", out, np.asarray(op.numpy(*given)))


def _some(rng: np.random.Generator, points: Array) -> Array:
    """Few of the points, the least and the greatest among them."""
    numbers = points[points == points]
    ends = [numbers.min(), numbers.max()] if numbers.size else []
    return np.concatenate([np.array(ends, points.dtype), rng.choice(points, min(6, points.size), replace=False)])


def check_cast(draws: int = 8) -> None:
    """Every cast between real dtypes."""
    rng, names = drawn("cast"), [d for kind in DTYPES.values() for d in kind]
    for source in names:
        for target in names:
            for _ in range(draws):
                known = fact(rng, source)
                values = fitting(known, source)
                if values.size:
                    out = eg.ROWS["cast"](symbol(source, 1, known), target)
                    with np.errstate(all="ignore"):
                        assert_keeps(f"cast of {source} to {target}", out, np.asarray(out.node.op.numpy(values, dtype=target)))


def check_moves(name: str, make: Make, dtypes: Sequence[str] = ("float32", "float16", "int8", "int64", "uint8", "bool"),
    draws: int = 10) -> None:
    """A function of a matrix, on matrices whose elements keep to drawn facts, of any size, none and one among them."""
    rng = drawn(name)
    for dtype in dtypes:
        for _ in range(draws):
            known = fact(rng, dtype)
            values = fitting(known, dtype)
            if not values.size:
                continue
            x = symbol(dtype, 2, known)
            array = rng.choice(values, tuple(rng.integers(1, 4, 2)))
            check(name, make(x), {x: array})


def check(name: str, out: Out, given: Mapping[Out, Array]) -> None:
    """Compute a tensor and compare it with what is known of it."""
    with np.errstate(all="ignore"):
        assert_keeps(name, out, evaluate([out], {k.node: v for k, v in given.items()})[0])


def matrices(rng: np.random.Generator, whole: bool) -> Iterator[tuple[frozenset[str], Array]]:
    """Matrices of 3 by 3 with words that hold of them; whole: of integers."""
    a = rng.integers(-3, 4, (3, 3)).astype("float32") if whole else rng.standard_normal((3, 3)).astype("float32")
    yield frozenset({LOWER}), np.tril(a)
    yield frozenset({UPPER}), np.triu(a)
    yield frozenset({LOWER, UPPER}), np.diag(np.diag(a))
    yield frozenset({SYMMETRIC}), np.maximum(a, a.T)
    yield frozenset({SYMMETRIC, PSD}), np.diag(np.abs(np.diag(a)))
    yield frozenset({ORTHOGONAL}), np.linalg.qr(a + 5 * np.eye(3, dtype="float32"))[0].astype("float32")


def check_matrices(name: str, make: Make, arity: int = 1) -> None:
    """A function of matrices, on triangles, symmetric and orthogonal ones: of finite elements, and of any."""
    rng = drawn(name)
    for whole in (False, True):
        for held in [[k] for k in matrices(rng, whole)] if arity == 1 else [[j, k] for j in matrices(rng, whole) for k in matrices(rng,
            whole)]:
            for finite in (False, True):
                given: dict[Any, Array] = {}
                for words, array in held:
                    bounds = (-1e3, 1e3) if finite else (-np.inf, np.inf)
                    x = symbol("float32", 2, Facts(*bounds, words | ({NUMBER} if finite else set())))
                    given[x] = array if finite else _spoiled(rng, words, array)
                check(name, make(*given), given)


def _spoiled(rng: np.random.Generator, words: frozenset[str], array: Array) -> Array:
    """The matrix with an infinity or a NaN on its diagonal, where that leaves the words true."""
    if words & {ORTHOGONAL, PSD}:
        return array
    found = array.copy()
    found[1, 1] = rng.choice([np.inf, -np.inf, np.nan, -0.0])
    return found


def check_vectors(name: str, make: Make) -> None:
    """A function of a vector of integers that are different and in order, at the ends of the dtype too."""
    rng = drawn(name)
    for dtype in ("int8", "int64", "uint8"):
        for low, high in ((of_dtype(dtype).low, of_dtype(dtype).high), (0, 9), (100, 127)):
            for words in ({UNIQUE}, {SORTED}, {UNIQUE, SORTED}):
                values = np.array(sorted({low, high, *rng.integers(0, 9, 4).clip(low, min(high, 127)).tolist()}), dtype)
                values = values if SORTED in words else values[::-1].copy()
                x = symbol(dtype, 1, Facts(low, high, ELEMENTS | words))
                check(name, make(x), {x: values})
