"""The C text of ops of the user's own, beside the kernels that call it."""
from __future__ import annotations

from codegen.dialect import dialect_of, qualifiers
from exprgraph.own.text import Snippet, mentioned

PLACES = ("preamble", "text", "head", "rest")
"""What the parts of a snippet are called where it is built alone, each counting its own lines."""


def snippets(text: str) -> str:
    """The definitions of what the kernels of a text call."""
    return "".join(s.text for s in mentioned(text))


def program_of(snippet: Snippet, dialect: str) -> str:
    """A program with this text alone, to see whether it can be built."""
    lines = ["#pragma OPENCL FP_CONTRACT OFF", *["#pragma OPENCL EXTENSION cl_khr_fp64 : enable"] * ("double" in snippet.text),
             *qualifiers(dialect_of(dialect))]
    for part, place in zip(snippet.parts, (PLACES[0], PLACES[2], PLACES[1], PLACES[3])):
        lines += [f'#line 1 "{place}"', part]
    return "\n".join([*lines, "__kernel void alone(__global int *x) { x[0] = 0; }", ""])
