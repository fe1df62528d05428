"""The C spelling of every elementwise row, with the functions and macros of mathlib, against its NumPy meaning on special values."""
import os
from functools import cache

import numpy as np
import pytest

os.environ.setdefault("POCL_DEVICES", "basic pthread")
cl = pytest.importorskip("pyopencl")

from codegen import mathlib  # noqa: E402
from exprgraph.dtypes import FLOATS, INTS, NARROW, REAL  # noqa: E402
from exprgraph.errors import CallError, DTypeError  # noqa: E402
from exprgraph.node import INPUT, OPERATORS, Op, Out, leaf  # noqa: E402
from exprgraph.ops import arithmetic, bits, compare, rounding, transcendental  # noqa: E402
from runtime.pocl import name_unknown_cpu  # noqa: E402

ROWS = {**arithmetic.TABLE, **bits.TABLE, **compare.TABLE, **rounding.TABLE, **transcendental.TABLE}
OPERATORS.setdefault("cast", rounding.cast)
C_TYPES = {t.c for t in mathlib.TYPES.values()}
DIALECTS = ("portable", "pocl")
EXACT = {"true_div", "reciprocal", "sqrt", "rsqrt"}   # correctly rounded wherever these tests run, though OpenCL allows more
CANCELS = {"logaddexp"}                               # a sum of two terms, each right to the last place
Case = tuple[str, tuple[str, ...], str]               # row, dtypes of the operands, dtype of the result


def short(dtype: str) -> str:
    return "b" if dtype == "bool" else dtype[0] + dtype.lstrip("abcdefghijklmnopqrstuvwxyz")


def case_of(op: Op, own: str, **params: str) -> Case | None:
    """The case of a row whose value operands have the dtype; None where the row does not take it as it is."""
    given = tuple("bool" if op.name == "switch" and i == 0 else own for i in range(len(op.domain)))
    try:
        made = op(*(Out(leaf(INPUT, d, (None,))) for d in given), **params)
    except DTypeError:
        return None
    return (op.name, given, made.dtype) if tuple(i.dtype for i in made.node.inputs) == given else None


def cases_of(dtype: str) -> list[Case]:
    """Every row that takes the dtype, casts to all dtypes among them; narrow floats are only cast in kernels."""
    found = [case_of(op, dtype) for op in ROWS.values() if op is not rounding.cast and dtype not in NARROW]
    return [c for c in [*found, *(case_of(rounding.cast, dtype, dtype=t) for t in REAL)] if c is not None]


