"""The inline functions and macros that op rows call: OpenCL C definitions of every `eg_` name and `EG_` name that a source text mentions.

`eg_<family>_<dtype>` is made from one template per family, `eg_cast_<from>_<to>` from a rule.  Functions depend on each other and on
macros by name, so `prelude` follows the names.  Integers follow NumPy: they wrap (through unsigned types), division by zero gives 0, shifts
beyond the width give 0 or -1.  Nothing here calls an OpenCL builtin where plain C says the same, because builtins stop vectorisation.
"""
from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from string import Template

from codegen import running
from codegen.elementary import BODIES, NEAR, PARAMETERS, TABLES, body
from exprgraph.named import NamedTuple

_NAME = re.compile(r"\b(?:eg_[a-z0-9]+(?:_(?:[iu](?:8|16|32|64)|f16|f32|f64|b16|b))+|EG_(?!INLINE\b|BODY\b)[A-Z0-9]+f?)\b")


class CType(NamedTuple):
    """A dtype in C: its short name, its type, its kind, its width in bits."""
    short: str
    c: str
    kind: str
    bits: int

    @property
    def words(self) -> dict[str, str]:
        """What a template may mention: T, U (unsigned, at least 32 bits), I (signed), R (float of that width), N, S (suffix of float
        macros), W (width), L (from where floats are integers)."""
        long = self.bits == 64
        return {"T": self.c, "U": "ulong" if long else "uint", "I": "long" if long else "int", "R": "double" if long else "float",
                "N": self.short, "S": "f" if self.short == "f32" else "", "W": str(self.bits),
                "L": "0x1p23f" if self.short == "f32" else "0x1p52"}


TYPES = {t.short: t for t in (
    CType("b", "uchar", "b", 8), CType("i8", "char", "i", 8), CType("i16", "short", "i", 16), CType("i32", "int", "i", 32),
    CType("i64", "long", "i", 64), CType("u8", "uchar", "u", 8), CType("u16", "ushort", "u", 16), CType("u32", "uint", "u", 32),
    CType("u64", "ulong", "u", 64), CType("f32", "float", "f", 32), CType("f64", "double", "f", 64), CType("f16", "ushort", "h", 16),
    CType("b16", "ushort", "h", 16))}

# Functions that clang compiles to instructions, then those that stay OpenCL builtins, then constants.
_CLANG = {"FLOOR": "floor", "CEIL": "ceil", "TRUNC": "trunc", "RINT": "rint", "SQRT": "sqrt", "FABS": "fabs", "FMA": "fma",
          "COPYSIGN": "copysign"}
_OPENCL = {name.upper(): name for name in (
    "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sin", "cos", "tan", "asin", "acos", "atan", "atan2", "sinh", "cosh", "tanh",
    "asinh", "acosh", "atanh", "erf", "erfc", "pow", "hypot", "fmod")}
_NUMBERS = {"RADIANS": "0x1.1df46a2529d39p-6", "RADIANSf": "0x1.1df46ap-6f",
            "DEGREES": "0x1.ca5dc1a63c1f8p+5", "DEGREESf": "0x1.ca5dcp+5f"}

_EXACT = "return x;"
_MORE = "return a >= b ? a : b;"
_LESS = "return a <= b ? a : b;"
_SPAN = "(($U)-1 >> 1) - as_$U(($R)INFINITY)"
_MIRROR = "($U)(u ^ (u >> ($W - 1) & ($I)(($U)-1 >> 1)))"
_PLAIN = "float v = x == x ? x + 0.0f : as_float(0x7fc00000u);"
_POWER = "for (; n; n >>= 1) { if (n & 1) r *= p; p *= p; } return ($T)r;"
_NEAR = "int *beyond, $T a, $T b"
_QUOTIENT = ("$T q = (a - m) / b; q -= m != 0 && (b < 0) != (m < 0) ? 1 : 0; $T w = EG_FLOOR$S(q); "
             "return b == 0 ? a / b : q != 0 ? w + (q - w > 0.5f ? 1 : 0) : EG_COPYSIGN$S(($T)0, a / b);")
_REMAINDER = "return b == 0 ? m : m == 0 ? EG_COPYSIGN$S(($T)0, b) : (b < 0) != (m < 0) ? m + b : m;"

