"""The heads of kernels, found in programs that are otherwise the compiler's to judge.

Macros without arguments, simple typedefs and conditions that the text itself decides are followed.  What a device decides is tried both
ways: heads that differ then are several, and the user says which is meant.
"""
from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence

from exprgraph.errors import Source, UseError, at, shortly
from exprgraph.named import NamedTuple
from exprgraph.own.text import COMMENT, Parameter, parameters

_WORD = re.compile(r"\b[A-Za-z_]\w*")
_PIECE = re.compile(r"\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'|\w+|&&|\|\||[<>=!]=|<<|>>|[^\s\w]")
_DIRECTIVE = re.compile(r"\s*#\s*(\w*)(.*)")
_DEFINE = re.compile(r"(\w+)(\()?(.*)")
_TYPEDEF = re.compile(r"\btypedef\b((?:\s+(?!typedef\b)\w+)+)\s*;")
_OPEN = re.compile(r"__|cl_|CL_")
"""Names that a device may define."""
_LEVELS = (("||",), ("&&",), ("|",), ("^",), ("&",), ("==", "!="), ("<", ">", "<=", ">="), ("<<", ">>"), ("+", "-"), ("*", "/", "%"))
_SIGNS: Mapping[str, Callable[[int, int], int]] = {
    "||": lambda a, b: bool(a or b), "&&": lambda a, b: bool(a and b), "|": operator.or_, "^": operator.xor, "&": operator.and_,
    "==": operator.eq, "!=": operator.ne, "<": operator.lt, ">": operator.gt, "<=": operator.le, ">=": operator.ge,
    "<<": operator.lshift, ">>": operator.rshift, "+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.floordiv,
    "%": operator.mod}
_KERNEL = ("kernel", "__kernel")
CURE = "give head= as it is after macros and conditions: head=\"__kernel void k(__global const float *x, __global float *y)\""


class Head(NamedTuple):
    """The name of a kernel and the text of its parameters."""
    name: str
    parameters: str


class _Unclear(Exception):
    """A condition that is not read."""


def find(program: str, name: str | None, head: str | None, source: Source | None) -> tuple[str, list[Parameter]]:
    """The name of the kernel that is meant and its parameters; UseError where that is not clear."""
    for text, what in ((program, "the source of a RawKernel"), *(((head, "head="),) if head is not None else ())):
        if not isinstance(text, str):
            raise UseError(f"{what} must be a text, not {shortly(text)}{at(source)}")
    given = program if head is None else head if _words(head) & set(_KERNEL) else "__kernel " + head
    found = list(dict.fromkeys(h for view in _views(given, source) for h in _heads(view)))
    names = list(dict.fromkeys(h.name for h in found))
    called = name if name is not None or len(names) != 1 else names[0]
    meant = [h for h in found if h.name == called]
    if not meant:
        raise UseError(f"a RawKernel needs the name of one kernel of its source, which has {', '.join(names) or 'none'}; "
                       f"{name!r} was given{'' if names and name is None else _hint(given)}{at(source)}")
    if len(meant) > 1:
        raise UseError(f"{called} has several heads, between which conditions of the device decide: {CURE}{at(source)}")
    return meant[0].name, parameters(meant[0].parameters, meant[0].name, source, kernel=True)


def _hint(program: str) -> str:
    """What may be the reason why a kernel is not found."""
    words = _words(program)
    if "__global__" in words:
        return (". It is CUDA C; in OpenCL C kernels are __kernel, pointers to arrays __global, __shared__ is __local, and threadIdx.x + "
                "blockIdx.x * blockDim.x is get_global_id(0)")
    if words & set(_KERNEL):
        return f". If a macro writes it, {CURE}"
    return ""


def _words(text: str) -> set[str]:
    return set(_WORD.findall(text))


def _views(program: str, source: Source | None) -> Iterator[str]:
    """The program after conditions and macros, for what a device may have defined: nothing, each, or all of what the text asks for."""
    joined = program.replace("\r\n", "\n").replace("\r", "\n").replace("\\\n", "")
    lines = COMMENT.sub(lambda m: m.group(1) or " ", joined).split("\n")
    asked = set[str]()
    yield _view(lines, frozenset(), asked, source)
    names = sorted(asked)
    for some in [[n] for n in names] + [names] * (len(names) > 1):
        yield _view(lines, frozenset(some), asked, source)


def _view(lines: Sequence[str], known: frozenset[str], asked: set[str], source: Source | None) -> str:
    """The program where the device has defined the known names; asked: gets the names that it could define as well."""
    macros, kept, taken = dict[str, str | None](), list[str](), list[tuple[bool, bool]]()

    def value(condition: str) -> bool:
        return _holds(condition, macros, known, asked)
    for line in lines:
        directive = _DIRECTIVE.match(line)
        if directive:
            _conditional(directive[1], directive[2].strip(), taken, value)
        if all(now for now, _ in taken):
            if directive:
                _directive(directive[1], directive[2].strip(), macros, source)
            else:
                kept.append(_expanded(line, macros))
    text = "\n".join(kept)
    types = {words[-1]: " ".join(words[:-1]) for m in _TYPEDEF.finditer(text) for words in [m.group(1).split()]}
    return _expanded(_TYPEDEF.sub(" ", text), {name: meaning or None for name, meaning in types.items()})


