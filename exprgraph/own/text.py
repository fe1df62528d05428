"""C text of the user's own: read token by token, refused where it could reach beyond its place, and given names that nothing else has.

A text becomes part of a program with other kernels in it.  So its brackets must close where they open, it includes nothing, sets nothing
for what follows it, and whatever it defines is renamed after the hash of the whole text.
"""
from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from weakref import WeakValueDictionary

from exprgraph.errors import Source, UseError, at, shortly
from exprgraph.named import NamedTuple

DTYPES = {"char": "int8", "signed char": "int8", "uchar": "uint8", "unsigned char": "uint8", "short": "int16", "ushort": "uint16",
          "unsigned short": "uint16", "int": "int32", "uint": "uint32", "unsigned int": "uint32", "unsigned": "uint32", "long": "int64",
          "long long": "int64", "long int": "int64", "ulong": "uint64", "unsigned long": "uint64", "unsigned long long": "uint64",
          "size_t": "uint64", "ptrdiff_t": "int64", "half": "float16", "float": "float32", "double": "float64", "bool": "bool",
          **{f"{u}int{n}_t": f"{u}int{n}" for u in ("", "u") for n in (8, 16, 32, 64)},
          **{t: t for t in ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "float32", "float64")}}
"""The dtypes that names of C types, and NumPy's, stand for."""
C = {"bool": "int", "float16": "float", "float32": "float", "float64": "double", "int8": "char", "int16": "short", "int32": "int",
     "int64": "long", "uint8": "uchar", "uint16": "ushort", "uint32": "uint", "uint64": "ulong"}
"""The C type of a value of a dtype outside memory."""
CONTROL = ("if", "for", "while", "do", "switch", "goto", "return")
ASSIGNING = ("=", "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=", "<<=", ">>=", "++", "--")
_TOKEN = re.compile(
    r"(?P<directive>(?m:^)[ \t]*#[^\n]*)|(?P<space>[^\S\n]+|\n)|(?P<text>\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*')"
    r"|(?P<word>[A-Za-z_]\w*)|(?P<number>\.?\d(?:[eEpP][+-]|[\w.])*)|(?P<sign><<=|>>=|\.\.\.|->|\+\+|--|<<|>>|[<>=!+\-*/%&|^]=|&&|\|\||"
    r"[-+*/%&|^~!<>=?:;,.(){}\[\]])", re.DOTALL)
COMMENT = re.compile(r"(\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*')|//[^\n]*|/\*.*?\*/", re.DOTALL)
"""Comments, and texts in quotes as the first group."""
_COMPONENT = re.compile(r"(?:[xyzw]{1,4}|s[0-9a-fA-F]{1,16}|lo|hi|even|odd)\Z")
_NEVER = ("<%", "%>", "<:", ":>", "%:", "??", "/*", "//")
"""Other ways to write brackets, and comments that have no end."""
_REFUSED = re.compile(r"(?:__)?kernel\Z|(?:__)?asm(?:__)?\Z|_Pragma\Z|__pragma\Z|(?:eg|EG|own)_|__builtin_trap\Z")
_DIRECTIVES = {"pragma": re.compile(r"#\s*pragma\s+unroll\b"), "preamble": re.compile(r"#\s*(?:define|if|ifdef|ifndef|else|elif|endif)\b")}
_CLOSING = {")": "(", "]": "[", "}": "{"}
_WORDS = frozenset((*DTYPES, *CONTROL, "const", "static", "inline", "struct", "union", "enum", "typedef", "void", "unsigned", "signed",
                    "else", "__attribute__", "constant", "__constant", "global", "__global", "local", "__local", "private", "__private"))


class Token(NamedTuple):
    """A piece of text and what kind it is of: a name of a group of the pattern."""
    kind: str
    text: str


