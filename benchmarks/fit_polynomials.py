"""Fits the polynomials of codegen/elementary.py: minimax in the relative error, by Remez' exchange in 60 digits with mpmath.

`python benchmarks/fit_polynomials.py > codegen/coefficients.py` writes the table again; `... NAME` prints one fit and its error.
The coefficients are rounded to the dtype one after the other, lowest power first, and the others fitted again after each.
"""
from __future__ import annotations

import sys
from collections.abc import Callable
from typing import NamedTuple

from mpmath import mp, mpf

mp.dps = 60
Real = Callable[[mpf], mpf]


class Fit(NamedTuple):
    """g(z) on [low, high] by a polynomial of a degree; weight(z) turns its error into the relative error of the function."""
    g: Real
    weight: Real
    low: mpf
    high: mpf
    single: int
    double: int
    says: str


def reduced(f: Real, head: Real, power: int, high: mpf, single: int, double: int, says: str) -> Fit:
    """(f(x) - head(x)) / x**power as a polynomial in z = x*x, for an even or odd f."""
    return Fit(lambda z: (f(mp.sqrt(z)) - head(mp.sqrt(z))) / mp.sqrt(z) ** power, lambda z: mp.sqrt(z) ** power / f(mp.sqrt(z)),
               mpf(10) ** -16, high ** 2, single, double, says)


def scaled_erfc(x: mpf) -> mpf:
    """(1 + 2x) exp(x*x) erfc(x), which is smooth and between 1 and 1.3."""
    return (1 + 2 * x) * mp.exp(x * x) * mp.erfc(x)


def from_unit(t: mpf) -> mpf:
    """x where (x - centre) / (x + centre) is t and the centre 3.75: the map of Shepherd and Laframboise (Math. Comp. 36, 1981)."""
    return mpf(3.75) * (1 + t) / (1 - t)


HALF = mp.log(2) / 2 * mpf("1.0001")
EDGE = mp.sqrt(2) - 1
FITS = {
    "exp": Fit(lambda r: (mp.exp(r) - 1 - r) / r ** 2, lambda r: r ** 2 / mp.exp(r), -HALF, HALF, 4, 9, "(exp(r) - 1 - r) / r**2"),
    "exp2": Fit(lambda r: (mpf(2) ** r - 1) / r, lambda r: r / mpf(2) ** r, mpf(-0.5), mpf(0.5), 5, 10, "(2**r - 1) / r"),
    "log": Fit(lambda f: (mp.log1p(f) - f + f * f / 2) / f ** 3, lambda f: f ** 3 / mp.log1p(f), mp.sqrt(0.5) - 1, EDGE, 7, 0,
               "(log(1 + f) - f + f*f/2) / f**3"),
    "atanh": Fit(lambda z: (2 * mp.atanh(mp.sqrt(z)) / mp.sqrt(z) - 2) / z, lambda z: z / 2, mpf(10) ** -16, mpf("0.02944"), 2, 6,
                 "(2 atanh(s) / s - 2) / z, z = s*s"),
    "arctanh": reduced(mp.atanh, lambda s: s, 3, mpf("0.2007"), 2, 7, "(atanh(s) - s) / s**3 in s*s"),
    "sin": reduced(mp.sin, lambda r: r, 3, mp.pi / 4, 2, 5, "(sin(r) - r) / r**3 in r*r"),
    "cos": reduced(mp.cos, lambda r: 1 - r * r / 2, 4, mp.pi / 4, 2, 5, "(cos(r) - 1 + r*r/2) / r**4 in r*r"),
    "halfsin": reduced(mp.sin, lambda r: r, 3, mp.pi / 2 * mpf("1.004"), 3, 7, "(sin(r) - r) / r**3 in r*r, to pi/2"),
    "tan": reduced(mp.tan, lambda r: r, 3, mp.pi / 4 * mpf("1.004"), 6, 14, "(tan(r) - r) / r**3 in r*r"),
    "atan": reduced(mp.atan, lambda r: r, 3, EDGE, 3, 10, "(atan(t) - t) / t**3 in t*t"),
    "asin": reduced(mp.asin, lambda r: r, 3, mpf(0.5), 4, 11, "(asin(x) - x) / x**3 in x*x"),
    "erf": reduced(mp.erf, lambda r: r, 1, mpf(1), 6, 13, "erf(x) / x - 1 in x*x"),
    "erftail": Fit(lambda x: mp.log(mp.erfc(x), 2), lambda x: mp.erfc(x) / mp.erf(x), mpf(1), mpf(4), 7, 0, "log2(erfc(x)), 1 <= x <= 4"),
    "erfc": Fit(lambda t: scaled_erfc(from_unit(t)), lambda t: 1 / scaled_erfc(from_unit(t)), mpf(-0.7895), mpf(0.757), 0, 26,
                "(1 + 2x) exp(x*x) erfc(x) in (x - 3.75) / (x + 3.75), 0.44 <= x <= 27"),
    "erfcshort": Fit(lambda t: scaled_erfc(from_unit(t)), lambda t: 1 / scaled_erfc(from_unit(t)), mpf(-1), mpf("0.525"), 0, 11,
                     "the same for 0 <= x <= 12 and float32"),
    "powatanh": Fit(lambda z: (mp.atanh(mp.sqrt(z)) / mp.sqrt(z) - 1 - z / 3) * 2 / mp.log(2) / z ** 2, lambda z: z ** 2 / 3,
                    mpf(10) ** -16, mpf("0.02944"), 0, 7, "(atanh(s) / s - 1 - z / 3) 2 / log(2) / z**2, z = s*s, for powers of float64"),
    "powlog": Fit(lambda z: 2 * mp.atanh(mp.sqrt(z)) / mp.sqrt(z) / mp.log(2), lambda z: 1 / mpf("2.885"), mpf(10) ** -16, mpf("0.02944"),
                  0, 4, "2 atanh(s) / s / log(2) in s*s, for powers of float32"),
    "powexp": Fit(lambda r: (mpf(2) ** r - 1) / r, lambda r: r / mpf(2) ** r, mpf(-0.5), mpf(0.5), 0, 5, "(2**r - 1) / r, for float32"),
}