def special(dtype: str) -> np.ndarray:
    """Values at which functions go wrong."""
    if dtype == "bool":
        return np.array([False, True])
    if dtype in INTS:
        low, high = int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)
        near = [0, 1, 2, 3, 5, 7, 8, 15, 31, 32, 63, 64, 100, 127]
        wide = [v for v in (2**24 + 1, 2**31, 2**53 + 1, 2**60 + 2**36 + 1, 2**63 + 2**39 + 1) if v < high]
        return np.array([*near, *([-v for v in near[1:]] if low else []), *wide, low, low + 1, high - 1, high, high // 2 + 1], dtype)
    info = np.finfo(dtype)
    plain = [0.0, 0.3, 0.49999997, 0.5, 0.9, 1.0, 1.5, 2.0, 2.5, 2.9, 3.0, 7.0, 20.0, 89.0, 128.0, 255.9, 300.0, 800.0, 70000.0, 3e9, 5e9,
             9.3e18, 1.9e19, 1e22, 1e30, 1e-20, 1e-7, info.tiny, info.smallest_subnormal, info.max, np.inf]
    return np.array([*plain, *(-v for v in plain), np.nan], dtype)


@cache
def operands(dtype: str) -> tuple[np.ndarray, ...]:
    """Three arrays: all pairs of special values, then random ones; the third is the second, turned."""
    values, random = special(dtype), np.random.default_rng(7)
    more = random.uniform(-4, 4, (2, 300)) if dtype in FLOATS else random.integers(-100 if dtype in INTS[:4] else 0, 101, (2, 300))
    a, b = (np.concatenate([x.ravel(), m.astype(dtype)]) for x, m in zip(np.meshgrid(values, values), more))
    return a, b, np.roll(b, 11)


def inputs_of(case: Case) -> list[np.ndarray]:
    """The arrays on which a case is tried."""
    name, dtypes, _ = case
    found = [operands(d)[i] for i, d in enumerate(dtypes)]
    if name == "switch":
        found[0] = np.resize(found[0], found[1].shape)
    return found


def spelled(case: Case) -> str:
    """The C expression of a case over a[i], b[i], c[i]."""
    name, dtypes, result = case
    own = dtypes[-1]
    kind = "b" if own == "bool" else own[0]
    spellings = ROWS[name].c
    typed = mathlib.TYPES[short(result if name == "cast" else own)]
    return spellings[kind if kind in spellings else "*"].format(
        *[f"x{i}[i]" for i in range(len(dtypes))], **typed.words, F=short(own))


def kernel(number: int, case: Case) -> str:
    """A kernel of one work-item; a loop of its own for each case, so that compilers may vectorise it as they would in use."""
    arguments = [f"__global const {mathlib.TYPES[short(d)].c} *restrict x{i}" for i, d in enumerate(case[1])]
    output = f"__global {mathlib.TYPES[short(case[2])].c} *restrict y"
    return f"static void case{number}({', '.join(arguments)}, {output}, int n) {{ for (int i = 0; i < n; i++) y[i] = {spelled(case)}; }}\n"


@cache
def results(dtype: str, dialect: str) -> dict[Case, np.ndarray]:
    """What the device computes for every case of a dtype: one kernel, one build."""
    cases = cases_of(dtype)
    arrays = [inputs_of(c) for c in cases]
    made = [np.zeros(a[0].shape, c[2]) for c, a in zip(cases, arrays)]
    offsets = np.cumsum([0, *(-(-m.nbytes // 64) * 64 for m in made)])
    body, starts, memory, total = [], {}, [], 0
    for number, (case, own) in enumerate(zip(cases, arrays)):
        places = []
        for a, d in zip(own, case[1]):
            if id(a) not in starts:
                starts[id(a)] = total
                memory.append(np.frombuffer(a.tobytes().ljust(-(-a.nbytes // 64) * 64, b"\0"), np.uint8))
                total += memory[-1].nbytes
            places.append(f"(__global const {mathlib.TYPES[short(d)].c} *)(in + {starts[id(a)]})")
        places.append(f"(__global {mathlib.TYPES[short(case[2])].c} *)(out + {offsets[number]})")
        body.append(f"    case{number}({', '.join(places)}, {own[0].size});\n")
    text = "".join(kernel(i, c) for i, c in enumerate(cases))
    text += "__kernel void cases(__global const uchar *in, __global uchar *out) {\n" + "".join(body) + "}\n"
    head = "#pragma OPENCL FP_CONTRACT OFF\n#define EG_INLINE static inline\n"
    raw = run(head + mathlib.prelude(text, dialect) + text, np.concatenate(memory), int(offsets[-1]))
    return {c: raw[o:o + m.nbytes].view(m.dtype) for c, m, o in zip(cases, made, offsets)}


@cache
def device() -> tuple:
    """A context and a queue on PoCL."""
    found = [d for p in cl.get_platforms() if "Portable" in p.name for d in p.get_devices()]
    if not found:
        pytest.skip("PoCL is not installed")
    name_unknown_cpu(tuple(found))
    context = cl.Context(found[:1])
    return context, cl.CommandQueue(context)


def run(source: str, memory: np.ndarray, size: int) -> np.ndarray:
    context, queue = device()
    out = np.zeros(size, np.uint8)
    flags = cl.mem_flags
    given = cl.Buffer(context, flags.READ_ONLY | flags.COPY_HOST_PTR, hostbuf=memory)
    target = cl.Buffer(context, flags.READ_WRITE, out.nbytes)
    cl.Program(context, source).build().cases(queue, (1,), (1,), given, target)
    cl.enqueue_copy(queue, out, target)
    return out


def steps(got: np.ndarray, want: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """The distance in units in the last place of `scale`; NaN, infinities and signs of zero must agree."""
    with np.errstate(all="ignore"):
        same = (got == want) & (np.signbit(got) == np.signbit(want)) | (np.isnan(got) & np.isnan(want))
        unit = np.spacing(np.maximum(np.abs(scale), np.finfo(want.dtype).tiny))
        comparable = np.isfinite(got) & np.isfinite(want) & (got != want)
        return np.where(same, 0.0, np.where(comparable, np.abs(got - want) / unit, np.inf))


def integer_power(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The meaning of the row, and for negative exponents, which NumPy refuses, the exact power truncated."""
    inverse = np.where(abs(a.astype(object)) == 1, np.where(b % 2 == 1, a, 1), 0).astype(a.dtype)
    return np.where(b < 0, inverse, ROWS["pow"].numpy(a, np.maximum(b, 0).astype(b.dtype)))


def reference(case: Case, arrays: list[np.ndarray]) -> np.ndarray:
    """What the row says that a case gives."""
    name, dtypes, result = case
    meaning = integer_power if name == "pow" and dtypes[0] in INTS else ROWS[name].numpy
    want = meaning(*arrays, **({"dtype": result} if name == "cast" else {}))
    assert want.dtype == result, f"the NumPy meaning of {name} gives {want.dtype}, the row says {result}"
    return want


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("dtype", REAL)
def test_kernels_equal_numpy(dtype: str, dialect: str) -> None:
    """A1, A9, A11-A20, A22, A30: every row, every dtype, both dialects."""
    wrong = []
    for case, got in results(dtype, dialect).items():
        arrays = inputs_of(case)
        want = reference(case, arrays)
        allowed = ROWS[case[0]].ulp + 2 if ROWS[case[0]].ulp and case[0] not in EXACT and want.dtype.kind == "f" else 0
        scale = np.fmax.reduce(np.abs([want, *arrays])) if case[0] in CANCELS else want
        bad = steps(got, want, scale) > allowed if want.dtype.kind == "f" else got != want
        if bad.any():
            i = int(np.argmax(bad))
            given = [a[i] for a in arrays]
            wrong.append(f"{case[0]}{case[1]} -> {case[2]}: {bad.sum()} wrong, first at {given}: {got[i]!r}, not {want[i]!r}")
    assert not wrong, "\n".join(wrong)


EXPECTED = """add sub mul true_div int_div mod pow neg abs sign sqr sqrt rsqrt reciprocal exp exp2 expm1 log log2 log10 log1p sin cos tan
    arcsin arccos arctan arctan2 sinh cosh tanh arcsinh arccosh arctanh erf erfc sigmoid softplus relu logaddexp hypot floor ceil trunc
    round_half_to_even round_half_away_from_zero deg2rad rad2deg lt le gt ge eq neq isnan isinf isfinite switch and_ or_ xor invert
    left_shift right_shift maximum minimum clip second identity cast"""


@pytest.mark.parametrize("name", EXPECTED.split())
def test_row_is_complete(name: str) -> None:
    """Every row has a gradient rule where its result can be a float, a sentence, and a dtype that the kernels above tried."""
    op = ROWS[name]
    tried = [c for d in REAL for c in cases_of(d) if c[0] == name]
    assert tried and op.doc.endswith(".") and len(op.domain) == len(tried[0][1])
    assert op.grad is not None or not any(c[2] in FLOATS for c in tried)


def symbol(dtype: str) -> Out:
    return Out(leaf(INPUT, dtype, (None,)))


@pytest.mark.parametrize("name, arguments, error, message", [
    ("sub", ("bool", "bool"), DTypeError, "sub does not take bool"),
    ("neg", ("bool",), DTypeError, "neg does not take bool"),
    ("and_", ("float32", "int32"), DTypeError, "and_ does not take float32"),
    ("left_shift", ("bool", "bool"), DTypeError, "left_shift does not take bool"),
    ("exp", (np.float16(1),), None, ""),
    ("exp", (np.ones(2, "M8[s]"),), DTypeError, "datetime64.* is not supported"),
    ("exp", (np.ones(2, "clongdouble"),), DTypeError, "complex256 is not supported"),
    ("erf", ("complex64",), DTypeError, "erf does not take complex64; rows that take it are abs, add"),
    ("cast", ("complex64", {"dtype": "int8"}), DTypeError, r"write real\(x\), imag\(x\)"),
    ("pow", ("int32", -1), ValueError, r"integers to negative integer powers are not allowed: int32 \*\* -1"),
    ("pow", ("uint8", -2), ValueError, "integers to negative integer powers"),
    ("pow", ("int32", np.array([1, -3])), ValueError, "integers to negative integer powers"),
    ("pow", ("float32", -1), None, ""),
    ("switch", ("bool", "int8"), CallError, "switch takes a condition and two values, 2 arguments given"),
    ("second", ("int8",), CallError, "second takes 2 arguments, 1 given"),
    ("add", ("int8", 300), DTypeError, "300 is out of bounds for int8"),
])
def test_arguments(name: str, arguments: tuple, error: type | None, message: str) -> None:
    """A19, A29 and NumPy's rules for bool: what a row refuses, and with which words; the message ends with the caller's line."""
    params = {k: v for a in arguments if isinstance(a, dict) for k, v in a.items()}
    given = [symbol(a) if isinstance(a, str) else a for a in arguments if not isinstance(a, dict)]
    if error is None:
        assert ROWS[name](*given, **params).dtype == "float32"
        return
    with pytest.raises(error, match=message) as caught:
        ROWS[name](*given, **params)
    assert os.path.basename(__file__) in str(caught.value)


@pytest.mark.parametrize("name, dtypes, result", [
    ("add", ("int8", "uint8"), "int16"), ("add", ("int64", "float32"), "float32"), ("add", ("bool", "bool"), "bool"),
    ("true_div", ("int64", "int32"), "float32"), ("true_div", ("float64", "int8"), "float64"), ("exp", ("int64",), "float32"),
    ("int_div", ("uint8", "int8"), "int16"), ("pow", ("int8", "float64"), "float64"), ("lt", ("int8", "float32"), "bool"),
    ("switch", ("float32", "int8", "float32"), "float32"), ("second", ("float32", "int8"), "int8"), ("floor", ("int8",), "int8"),
    ("clip", ("int8", "int16", "int8"), "int16"), ("isnan", ("int8",), "bool"), ("abs", ("bool",), "bool"),
])
def test_result_dtype(name: str, dtypes: tuple[str, ...], result: str) -> None:
    assert ROWS[name](*map(symbol, dtypes)).dtype == result


def test_integer_power_of_negative_exponent_raises_in_numpy() -> None:
    """A19: what the NumPy backend does where only the call knows the exponent."""
    with pytest.raises(ValueError, match="negative integer powers"):
        ROWS["pow"].numpy(np.array([2], "int32"), np.array([-1], "int32"))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("dtype", ["float32", "int32"])
def test_meanings_are_quiet_and_keep_0d_arrays(dtype: str) -> None:
    """A13: zero divisors, NaN and overflow are results, not warnings; 0-d operands give 0-d arrays."""
    for case in cases_of(dtype):
        reference(case, inputs_of(case))
        single = reference(case, [a[0] for a in inputs_of(case)])
        assert isinstance(single, np.ndarray) and single.shape == ()


@pytest.mark.parametrize("dialect", DIALECTS)
def test_prelude(dialect: str) -> None:
    """Each definition stands once and after those that it needs."""
    lines = mathlib.prelude("eg_clip_f32(eg_max_f32(1, 2), EG_FLOORf(3), EG_FMOD(4, 5)) eg_isinf_f64", dialect).splitlines()
    heads = [line.split("(")[0].split()[-1] if "INLINE" in line else line.split()[1] for line in lines]
    assert heads == ["eg_min_f32", "eg_max_f32", "eg_clip_f32", "EG_FLOORf", "EG_FMOD", "EG_FABS", "eg_isinf_f64"]
    assert ("__builtin_floorf" in " ".join(lines)) == (dialect == "pocl")


@pytest.mark.parametrize("text", ["eg_nothing_f32(x)", "EG_NOTHING(x)", "eg_isnan_i32(x)", "eg_max_f32_f64(x)"])
def test_prelude_refuses_names_that_it_does_not_know(text: str) -> None:
    with pytest.raises(ValueError, match="mathlib knows"):
        mathlib.prelude(text, "pocl")