@dataclass(frozen=True, eq=False)
class Snippet:
    """C text that kernels call: its definitions, the name of the op that it is of, and the line where the user made that.

    parts: of the text, one behind the other: the preamble, a head, the statements, the rest.  texts: the preamble and the statements as
    the user wrote them, line by line like those.  functions: what the names of all that it defines begin with.
    """
    text: str
    name: str
    source: Source | None
    parts: tuple[str, ...]
    texts: tuple[str, str]
    functions: str


SNIPPETS: WeakValueDictionary[str, Snippet] = WeakValueDictionary()
"""What texts of kernels mean by own_<hash>: by that name, as long as an op has it."""
MENTIONED = re.compile(r"\bown_[0-9a-f]{16}")


def mentioned(text: str) -> list[Snippet]:
    """The snippets that a text calls, each once."""
    return [SNIPPETS[name] for name in dict.fromkeys(MENTIONED.findall(text))]


def name_of(*parts: str) -> str:
    """The name of what is made of these texts."""
    return "own_" + hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def read(text: str, what: str, source: Source | None, preamble: bool = False, kernel: bool = False) -> list[Token]:
    """The tokens of a text, without comments; UseError where it could reach beyond its place.  kernel: whether it is of a program of its
    own, which may use any name."""
    if not isinstance(text, str):
        raise UseError(f"{what} must be a text, not {shortly(text)}{at(source)}")
    joined = text.replace("\r\n", "\n").replace("\r", "\n").replace("\\\n", "")
    found = list(_tokens(COMMENT.sub(lambda m: m.group(1) or " ", joined), what, source))
    _check_brackets(found, what, source)
    _check_directives([t.text.strip() for t in found if t.kind == "directive"], what, source, preamble)
    words = [t.text for t in found if t.kind == "word"] + [w for t in found if t.kind == "directive" for w in re.findall(r"\w+", t.text)]
    for word in () if kernel else words:
        if _REFUSED.match(word):
            raise UseError(f"{what} cannot use the name {word}{at(source)}")
    return found


def _tokens(text: str, what: str, source: Source | None) -> Iterator[Token]:
    place = 0
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None or any(text.startswith(d, place) for d in _NEVER):
            raise UseError(f"{what} cannot contain {text[place:place + 12]!r}: it is not understood as C{at(source)}")
        yield Token(str(match.lastgroup), match.group())
        place = match.end()


def _check_brackets(tokens: Iterable[Token], what: str, source: Source | None) -> None:
    open_: list[str] = []
    for token in tokens:
        if token.kind == "sign" and token.text in "([{":
            open_.append(token.text)
        elif token.text in _CLOSING and token.kind == "sign" and (not open_ or open_.pop() != _CLOSING[token.text]):
            raise UseError(f"{what} closes a bracket {token.text!r} that it has not opened{at(source)}")
    if open_:
        raise UseError(f"{what} does not close a bracket {open_[-1]!r}{at(source)}")


def _check_directives(lines: Sequence[str], what: str, source: Source | None, preamble: bool) -> None:
    depth = 0
    for line in lines:
        known = _DIRECTIVES["pragma"].match(line) or (preamble and _DIRECTIVES["preamble"].match(line))
        if not known:
            raise UseError(f"{what} cannot contain {line[:40]!r}{at(source)}")
        _check_brackets(_tokens(line.lstrip("#"), what, source), what, source)
        depth += bool(re.match(r"#\s*if", line)) - bool(re.match(r"#\s*endif", line))
        if depth < 0:
            raise UseError(f"{what} has an #endif without #if{at(source)}")
    if depth:
        raise UseError(f"{what} has an #if without #endif{at(source)}")


def words(tokens: Iterable[Token]) -> list[Token]:
    """The tokens without what lies between them."""
    return [t for t in tokens if t.kind != "space"]


