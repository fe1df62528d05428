"""Dialects of OpenCL C: which builtins a compiler turns into instructions, and which instructions of the CPU it has to be told of."""
from __future__ import annotations

from exprgraph.named import NamedTuple


class Dialect(NamedTuple):
    """builtins: the macro table of `codegen.mathlib`, "pocl" (clang's builtins) or "portable" (OpenCL's).  features: instruction sets
    that a compiler of the clang family uses in functions which ask for them; "" for those that it uses anyway.  float_adds: how floats
    are added atomically in global memory: "ptx" (in NVIDIA's assembly), "extension" (cl_ext_float_atomics, where the compiler says
    that it has the type), or "" (compare-and-swap)."""
    builtins: str
    features: str
    float_adds: str = ""


DIALECTS = {
    "portable": Dialect("portable", ""),
    "nvidia": Dialect("portable", "", "ptx"),
    "float_atomics": Dialect("portable", "", "extension"),
    "pocl": Dialect("pocl", ""),
    # PoCL compiles for AVX2 at most; clang itself knows more, and takes it function by function.
    "pocl_avx512": Dialect("pocl", "avx512f,avx512vl,avx512bw,avx512dq")}


def dialect_of(name: str) -> Dialect:
    """The dialect of a name; ValueError where there is none."""
    if name not in DIALECTS:
        raise ValueError(f"unknown dialect {name!r}; known are {', '.join(DIALECTS)}")
    return DIALECTS[name]


def qualifiers(spoken: Dialect) -> list[str]:
    """What stands before helper functions and before the functions that are kernels' bodies."""
    wanted = f' __attribute__((target("{spoken.features}")))' if spoken.features else ""
    body = [f"#define EG_BODY static __attribute__((noinline)){wanted}"] if spoken.builtins == "pocl" else []
    always = " __attribute__((always_inline))" if spoken.builtins == "pocl" else ""
    return [f"#define EG_INLINE static inline{always}{wanted}", *body]
