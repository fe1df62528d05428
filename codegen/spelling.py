"""The words of OpenCL C that the printer puts together: dtypes, constants, the spelling of ops, and which names are allowed."""
from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from string import Formatter

import numpy as np

from codegen.kernel import INDEX, Alloc, Kernel, Let, Loop, Stmt
from codegen.rows import row_of, template_of
from exprgraph.dtypes import NARROW
from exprgraph.errors import GraphError
from exprgraph.named import NamedTuple
from exprgraph.node import Op

C_TYPES = {"bool": "int", "float16": "ushort", "bfloat16": "ushort", "float32": "float", "float64": "double",
           "int8": "char", "int16": "short", "int32": "int", "int64": "long",
           "uint8": "uchar", "uint16": "ushort", "uint32": "uint", "uint64": "ulong"}
INDEX_OPS = {"add": "{0} + {1}", "sub": "{0} - {1}", "mul": "{0} * {1}", "int_div": "{0} / {1}", "mod": "{0} % {1}",
             "minimum": "{0} < {1} ? {0} : {1}", "maximum": "{0} > {1} ? {0} : {1}", "switch": "{0} ? {1} : {2}",
             "lt": "{0} < {1}", "le": "{0} <= {1}", "gt": "{0} > {1}", "ge": "{0} >= {1}", "eq": "{0} == {1}", "neq": "{0} != {1}"}
LOCAL_BYTES = 16
SUFFIXES = {"int64": "L", "uint64": "UL", "uint32": "u"}
_RESERVED = re.compile(
    r"(?:auto|barrier|bool|break|case|char|const|constant|continue|default|do|double|else|enum|event_t|extern|flags|float|"
    r"for|global|goto|half|if|image|inline|int|kernel|local|long|main|private|read_only|read_write|register|restrict|return|"
    r"sampler_t|short|signed|size_t|sizeof|static|struct|switch|typedef|uchar|uint|ulong|union|unsigned|ushort|void|volatile|while|write_only)\Z")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,60}\Z")
_GENERATED = re.compile(r"d[0-9]+\Z|eg_|get_|atomic?_|as_|convert_")
_BEFORE = re.compile(r"[(,] ?\Z")
_CALL = re.compile(r"\w+\([^()]*\)\Z")


def short_name(dtype: str) -> str:
    """The dtype as helper functions spell it: f32, i8, u64, b."""
    return "b" if dtype == "bool" else dtype[0] + dtype.lstrip("abcdefghijklmnopqrstuvwxyz")


def memory_type(dtype: str, index: str = "int") -> str:
    """The C type of an element in memory; bool takes a byte there and an int elsewhere."""
    return "uchar" if dtype == "bool" else index if dtype == INDEX else C_TYPES[dtype]


def local_array(alloc: Alloc, index: str) -> str:
    """The declaration of an array in local memory, aligned for what a GPU reads at a time where its compiler puts neighbours together."""
    return f"__local {memory_type(alloc.dtype, index)} {alloc.name}[{alloc.size}] __attribute__((aligned({LOCAL_BYTES})));"


def literal(value: bool | int | float, dtype: str) -> str:
    """A constant of the dtype that C reads back bit for bit."""
    if dtype == "bool":
        return str(int(value))
    if dtype in NARROW:
        with np.errstate(over="ignore"):
            return str(np.asarray(value).astype(dtype).view("uint16"))
    if dtype.startswith("float"):
        return _float_literal(float(value), dtype)
    number, suffix = int(value), SUFFIXES.get(dtype, "")
    if dtype == INDEX and not -2**31 <= number < 2**31:
        suffix = "L"
    if number in (-2**31, -2**63):
        return f"({number + 1}{suffix} - 1)"
    return f"{number}{suffix}" if number >= 0 else f"({number}{suffix})"


def _float_literal(value: float, dtype: str) -> str:
    single = dtype == "float32"
    with np.errstate(over="ignore"):
        exact = np.float32(value) if single else np.float64(value)
    if not np.isfinite(exact):
        return f"as_float({exact.view(np.uint32):#x}u)" if single else f"as_double({exact.view(np.uint64):#x}UL)"
    digits, exponent = float(exact).hex().split("p")
    text = f"{digits.rstrip('0').rstrip('.') if '.' in digits else digits}p{exponent}{'f' * single}"
    return f"({text})" if text[0] == "-" else text


class Spelling(NamedTuple):
    """How an op on certain dtypes is written: its parts, whether it is one call, how often it mentions each operand.

    A part is what stands before an operand, the number of the operand, and whether that needs no parentheses there, as an argument of
    a call; after: what stands behind the last one.
    """
    parts: tuple[tuple[str, int, bool], ...]
    after: str
    call: bool
    uses: tuple[int, ...]

    @property
    def whole(self) -> bool:
        """Whether nothing is written but an operand."""
        return not self.after and len(self.parts) == 1 and not self.parts[0][0]


@lru_cache(maxsize=4096)
def spelling(name: str | Op, operands: tuple[str, ...], result: str, index: str) -> Spelling:
    """The spelling of a row on these dtypes; `index` is the C type of indices.  KeyError where there is no such row, GraphError where it
    has no spelling."""
    last = operands[-1]
    if INDEX in (last, result) and name == "cast":
        template = "{0} != 0" if result == "bool" else f"({index if result == INDEX else C_TYPES[result]}){{0}}"
    elif last == INDEX:
        template = INDEX_OPS[str(name)]
    else:
        row = row_of(name)
        own = template_of(row, last)
        if own is None:
            raise GraphError(f"the row {row.name} has no C spelling for {last}")
        template = _filled(own, result if name == "cast" else last, last)
    plain = template.replace("{", "").replace("}", "")
    pieces = [("", -1)]  # what stands before each operand, and last what stands behind all
    for text, field, _, _ in Formatter().parse(template):
        pieces[-1] = pieces[-1][0] + text, -1 if field is None else int(field)
        pieces += [("", -1)] * (field is not None)
    parts = tuple((text, at, _BEFORE.search(text) is not None and after[:1] in (",", ")"))
                  for (text, at), (after, _) in zip(pieces, pieces[1:]))
    uses = tuple(sum(at == k for _, at, _ in parts) for k in range(len(operands)))
    return Spelling(parts, pieces[-1][0], _CALL.match(plain) is not None, uses)


def _filled(template: str, dtype: str, source: str) -> str:
    words = {"{T}": C_TYPES[dtype], "{U}": "ulong" if dtype.endswith("64") else "uint", "{N}": short_name(dtype),
             "{S}": "f" if dtype == "float32" else "", "{F}": short_name(source)}
    for mark, word in words.items():
        template = template.replace(mark, word)
    return template


def check_names(kernel: Kernel, inside: Iterable[Stmt]) -> set[str]:
    """The names of the tree, which these statements are; ValueError where one is not of our own making."""
    names = {kernel.name, *(p.name for p in kernel.params)}
    names.update(s.var if isinstance(s, Loop) else s.name for s in inside if isinstance(s, Loop | Let | Alloc))
    for name in names:
        if not _NAME.match(name) or _RESERVED.match(name) or _GENERATED.match(name):
            raise ValueError(f"{name!r} cannot be an identifier of a kernel")
    return names