def defined(tokens: Sequence[Token]) -> set[str]:
    """The names that a preamble defines: functions, constants, types, macros."""
    found = {m.group(1) for t in tokens if t.kind == "directive" for m in [re.match(r"\s*#\s*define\s+(\w+)", t.text)] if m}
    depth, plain = 0, [t for t in words(tokens) if t.kind != "directive"]
    enum = False
    for before, token, after in zip([Token("sign", ";"), *plain], plain, [*plain[1:], Token("sign", ";")]):
        if token.text in "([{" and token.kind == "sign":
            depth += 1
        elif token.text in ")]}" and token.kind == "sign":
            depth -= 1
        enum = token.text == "enum" or (enum and token.text != "}")
        named = token.kind == "word" and token.text not in _WORDS
        if named and (before.text in ("struct", "union", "enum") or (depth == 0 and after.text in ("(", "=", ";", "[", ","))
                      or (enum and before.text in ("{", ","))):
            found.add(token.text)
    return found


def renamed(tokens: Sequence[Token], names: Mapping[str, str], members: Mapping[str, str] | None = None) -> str:
    """The text with other words for some, except where they are components of vectors; members: the words for members, where others."""
    found, before, directive = list[str](), "", False
    for token in tokens:
        text = token.text
        if token.kind == "word" and not (before == "." and _COMPONENT.match(text)):
            text = (names if members is None or before not in (".", "->") else members).get(text, text)
        elif token.kind == "directive":
            text = re.sub(r"[A-Za-z_]\w*", lambda m: names.get(m.group(), m.group()), text.strip())
            text = "\n" * (bool(found) and found[-1] != "\n") + text
        elif directive and text != "\n":
            text = "\n" + text
        directive = token.kind == "directive"
        found.append(text)
        before = before if token.kind == "space" else token.text
    return "".join(found) + "\n" * directive


class Parameter(NamedTuple):
    """A parameter: its name, its type in C's or NumPy's words, whether it is an array, and the qualifiers of its elements: a const behind
    the * is one of the pointer."""
    name: str
    type: str
    array: bool
    qualifiers: tuple[str, ...] = ()

    @property
    def inside(self) -> bool:
        """Whether it is in local memory."""
        return not {"__local", "local"}.isdisjoint(self.qualifiers)

    @property
    def fixed(self) -> bool:
        """Whether nothing may write to it."""
        return not {"const", "__constant", "constant"}.isdisjoint(self.qualifiers)


_QUALIFIERS = ("const", "__global", "global", "__local", "local", "__constant", "constant", "restrict", "__restrict", "__restrict__",
               "volatile", "__private", "private")


def parameters(text: str, what: str, source: Source | None, kernel: bool = False) -> list[Parameter]:
    """The parameters of a declaration like "float a, const float *x"; a name alone is of the type T.  kernel: as for `read`."""
    plain, found, begin = words(read(text, what, source, kernel=kernel)), list[Parameter](), 0
    for end in [*(i for i, t in enumerate(plain) if t.text == ","), len(plain)]:
        if end > begin or end < len(plain) or found:
            found.append(_parameter(plain[begin:end], what, source))
        begin = end + 1
    names = [p.name for p in found]
    for name in names:
        if names.count(name) > 1:
            raise UseError(f"{what}: two parameters are called {name}{at(source)}")
    return found


def _parameter(tokens: Sequence[Token], what: str, source: Source | None) -> Parameter:
    own = [t.text for t in tokens]
    end = own.index("*") if "*" in own else len(own)
    kept = [t for t in own if t not in _QUALIFIERS and t not in ("*", "[", "]")]
    if not kept or kept[-1] in _WORDS or any(not re.fullmatch(r"[A-Za-z_]\w*", t) for t in kept) or own.count("*") > 1:
        raise UseError(f"{what}: {' '.join(own)!r} is no parameter; write \"float a, float *x\"{at(source)}")
    return Parameter(kept[-1], " ".join(kept[:-1]) or "T", "*" in own or "[" in own, tuple(t for t in own[:end] if t in _QUALIFIERS))