# family: (parameters, body by kind of dtype); $T and the like are the words of CType.  Divisors that C does not allow become 1 first.
FAMILIES: dict[str, tuple[str, dict[str, str]]] = {
    "abs": ("$T x", {"i": "return x < 0 ? ($T)(0 - ($U)x) : x;"}),
    "sign": ("$T x", {"f": "return x > 0 ? 1 : x < 0 ? -1 : x == 0 ? 0 : x;", "*": "return (x > 0) - (x < 0);", "u": "return x > 0;"}),
    "sqr": ("$T x", {"f": "return x * x;", "*": "return ($T)(($U)x * ($U)x);"}),
    "relu": ("$T x", {"u": _EXACT, "*": "return x <= 0 ? 0 : x;"}),
    "max": ("$T a, $T b", {"f": "return a >= b || a != a ? a : b;", "*": _MORE}),
    "min": ("$T a, $T b", {"f": "return a <= b || a != a ? a : b;", "*": _LESS}),
    "clip": ("$T x, $T low, $T high", {"*": "return eg_min_$N(eg_max_$N(x, low), high);"}),
    "wrap": ("$T x, $T n", {"i": "$T p = x < 0 ? x + n : x; p = p < n ? p : n - 1; return p > 0 ? p : 0;"}),
    "isnan": ("$T x", {"f": "return x != x;"}),
    "isinf": ("$T x", {"f": "return EG_FABS$S(x) == INFINITY;"}),
    "isfinite": ("$T x", {"f": "return EG_FABS$S(x) < INFINITY;"}),
    "away": ("$T x", {"f": "$T w = EG_TRUNC$S(x); return EG_FABS$S(x - w) >= 0.5f ? w + EG_COPYSIGN$S(($T)1, x) : w;"}),
    "shl": ("$T a, $T b", {"*": "return ($U)b < $W ? ($T)(($U)a << ($U)b) : 0;"}),
    "shr": ("$T a, $T b", {"i": "return a >> (($U)b < $W ? b : $W - 1);", "u": "return b < $W ? a >> b : 0;"}),
    "floordiv": ("$T a, $T b", {
        "u": "return b == 0 ? 0 : a / (b == 0 ? 1 : b);",
        "i": "$T d = b == 0 || b == -1 ? 1 : b; $T q = a / d; q -= q * d != a && (a ^ d) < 0; "
             "return b == 0 ? 0 : b == -1 ? ($T)(0 - ($U)a) : q;",
        "f": f"$T m = EG_FMOD$S(a, b); {_QUOTIENT}"}),
    "nearfloordiv": (_NEAR, {"f": f"$T m = eg_nearfmod_$N(beyond, a, b); {_QUOTIENT}"}),
    "mod": ("$T a, $T b", {
        "u": "return b == 0 ? 0 : a % (b == 0 ? 1 : b);",
        "i": "$T d = b == 0 || b == -1 ? 1 : b; $T r = a % d; r += r != 0 && (r ^ d) < 0 ? d : 0; return b == 0 ? 0 : r;",
        "f": f"$T m = EG_FMOD$S(a, b); {_REMAINDER}"}),
    "nearmod": (_NEAR, {"f": f"$T m = eg_nearfmod_$N(beyond, a, b); {_REMAINDER}"}),
    # The rounded quotient is the true one or 1 more, so the remainder is exact; *beyond where it has bits below 1 no longer.
    "nearfmod": (_NEAR, {
        "f": "$T p = EG_FABS$S(a), d = EG_FABS$S(b), q = EG_TRUNC$S(p / d), r = EG_FMA$S(-q, d, p); "
             "*beyond |= (!(q < $L) & (p < INFINITY) & (d > 0)) | (d == INFINITY); return EG_COPYSIGN$S(r < 0 ? r + d : r, a);"}),
    "pow": ("$T x, $T e", {
        "u": f"$U r = 1, p = x, n = e; {_POWER}",
        "i": f"if (e < 0) return x == 1 ? 1 : x == -1 ? (e & 1 ? -1 : 1) : 0; $U r = 1, p = ($U)x, n = ($U)e; {_POWER}"}),
    "sigmoid": ("$T x", {"f": "$T e = eg_exp_$N(-EG_FABS$S(x)); return (x >= 0 ? 1 : e) / (1 + e);"}),
    "softplus": ("$T x", {"f": "return (x > 0 ? x : 0) + eg_log1p_$N(eg_exp_$N(-EG_FABS$S(x)));"}),
    "logaddexp": ("$T a, $T b", {
        "f": "$T d = a - b; $T big = d > 0 ? a : b; $T more = eg_log1p_$N(eg_exp_$N(-EG_FABS$S(d))); "
             "return big + (a == b ? eg_log_$N(($T)2) : more);"}),
    # Ranks of floats and the floats of ranks: codegen/ranks.py says what they are.
    "maxrank": ("$T x", {"f": f"$I u = as_$I(x); return ($I)({_MIRROR} - ({_SPAN}));"}),
    "minrank": ("$T x", {"f": f"$I u = as_$I(x); return ($I)({_MIRROR} + ({_SPAN}));"}),
    "maxranked": ("$T k", {"i": f"$I u = ($I)(($U)k + ({_SPAN})); return as_$R({_MIRROR});"}),
    "minranked": ("$T k", {"i": f"$I u = ($I)(($U)k - ({_SPAN})); return as_$R({_MIRROR});"}),
    "argmaxrank": ("float x, $T p", {"i": f"{_PLAIN} return ($T)(($U)eg_maxrank_f32(v) << 32 | ($U)(0x7fffffff - p));"}),
    "argminrank": ("float x, $T p", {"i": f"{_PLAIN} return ($T)(($U)eg_minrank_f32(v) << 32 | ($U)p);"}),
    "argmaxvalue": ("$T k", {"i": "return eg_maxranked_i32((int)(k >> 32));"}),
    "argminvalue": ("$T k", {"i": "return eg_minranked_i32((int)(k >> 32));"}),
    "argmaxplace": ("$T k", {"i": "return 0x7fffffff - (k & 0x7fffffff);"}),
    "argminplace": ("$T k", {"i": "return k & 0x7fffffff;"}),
    # Truncation as x86 processors do it: the lowest integer where the value is NaN or does not fit.
    "toint": ("$T x", {"f": "return x >= -0x1p31f && x < 0x1p31f ? (int)x : -0x7fffffff - 1;"}),
    "tolong": ("$T x", {"f": "return x >= -0x1p63f && x < 0x1p63f ? (long)x : -0x7fffffffffffffffL - 1;"}),
    # Rounded to odd, so that a second rounding to fewer bits is the only one that counts.
    "odd": ("$T x", {"f": "float f = (float)x; uint u = as_uint(f) - (EG_FABS$S(($T)f) > EG_FABS$S(x) ? 1 : 0); "
                          "return as_float(u | (as_float(u) != x ? 1 : 0));"}),
    "toulong": ("$T x", {"f": "return x >= 0x1p63f ? (ulong)eg_tolong_$N(x - 0x1p63f) ^ 0x8000000000000000UL : (ulong)eg_tolong_$N(x);"})}

