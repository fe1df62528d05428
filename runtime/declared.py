"""What our programs call of OpenCL, declared beside them, so that PoCL's compiler need not read the declarations of all that there is.

PoCL puts a file of 18,000 lines in front of every program, which takes ten times as long as a small kernel does.  Our kernels call
little of it: they have functions of their own, and instructions of the compiler's.  The file stands in a guard, which an option defines.
"""
from __future__ import annotations

import re

SKIPPED = "-D_OPENCL_H_"
"""The option that defines the guard of the file."""
MARK = "own_"
"""What the names of all functions of the user's own begin with, and no others."""
_OWN = "__attribute__((overloadable))"
_IDS = [f"size_t {_OWN} __attribute__((const)) {name}(uint);" for name in ("get_global_id", "get_group_id", "get_local_id")]
_ATOMICS = [f"{t} {_OWN} {kind}_{name}(volatile {space} {t} *{f', {t}' * count});"
            for kind, types in (("atomic", ("int", "uint")), ("atom", ("long", "ulong")))
            for name, count in (("inc", 0), ("add", 1), ("min", 1), ("max", 1), ("xchg", 1), ("cmpxchg", 2)) for t in types
            for space in ("__global", "__local")]
_FLOATS = ("float", "double")  # of min and max too: a call of both kinds shall be as ambiguous as it is with all declarations
_PAIRS = [f"{t} {_OWN} __attribute__((const)) {name}({t}, {t});"
          for name, types in (("fmod", _FLOATS), ("min", ("int", "long", *_FLOATS)), ("max", ("int", "long", *_FLOATS))) for t in types]
_CALL = re.compile(r"\b(?!as_)[a-z]\w*(?=\()")
_DEFINITION = re.compile(r"\b[a-z]\w*(?=\([^(){};]*\)\s*\{)")
_KNOWN = {line: name for line in [*_IDS, *_ATOMICS, *_PAIRS, f"void {_OWN} __attribute__((convergent)) barrier(cl_mem_fence_flags);"]
          for name in _CALL.findall(line) if name != "__attribute__"}
_NAME = re.compile(rf"\b(?:{'|'.join(sorted(set(_KNOWN.values())))})\b")
_WORDS = frozenset(["aligned", "ext_vector_type", "interleave_count", "reassociate", "reqd_work_group_size", "sizeof", "target",
                    "vectorize", "vectorize_predicate", "vectorize_width", "volatile"])
"""What stands before a bracket and is no call."""


def declared(text: str) -> str | None:
    """A program with declarations of what it calls in front; None where it calls something that is not known here, or
    holds text of the user's own, which may count on all that OpenCL has."""
    if MARK in text:
        return None
    called = set(_CALL.findall(text)).difference(_DEFINITION.findall(text), _WORDS)
    if not called.issubset(_KNOWN.values()):
        return None
    said = set(_NAME.findall(text))  # macros mention what they stand for without a bracket
    needed = [line for line, name in _KNOWN.items() if name in said]
    double = ["#pragma OPENCL EXTENSION cl_khr_fp64 : enable"] * any("double" in line for line in needed)
    return "\n".join([*double, *needed, text])
