"""Loops over one elementary function each, on PoCL, in any dialect: what the tests and the benchmark of the math library run."""
from __future__ import annotations

import os
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

os.environ.setdefault("POCL_DEVICES", "basic pthread")

from codegen import mathlib  # noqa: E402
from codegen.again import again  # noqa: E402
from codegen.dialect import dialect_of, qualifiers  # noqa: E402
from codegen.elementary import BODIES, PARAMETERS  # noqa: E402
from exprgraph.ops.table import ROWS  # noqa: E402
from runtime.pocl import name_unknown_cpu  # noqa: E402

SHORT = {"float32": "f32", "float64": "f64"}
NUMPY = {"asin": "arcsin", "acos": "arccos", "atan": "arctan", "atan2": "arctan2", "asinh": "arcsinh", "acosh": "arccosh",
         "atanh": "arctanh", "pow": "power"}
COMPOSED = ("sigmoid", "softplus", "mod")
"""Functions made of others; what they mean stands in their rows."""
ROOTS = {"sqrt": "EG_SQRT{}(x0[i])", "rsqrt": "1 / EG_SQRT{}(x0[i])"}
NAMES = tuple(dict.fromkeys((*BODIES, *COMPOSED, *ROOTS)))


def arity(name: str) -> int:
    """How many arguments the function takes."""
    return len(ROWS[name].domain) if name in COMPOSED else len(PARAMETERS.get(name, "x"))


def meaning(name: str) -> Any:
    """NumPy's function, or the row's meaning where NumPy has none; None for erf and erfc."""
    return ROWS[name].numpy if name in (*COMPOSED, "rsqrt") else getattr(np, NUMPY.get(name, name), None)


@lru_cache(maxsize=1)
def device() -> tuple[Any, Any]:
    """A context and a queue on PoCL's device that runs in the calling thread."""
    import pyopencl as cl
    found = [d for p in cl.get_platforms() if "Portable" in p.name for d in p.get_devices()]
    name_unknown_cpu(tuple(found))
    basic = [d for d in found if d.name.startswith("basic")] or found
    context = cl.Context(basic[:1])
    return context, cl.CommandQueue(context)


def loop(name: str, dtype: str, inline: str) -> str:
    """A kernel of one work-item, its loop in a function of its own; run again for rare arguments, as the printer does."""
    short, c, given = SHORT[dtype], mathlib.TYPES[SHORT[dtype]].c, range(arity(name))
    pointers = "".join(f"__global const {c} *restrict x{i}, " for i in given)
    call = ROOTS[name].format("f" * (short == "f32")) if name in ROOTS else f"eg_{name}_{short}({', '.join(f'x{i}[i]' for i in given)})"
    lines = again([f"for (int i = 0; i < n; i++) out[i] = {call};"], "rare", {})
    return (f"{inline} void {name}_{short}_body({pointers}__global {c} *restrict out, int n) {{ {' '.join(lines)} }}\n"
            f"__kernel void {name}_{short}({pointers}__global {c} *restrict out, int n) "
            f"{{ {name}_{short}_body({''.join(f'x{i}, ' for i in given)}out, n); }}\n")


@lru_cache(maxsize=8)
def program(dialect: str, names: tuple[str, ...] = NAMES, dtypes: tuple[str, ...] = tuple(SHORT)) -> Any:
    """The loops of these functions, built."""
    import pyopencl as cl
    spoken = dialect_of(dialect)
    text = "".join(loop(n, d, "EG_BODY" if spoken.features else "static") for n in names for d in dtypes)
    lines = ["#pragma OPENCL FP_CONTRACT OFF", "#pragma OPENCL EXTENSION cl_khr_fp64 : enable", *qualifiers(spoken)]
    source = "\n".join([*lines, mathlib.prelude(text, spoken.builtins) + text])
    return cl.Program(device()[0], source).build(options=["-cl-std=CL1.2"])