_RESULTS = {"odd": "float", "isnan": "int", "isinf": "int", "isfinite": "int", "toint": "int", "tolong": "long", "toulong": "ulong",
            "maxrank": "$I", "minrank": "$I", "maxranked": "$R", "minranked": "$R", "argmaxvalue": "float", "argminvalue": "float"}


def _own(family: str, dtype: CType, dialect: str) -> str:
    """An elementary function: our own where that is what vectorises, else OpenCL's or what is composed of these."""
    own = body(family, dtype.short) if dialect == "pocl" else None
    if own is None and dtype.kind in FAMILIES.get(family, ("", {}))[1]:
        return _family(family, dtype)
    names = PARAMETERS.get(family, "x")
    builtin = f"return {family}({', '.join(names)});"
    parameters = ", ".join([*(["int *beyond"] if family in NEAR else []), *(f"{dtype.c} {name}" for name in names)])
    return f"EG_INLINE {dtype.c} eg_{family}_{dtype.short}({parameters}) {{ {own or builtin} }}\n"


def _family(family: str, dtype: CType) -> str:
    parameters, bodies = FAMILIES[family]
    body = bodies[dtype.kind] if dtype.kind in bodies else bodies["*"]
    result = _RESULTS.get(family, "$T")
    return Template(f"EG_INLINE {result} eg_{family}_$N({parameters}) {{ {body} }}\n").substitute(dtype.words)


# The bits of a narrow float and the float that they stand for, in plain arithmetic: everywhere alike, and fit for vectors.
_HALF = {
    "b16_f32": "return as_float((uint)x << 16);",
    "f32_b16": "uint u = as_uint(x); return (ushort)(x != x ? u >> 16 | 0x40u : (u + 0x7fffu + (u >> 16 & 1u)) >> 16);",
    "f16_f32": "uint u = (x & 0x7fffu) << 13, e = u & 0x0f800000u; float f = as_float(u + 0x38800000u) - 0x1p-14f; "
               "uint r = e == 0 ? as_uint(f) : u + (e == 0x0f800000u ? 0x70000000u : 0x38000000u); "
               "return as_float(r | (x & 0x8000u) << 16);",
    "f32_f16": "uint u = as_uint(x) & 0x7fffffffu; uint low = as_uint(as_float(u) + 0.5f) - 0x3f000000u; "
               "uint r = u >= 0x47800000u ? (u > 0x7f800000u ? 0x7e00u : 0x7c00u) : u < 0x38800000u ? low "
               ": (u - 0x38000000u + 0xfffu + (u >> 13 & 1u)) >> 13; return (ushort)(r | (as_uint(x) >> 16 & 0x8000u));"}


