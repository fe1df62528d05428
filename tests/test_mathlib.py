"""Elementary functions on PoCL: errors in units in the last place over all exponents, special values exactly as NumPy has them."""
from __future__ import annotations

import math
import re

import numpy as np
import pytest

pytest.importorskip("pyopencl")
mp = pytest.importorskip("mpmath").mp

from codegen.elementary import BODIES, NEAR, WORDS, body  # noqa: E402
from runtime import pocl  # noqa: E402
from tests.math_kernels import COMPOSED, ROOTS, SHORT, dtype_of, errors, exact, launcher, program, samples  # noqa: E402

# function: bounds for float32 and float64 in units in the last place; the largest error may round to twice what a sample finds
BOUNDS = {
    "exp": (1.1, 1.1), "exp2": (1.1, 1.0), "expm1": (2.0, 2.5), "sinh": (2.5, 3.0), "cosh": (1.6, 1.6), "tanh": (2.7, 3.0),
    "log": (1.0, 1.2), "log2": (1.1, 1.2), "log10": (1.1, 1.1), "log1p": (1.1, 1.1), "asinh": (2.2, 2.2), "acosh": (2.5, 2.5),
    "atanh": (2.5, 2.5), "sin": (2.0, 2.0), "cos": (2.0, 2.0), "tan": (3.5, 3.5), "atan": (2.5, 2.0), "atan2": (2.5, 2.2),
    "asin": (2.6, 2.6), "acos": (1.6, 1.6), "pow": (0.8, 1.0), "hypot": (0.6, 1.5), "erf": (1.5, 2.0), "erfc": (0.9, 5.0),
    "sigmoid": (2.5, 2.5), "softplus": (2.0, 2.0), "mod": (0.5, 0.5),
    "sqrt": (0.5, 0.5), "rsqrt": (1.5, 1.5)}
DIALECTS = sorted({"pocl", pocl.dialect()})
CASES = [(n, d) for n in BOUNDS for d in SHORT]


def test_every_function_has_a_bound() -> None:
    assert set(BOUNDS) == {*BODIES, *COMPOSED, *ROOTS}


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("name, dtype", CASES)
def test_errors(name: str, dtype: str, dialect: str, rng: np.random.Generator) -> None:
    """NaN, infinities and the signs of zeros count as infinitely wrong."""
    arrays = samples(name, dtype, rng)
    run, out = launcher(program(dialect), name, arrays)
    run()
    want = exact(name, arrays)
    found = errors(out, want)
    worst = int(np.argmax(found))
    assert found[worst] <= BOUNDS[name][dtype == "float64"], \
        f"{name}({', '.join(repr(a[worst]) for a in arrays)}) is {want[worst]!r}, computed {out[worst]!r}: {found[worst]} units"


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("name", ["sin", "cos", "tan"])
def test_angles_of_any_size(name: str, dialect: str) -> None:
    """float32 angles up to the largest, many to each power of two, and those nearest to multiples of pi/2."""
    powers = np.repeat(np.arange(-3, 128), 600)
    spread = np.ldexp(np.random.default_rng(11).uniform(1, 2, powers.size), powers).astype("float32")
    turns = (np.arange(1, 200_000) * (math.pi / 2)).astype("float32")
    # 16367173 * 2**72 lies nearer to a multiple of pi/2 than any other float32 beyond 2**50 (Kahan's search by continued fractions)
    angles = np.concatenate([spread, turns, np.ldexp(np.float32(16367173), np.arange(40, 104)).astype("float32")])
    run, out = launcher(program(dialect), name, [angles])
    run()
    assert errors(out, exact(name, [angles])).max() <= BOUNDS[name][0]