def launcher(made: Any, name: str, arrays: Sequence[np.ndarray]) -> tuple[Any, np.ndarray]:
    """A function that runs the loop once, and the array that it fills."""
    import pyopencl as cl
    context, queue = device()
    out = np.empty_like(arrays[0])
    flags = cl.mem_flags
    buffers = [cl.Buffer(context, flags.READ_ONLY | flags.USE_HOST_PTR, hostbuf=a) for a in arrays]
    buffers.append(cl.Buffer(context, flags.WRITE_ONLY | flags.USE_HOST_PTR, hostbuf=out))
    kernel = cl.Kernel(made, f"{name}_{SHORT[str(out.dtype)]}")
    for i, value in enumerate([*buffers, np.int32(out.size)]):
        kernel.set_arg(i, value)

    def run(kept: tuple[Any, ...] = (*buffers, *arrays)) -> None:
        cl.enqueue_nd_range_kernel(queue, kernel, (1,), (1,))
        queue.finish()
    return run, out


def samples(name: str, dtype: str, rng: np.random.Generator, each: int = 8) -> list[np.ndarray]:
    """Arguments of every exponent and both signs, more of them where the function is not constant, and the special values."""
    info = np.finfo(dtype)
    powers = np.arange(info.minexp - info.nmant, info.maxexp, dtype="float64" if dtype == "float32" else "longdouble")
    wide = np.ldexp(rng.uniform(1, 2, (each, powers.size)), powers.astype(int)).astype(dtype).ravel()
    edges = np.array([0, info.smallest_subnormal, info.tiny, 1, 2, 0.5, np.pi / 2, np.sqrt(2), 4, 10, 100, info.max, np.inf, np.nan], dtype)
    with np.errstate(over="ignore"):
        beside = [np.nextafter(edges, dtype_of(dtype, to)) for to in (0, np.inf)]
    edges = np.concatenate([edges, *beside, np.arange(40, dtype=dtype)])
    near = np.concatenate([rng.uniform(0, top, each * 400) for top in (1, 2, 12, 120, 800)]).astype(dtype)
    values = np.concatenate([edges, wide, near])
    values = np.concatenate([values, -values])
    if arity(name) == 1:
        return [values]
    pairs = [g.ravel() for g in np.meshgrid(np.concatenate([edges, -edges]), np.concatenate([edges, -edges]))]
    mixed = rng.permutation(values)
    close = [np.concatenate([near, near + 0, -near]), rng.permutation(np.concatenate([near, -near, near]))]
    return [np.concatenate([p, m, c]) for p, m, c in zip(pairs, (values, mixed), close)]


def dtype_of(dtype: str, value: float) -> Any:
    """The value as a scalar of the dtype."""
    return np.dtype(dtype).type(value)


def exact(name: str, arrays: Sequence[np.ndarray]) -> np.ndarray:
    """The function in a wider dtype; erf and erfc in double precision."""
    if name in ("erf", "erfc"):
        import math
        return np.array([getattr(math, name)(float(x)) for x in arrays[0]])
    wide = "float64" if arrays[0].dtype == "float32" else "longdouble"
    with np.errstate(all="ignore"):
        return np.asarray(meaning(name)(*(a.astype(wide) for a in arrays)))


def errors(got: np.ndarray, want: np.ndarray) -> np.ndarray:
    """Distances in units in the last place; infinite where NaN, an infinity or the sign of a zero is not as it should be."""
    info = np.finfo(got.dtype)
    with np.errstate(all="ignore"):
        rounded = want.astype(got.dtype)
        same = (got == rounded) & ((np.signbit(got) == np.signbit(rounded)) | (got != 0)) | np.isnan(got) & np.isnan(rounded)
        limit = np.ldexp(np.longdouble(1), info.maxexp)
        found = np.where(np.isinf(got) & np.isfinite(want), np.copysign(limit, got), got.astype("longdouble"))
        unit = np.spacing(np.clip(np.abs(rounded), info.smallest_subnormal, info.max))
        distance = np.abs(found - want) / unit
        bad = np.isnan(distance) | ((got == 0) & (np.signbit(got) != np.signbit(rounded)))
        exact_same = same & ~np.isfinite(rounded)
        return np.where(exact_same, 0, np.where(bad, np.inf, distance)).astype("float64")