def nodes(fit: Fit, count: int) -> list[mpf]:
    """The extrema of a Chebyshev polynomial on the interval, rising."""
    middle, half = (fit.low + fit.high) / 2, (fit.high - fit.low) / 2
    return [middle - half * mp.cos(mp.pi * i / (count - 1)) for i in range(count)]


def value(coefficients: list[mpf], z: mpf) -> mpf:
    """The polynomial, lowest power first."""
    return mp.polyval(coefficients[::-1], z)


def remez(fit: Fit, degree: int, fixed: list[mpf], grid: list[tuple[mpf, mpf, mpf]]) -> list[mpf]:
    """Minimax coefficients from power len(fixed) on; grid holds (z, g, weight)."""
    free = degree + 1 - len(fixed)
    points = [grid[round(i * (len(grid) - 1) / free)] for i in range(free + 1)]
    found: list[mpf] = []
    for _ in range(12):
        rows = mp.matrix([[z ** (len(fixed) + k) for k in range(free)] + [(-1) ** i / w] for i, (z, _, w) in enumerate(points)])
        right = mp.matrix([g - (value(fixed, z) if fixed else 0) for z, g, _ in points])
        solved = mp.lu_solve(rows, right)
        found = fixed + list(solved)[:free]
        errors = [(g - value(found, z)) * w for z, g, w in grid]
        picked = extrema(errors, free + 1)
        if picked is None:
            break
        points = [grid[i] for i in picked]
        if max(abs(e) for e in errors) < abs(solved[free]) * mpf("1.001"):
            break
    return found


def extrema(errors: list[mpf], count: int) -> list[int] | None:
    """Where the error is largest between its changes of sign; None where it has too few."""
    runs: list[int] = []
    for i, e in enumerate(errors):
        if runs and (errors[runs[-1]] > 0) == (e > 0):
            runs[-1] = i if abs(e) > abs(errors[runs[-1]]) else runs[-1]
        else:
            runs.append(i)
    while len(runs) > count:
        least = min(range(len(runs)), key=lambda k: abs(errors[runs[k]]))
        if len(runs) == count + 1 or least in (0, len(runs) - 1):
            runs.pop(0 if abs(errors[runs[0]]) < abs(errors[runs[-1]]) else -1)
        else:  # an inner one goes with its smaller neighbour, so that signs still alternate
            beside = min((least - 1, least + 1), key=lambda k: abs(errors[runs[k]]))
            del runs[min(least, beside):max(least, beside) + 1]
    return runs if len(runs) == count else None


def rounded(x: mpf, bits: int) -> mpf:
    """x to so many bits."""
    mantissa, exponent = mp.frexp(x)
    return mp.ldexp(mp.nint(mp.ldexp(mantissa, bits)), exponent - bits)


def fitted(name: str, bits: int) -> tuple[list[mpf], mpf]:
    """Coefficients of the dtype and the largest relative error of the function."""
    fit = FITS[name]
    degree = fit.single if bits == 24 else fit.double
    grid = [(z, fit.g(z), abs(fit.weight(z)) + mpf(10) ** -30) for z in nodes(fit, 30 * degree) if z]
    fixed: list[mpf] = []
    for power in range(degree + 1):
        fixed.append(rounded(remez(fit, degree, fixed, grid)[power], bits))
    return fixed, max(abs((g - value(fixed, z)) * w) for z, g, w in grid)


def text(coefficient: mpf, single: bool) -> str:
    """A hexadecimal constant of C."""
    digits, exponent = float(coefficient).hex().split("p")
    return f"{digits.rstrip('0')}p{int(exponent)}{'f' * single}"


def table() -> str:
    """The module of coefficients."""
    lines = ['"""Coefficients of the polynomials, lowest power first; written by benchmarks/fit_polynomials.py, which says how."""',
             "from __future__ import annotations", "", "POLYNOMIALS: dict[str, tuple[str, ...]] = {"]
    for name, fit in FITS.items():
        for bits, dtype, degree in ((24, "f32", fit.single), (53, "f64", fit.double)):
            if degree:
                found, error = fitted(name, bits)
                lines.append(f"    # {fit.says}: relative error {mp.nstr(error, 2)}")
                words = [f'"{text(c, bits == 24)}"' for c in found]
                rows = [", ".join(words[i:i + 4]) for i in range(0, len(words), 4)]
                lines.append(f'    "{name}_{dtype}": (' + (",\n" + " " * 8).join(rows) + "),")
    return "\n".join([*lines, "}"])


def main() -> None:
    """Print the table, or the fits that are named."""
    for name in sys.argv[1:]:
        for bits in (24, 53):
            if FITS[name].single if bits == 24 else FITS[name].double:
                found, error = fitted(name, bits)
                print(name, bits, "error 2 **", mp.nstr(mp.log(error, 2), 4), *(text(c, bits == 24) for c in found))
    if not sys.argv[1:]:
        print(table())


if __name__ == "__main__":
    main()
