"""The C text of ops of the user's own, beside the kernels that call it."""
from __future__ import annotations

from codegen.dialect import dialect_of, qualifiers
from exprgraph.own.text import Snippet, mentioned


def snippets(text: str) -> str:
    """The definitions of what the kernels of a text call."""
    return "".join(s.text for s in mentioned(text))


def program_of(snippet: Snippet, dialect: str) -> str:
    """A program with this text alone, to see whether it can be built."""
    lines = ["#pragma OPENCL FP_CONTRACT OFF", *["#pragma OPENCL EXTENSION cl_khr_fp64 : enable"] * ("double" in snippet.text),
             *qualifiers(dialect_of(dialect)), snippet.text]
    return "\n".join([*lines, "__kernel void alone(__global int *x) { x[0] = 0; }", ""])