def _half(source: CType, target: CType) -> str:
    """A cast from or to a narrow float, through float."""
    pair = f"{source.short}_{target.short}"
    if pair in _HALF:
        return _HALF[pair]
    if source.kind == "h":
        return f"return eg_cast_f32_{target.short}(eg_cast_{source.short}_f32(x));"
    return f"return eg_cast_f32_{target.short}({'eg_odd_f64(x)' if source.short == 'f64' else '(float)x'});"


def _cast(source: CType, target: CType) -> str:
    if source.short == target.short:
        value = "x"
    elif "h" in (source.kind, target.kind):
        return f"EG_INLINE {target.c} eg_cast_{source.short}_{target.short}({source.c} x) {{ {_half(source, target)} }}\n"
    elif target.kind == "b":
        value = "x != 0"
    elif source.kind != "f" or target.kind == "f":
        value = f"({target.c})x"
    else:
        way = "toulong" if target.short == "u64" else "tolong" if target.short in ("i64", "u32") else "toint"
        value = f"({target.c})eg_{way}_{source.short}(x)"
    return f"EG_INLINE {target.c} eg_cast_{source.short}_{target.short}({source.c} x) {{ return {value}; }}\n"


def _macro(name: str, dialect: str) -> str:
    stem, single = name.removesuffix("f"), name.endswith("f")
    if name in TABLES:
        return f"__constant double EG_{name}[] = {{{TABLES[name]}}};\n"
    if name in _NUMBERS:
        meaning = _NUMBERS[name]
    elif stem in _CLANG:
        meaning = f"__builtin_{_CLANG[stem]}{'f' * single}" if dialect == "pocl" else _CLANG[stem]
    elif stem in _OPENCL and _OPENCL[stem] in BODIES:
        meaning = f"eg_{_OPENCL[stem]}_{'f32' if single else 'f64'}"
    elif stem in _OPENCL:
        meaning = _OPENCL[stem]
    else:
        raise ValueError(f"no macro {name}: mathlib knows {', '.join(sorted([*_CLANG, *_OPENCL, *_NUMBERS]))}")
    return f"#define EG_{name} {meaning}\n"


@lru_cache(maxsize=4096)
def definition(name: str, dialect: str) -> str:
    """The definition of one eg_ or EG_ name; ValueError for a name that there is none for."""
    if name.startswith("EG_"):
        return _macro(name.removeprefix("EG_"), dialect)
    family, *dtypes = name.removeprefix("eg_").split("_")
    types = [TYPES[d] for d in dtypes]
    if family == "cast" and len(types) == 2:
        return _cast(*types)
    if family in running.COMBINES and len(types) == 1 and types[0].short in running.VECTORS:
        return running.definition(family, types[0].short)
    if (family in BODIES or family in NEAR) and len(types) == 1 and types[0].kind == "f":
        return _own(family, types[0], dialect)
    if family not in FAMILIES or len(types) != 1 or not {types[0].kind, "*"} & set(FAMILIES[family][1]):
        raise ValueError(f"no function {name}: mathlib knows cast, {', '.join(FAMILIES)}")
    return _family(family, types[0])


def prelude(text: str, dialect: str) -> str:
    """Definitions of every eg_ function and EG_ macro that the text mentions, each once, after those that it rests on itself.

    dialect "portable" uses OpenCL's builtins; "pocl" uses clang's for what clang compiles to instructions.
    """
    if dialect not in ("portable", "pocl"):
        raise ValueError(f"unknown dialect {dialect!r}: expected 'portable' or 'pocl'")
    return "".join(_ordered(text, lambda name: definition(name, dialect)))


def _ordered(text: str, define: Callable[[str], str]) -> Iterator[str]:
    """The definitions, dependencies first; names in the order of their first mention."""
    done: set[str] = set()
    todo = [(name, False) for name in reversed(_NAME.findall(text))]
    while todo:
        name, ready = todo.pop()
        if name in done:
            continue
        made = define(name)
        if ready:
            done.add(name)
            yield made
        else:
            todo.append((name, True))
            todo += [(other, False) for other in reversed(_NAME.findall(made)) if other != name]