def nearest(mantissas: int, power: int) -> list[int]:
    """Numbers m of so many bits for which m * 2**power lies nearest to multiples of pi/2: denominators of the continued fraction."""
    bits = 1400
    with mp.workprec(bits + 100):
        rest, whole = int(mp.floor(2 / mp.pi * mp.mpf(2) ** (bits + power))) % (1 << bits), 1 << bits
    before, last, found = 0, 1, list[int]()
    while rest and last < 1 << mantissas:
        found.append(last)
        before, last, (whole, rest) = last, whole // rest * last + before, (rest, whole % rest)
    return [m for d in found[-5:] if (m := -(-(1 << (mantissas - 1)) // d) * d) < 1 << mantissas]


def exactly(name: str, x: np.ndarray) -> np.ndarray:
    """sin, cos or tan with 1400 bits, rounded to a long double."""
    with mp.workprec(1400):
        values = [getattr(mp, name)(mp.mpf(float(v))) for v in x]
        return np.array([np.longdouble(float(v)) + np.longdouble(float(v - float(v))) for v in values])


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("dtype", list(SHORT))
@pytest.mark.parametrize("name", ["sin", "cos", "tan"])
def test_angles_nearest_to_quarter_turns(name: str, dtype: str, dialect: str) -> None:
    """Where all leading bits of the reduced angle cancel: for each exponent, and those that are below the limit also by themselves."""
    info = np.finfo(dtype)
    powers = range(-info.nmant - 2, info.maxexp - info.nmant - 1, 1 if dtype == "float32" else 5)
    hard = np.array([np.ldexp(dtype_of(dtype, m), p) for p in powers for m in nearest(info.nmant + 1, p)], dtype)
    for angles in (hard, hard[hard < float.fromhex(WORDS[SHORT[dtype]]["NEAR"].rstrip("f"))]):
        run, out = launcher(program(dialect), name, [angles])
        run()
        assert errors(out, exactly(name, angles)).max() <= BOUNDS[name][dtype == "float64"]


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("dtype", list(SHORT))
@pytest.mark.parametrize("name", ["sin", "cos", "tan"])
def test_angles_do_not_depend_on_their_neighbours(name: str, dtype: str, dialect: str, rng: np.random.Generator) -> None:
    """A loop that has to run again for one huge angle gives the same bits for the others; no sine is beyond 1."""
    angles = np.concatenate([rng.uniform(-1e5, 1e5, 5000), np.arange(-500, 500) * np.pi / 2, [0.0, -0.0, np.inf, np.nan]]).astype(dtype)
    plain, mixed = (np.append(angles, dtype_of(dtype, x)) for x in (1, 1e30))
    results = [launcher(program(dialect), name, [a]) for a in (plain, mixed)]
    for run, _ in results:
        run()
    np.testing.assert_array_equal(*(out[:-1].view(f"u{out.itemsize}") for _, out in results))
    assert errors(results[1][1], exact(name, [mixed])).max() <= BOUNDS[name][dtype == "float64"]
    assert name == "tan" or np.nanmax(np.abs(results[0][1])) <= 1


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("dtype", list(SHORT))
def test_powers_of_two_and_ten_are_exact(dtype: str, dialect: str) -> None:
    """What people compare with ==."""
    whole = np.arange(-30, 31, dtype=dtype)
    two = np.ldexp(np.ones_like(whole), whole.astype(int))
    for name, arrays, want in (("exp2", [whole], two), ("log2", [two], whole), ("pow", [np.full_like(whole, 2), whole], two),
                               ("pow", [whole, np.full_like(whole, 2)], whole * whole), ("exp", [whole * 0], whole * 0 + 1),
                               ("log10", [np.array([1, 10, 100, 1000, 1e4, 1e6, 1e10], dtype)], np.array([0, 1, 2, 3, 4, 6, 10], dtype))):
        run, out = launcher(program(dialect), name, arrays)
        run()
        np.testing.assert_array_equal(out, want, err_msg=name)


@pytest.mark.parametrize("short", SHORT.values())
@pytest.mark.parametrize("name", [*BODIES, *NEAR])
def test_bodies_have_no_branches_and_no_builtins(name: str, short: str) -> None:
    """What stops vectorisation: loops, ifs and calls of anything but clang's builtins and our own functions."""
    text = body(name, short)
    assert text is not None
    words = set(re.findall(r"\b([A-Za-z_]\w*)\s*\(", text)) - {"return"}
    assert all(w.startswith(("EG_", "eg_", "as_")) for w in words) and not {"if", "for", "while"} & set(text.split())


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("dtype", list(SHORT))
def test_powers_of_every_size(dtype: str, dialect: str, rng: np.random.Generator) -> None:
    """Bases from next to 1 to anywhere, with exponents that bring the result all over the range, denormal numbers among them."""
    near = 1 + rng.uniform(-0.5, 0.5, 20_000) * 2.0 ** -rng.integers(0, 40, 20_000)
    bases = np.concatenate([near, 2.0 ** rng.uniform(-120, 120, 20_000)]).astype(dtype)
    bases = bases[bases != 1]
    span = 100 if dtype == "float32" else 740
    exponents = (rng.uniform(-span, span, bases.size) / np.log(bases.astype("float64"))).astype(dtype)
    run, out = launcher(program(dialect), "pow", [bases, exponents])
    run()
    assert errors(out, exact("pow", [bases, exponents])).max() <= BOUNDS["pow"][dtype == "float64"]


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("dtype", list(SHORT))
def test_powers_do_not_depend_on_their_neighbours(dtype: str, dialect: str, rng: np.random.Generator) -> None:
    """A loop that has to run again for one negative base gives the same bits for the others, zeros among them."""
    bases = np.concatenate([rng.uniform(0, 9, 3000), np.zeros(20), np.ones(20)]).astype(dtype)
    exponents = rng.uniform(-9, 9, bases.size).astype(dtype)
    exponents[bases == 0] = np.abs(exponents[bases == 0])
    results = [launcher(program(dialect), "pow", [np.append(bases, dtype_of(dtype, x)), np.append(exponents, dtype_of(dtype, 3))])
               for x in (1, -1)]
    for run, _ in results:
        run()
    np.testing.assert_array_equal(*(out[:-1].view(f"u{out.itemsize}") for _, out in results))
    assert results[1][1][-1] == -1