def _conditional(word: str, rest: str, taken: list[tuple[bool, bool]], value: Callable[[str], bool]) -> None:
    """Follow a condition; taken: for each that is open, whether its lines count now, and whether some of its have counted."""
    if word in ("if", "ifdef", "ifndef"):
        holds = all(now for now, _ in taken) and value(rest if word == "if" else f"{'!' * (word == 'ifndef')}defined({rest})")
        taken.append((holds, holds))
    elif word in ("else", "elif") and taken:
        before = taken.pop()[1]
        holds = not before and all(now for now, _ in taken) and (word == "else" or value(rest))
        taken.append((holds, before or holds))
    elif word == "endif" and taken:
        taken.pop()


def _directive(word: str, rest: str, macros: dict[str, str | None], source: Source | None) -> None:
    """Remember what a line defines: None for a macro with arguments."""
    if word == "include":
        raise UseError(f"the source of a RawKernel cannot contain {f'#{word} {rest}'[:40]!r}: write what it needs into the text"
                       f"{at(source)}")
    found = _DEFINE.match(rest) if word == "define" else None
    if found:
        macros[found.group(1)] = None if found.group(2) else found.group(3).strip()
    elif word == "undef":
        macros.pop(rest, None)


def _expanded(line: str, macros: Mapping[str, str | None]) -> str:
    """A line with what its macros without arguments stand for."""
    def replace(text: str, inside: frozenset[str]) -> str:
        def one(match: re.Match[str]) -> str:
            word = match.group()
            meaning = macros.get(word)
            return word if meaning is None or word in inside else replace(meaning, inside | {word})
        return _WORD.sub(one, text)
    return replace(line, frozenset()) if macros else line


def _holds(condition: str, macros: Mapping[str, str | None], known: frozenset[str], asked: set[str]) -> bool:
    """Whether a condition holds; one that is not read is a question of its own."""
    def has(name: str) -> str:
        if name not in macros and _OPEN.match(name):
            asked.add(name)
        return "1" if name in macros or name in known else "0"
    plain = re.sub(r"\bdefined\s*(?:\(\s*(\w+)\s*\)|(\w+))", lambda m: has(m.group(1) or m.group(2)), condition)
    plain = _expanded(plain, macros)
    try:
        if any(_OPEN.match(w) and w not in macros for w in _WORD.findall(plain)):
            raise _Unclear
        plain = _WORD.sub(lambda m: m.group() if m.group() in macros else "0", plain)
        pieces = _PIECE.findall(plain)
        found = _value(pieces, 0)
        if pieces:
            raise _Unclear
        return found != 0
    except (_Unclear, ZeroDivisionError, ValueError, RecursionError):
        asked.add(condition)
        return condition in known


def _value(pieces: list[str], level: int) -> int:
    """The value of the operations that bind at least so strongly, taken off the front."""
    if level == len(_LEVELS):
        return _operand(pieces)
    found = _value(pieces, level + 1)
    while pieces and pieces[0] in _LEVELS[level]:
        found = _joined(pieces.pop(0), found, _value(pieces, level + 1))
    return found


def _joined(sign: str, a: int, b: int) -> int:
    if sign in ("<<", ">>") and not 0 <= b < 64:
        raise _Unclear
    return int(_SIGNS[sign](a, b))


def _operand(pieces: list[str]) -> int:
    piece = pieces.pop(0) if pieces else ""
    if piece in ("!", "-", "+", "~"):
        value = _operand(pieces)
        return {"!": int(not value), "-": -value, "+": value, "~": ~value}[piece]
    if piece == "(":
        value = _value(pieces, 0)
        if not pieces or pieces.pop(0) != ")":
            raise _Unclear
        return value
    digits = piece.rstrip("uUlL")
    return int(digits, 8 if re.fullmatch(r"0\d+", digits) else 0)


def _heads(text: str) -> Iterator[Head]:
    """The kernels that a text defines, or without any those that it declares."""
    pieces = _PIECE.findall(text)
    found = [h for k, piece in enumerate(pieces) if piece in _KERNEL for h in [_head(pieces, k)] if h is not None]
    defined = [h for h, body in found if body]
    yield from dict.fromkeys(defined or [h for h, _ in found])


def _head(pieces: Sequence[str], begin: int) -> tuple[Head, bool] | None:
    """The kernel whose word is at a place, and whether its body follows."""
    place, words = begin + 1, [*pieces[max(begin - 1, 0):begin]]
    while place < len(pieces):
        if pieces[place] == "__attribute__":
            place = _after(pieces, place + 1)
        elif pieces[place] in _KERNEL or not _WORD.fullmatch(pieces[place]):
            break
        else:
            words.append(pieces[place])
            place += 1
    if "void" not in words[:-1] or pieces[place:place + 1] != ["("]:
        return None
    end = _after(pieces, place)
    if pieces[end - 1] != ")":
        return None
    inside = " ".join(pieces[place + 1:end - 1])
    while pieces[end:end + 1] == ["__attribute__"]:
        end = _after(pieces, end + 1)
    return Head(words[-1], "" if inside == "void" else inside), pieces[end:end + 1] == ["{"]


def _after(pieces: Sequence[str], place: int) -> int:
    """The place behind the brackets that open at one."""
    depth = 0
    for k in range(place, len(pieces)):
        depth += (pieces[k] == "(") - (pieces[k] == ")")
        if not depth:
            return k + 1
    return len(pieces)
