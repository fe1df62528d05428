"""What the text of a C expression means: which statements, over which parameters, and which of these are arguments and results."""
from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Any

from exprgraph import dtypes
from exprgraph.errors import Source, UseError, at
from exprgraph.named import NamedTuple
from exprgraph.own import text
from exprgraph.own.text import ASSIGNING, CONTROL, DTYPES, Parameter, Token

UNNAMED = "own_result"
"""The name of the result of an expression that says none; no text of a user's can contain it."""
MEMBER = (".", "->")
"""What stands before the name of a member."""
WRITING = ("sincos", "modf", "fract", "frexp", "lgamma_r", "remquo")
"""The functions of OpenCL that write what their last argument points to, and never read it."""
_JOINED = re.compile(r"(?P<gone>\\\n)|\n")
_COMMENT = re.compile(r"\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'|(?P<gone>//[^\n]*|/\*.*?\*/)|\n", re.DOTALL)
_CHOOSING = ("else", "case", "?", ":", "&&", "||")


class Body(NamedTuple):
    """What a text means: the statements over parameters, what is given to it and what it gives, and whether it asks for the position of
    the element (i) and their number (n)."""
    statements: tuple[Token, ...]
    inputs: tuple[Parameter, ...]
    outputs: tuple[Parameter, ...]
    position: bool
    counted: bool
    heavy: bool


def body(tokens: list[Token], given: Sequence[Parameter], results: Sequence[Parameter], defined: Collection[str], what: str,
         source: Source | None) -> Body:
    """The statements with elements in place of arrays, and what is given and what results; defined: the names of the preamble."""
    tokens, every = _elements(tokens, [*given, *results], what, source), [*given, *results]
    _check(every, what, source)
    plain = _plain(tokens)
    if not plain:
        raise UseError(f"{what} is empty: write an expression, or \"z[i] = ...\"{at(source)}")
    changed = [p for p in given if p.array and _is_assigned(p, plain)]
    if changed or any(t.text in (";", *ASSIGNING) for t in plain) or any(_places(p, plain) for p in results):
        outputs, inputs = [*changed, *results], [p for p in given if p not in changed or _is_read_first(p, plain, defined)]
    else:
        inputs, outputs = list(given), list(results) or [Parameter(UNNAMED, _common(given), False)]
        tokens = [Token("word", outputs[0].name), Token("sign", "="), *tokens]
    _check_results(outputs, tokens, what, source)
    used = {t.text for t in plain if t.kind == "word"} - {p.name for p in every}
    heavy = bool(used & set(CONTROL)) or any(a.kind == "word" and b.text == "(" for a, b in zip(plain, plain[1:]))
    tokens = [*tokens, Token("sign", ";")] if plain[-1].text not in (";", "}") else tokens
    return Body(tuple(tokens), tuple(inputs), tuple(outputs), "i" in used and _is_free("i", plain), "n" in used and _is_free("n", plain),
                heavy)


def in_lines(given: Any) -> Any:
    """A text without comments and joined lines, each line where it was; anything else itself, which the reader refuses."""
    if not isinstance(given, str):
        return given
    found = given.replace("\r\n", "\n").replace("\r", "\n")
    return _without(_COMMENT, " ", _without(_JOINED, "", found))


def _without(pattern: re.Pattern[str], place: str, given: str) -> str:
    """The text with something in the place of what a group matches; the lines that this took follow the line in which it ends."""
    owed = 0

    def put(m: re.Match[str]) -> str:
        nonlocal owed
        if m.group("gone") is not None:
            owed += m.group().count("\n")
            return place
        if m.group() != "\n":
            return m.group()
        lines, owed = 1 + owed, 0
        return "\n" * lines
    return pattern.sub(put, given)


def _check(every: Sequence[Parameter], what: str, source: Source | None) -> None:
    names = [p.name for p in every]
    for p in every:
        if p.type not in DTYPES and not (len(p.type) == 1 and p.type.isupper()):
            raise UseError(f"{what}: the type {p.type!r} of {p.name} is not known; known are {', '.join(DTYPES)} and letters like T"
                           f"{at(source)}")
        if names.count(p.name) > 1:
            raise UseError(f"{what}: two parameters are called {p.name}; what the text assigns to is a result without outputs="
                           f"{at(source)}")


def _check_results(outputs: Sequence[Parameter], tokens: Sequence[Token], what: str, source: Source | None) -> None:
    if not outputs:
        raise UseError(f"{what} assigns to none of its arrays and is no expression: write \"z[i] = ...\" or give outputs={at(source)}")
    if any(o.name == UNNAMED for o in outputs) and tokens[0].text != UNNAMED:
        raise UseError(f"{what} must be an expression, not statements{at(source)}")


def _common(given: Sequence[Parameter]) -> str:
    """The type of an expression: that of the parameters, promoted."""
    kinds = list(dict.fromkeys(p.type for p in given))
    if len(kinds) == 1 or any(k not in DTYPES for k in kinds):
        return next((k for k in kinds if k not in DTYPES), kinds[0] if kinds else "T")
    return dtypes.promote([DTYPES[k] for k in kinds])


def _elements(tokens: list[Token], every: Sequence[Parameter], what: str, source: Source | None) -> list[Token]:
    """The tokens with x for x[i]; UseError where another element is asked for."""
    names, found, skip = {p.name for p in every}, list[Token](), 0
    plain = [(k, t) for k, t in enumerate(tokens) if t.kind != "space"]
    after = {k: [t.text for _, t in plain[n + 1:n + 4]] for n, (k, _) in enumerate(plain)}
    before = ""
    for k, token in enumerate(tokens):
        if skip and token.kind != "space":
            skip -= 1
            continue
        found.append(token)
        if token.kind == "word" and token.text in names and before not in MEMBER and after[k][:1] == ["["]:
            if after[k] != ["[", "i", "]"]:
                raise UseError(f"{what} asks for another element of {token.text} than {token.text}[i]: a RawKernel can{at(source)}")
            skip = 3
        before = before if token.kind == "space" else token.text
    return found


def _plain(tokens: Sequence[Token]) -> list[Token]:
    """The words and signs; names of members, which are none of the text's own, are of the kind "member"."""
    plain = text.words(tokens)
    return [Token("member", t.text) if t.kind == "word" and b.text in MEMBER else t for b, t in zip([Token("sign", ";"), *plain], plain)]


def _places(parameter: Parameter, plain: Sequence[Token]) -> list[int]:
    return [k for k, t in enumerate(plain) if t.kind == "word" and t.text == parameter.name]


def _is_assigned(parameter: Parameter, plain: Sequence[Token]) -> bool:
    """Whether a parameter may be assigned to, by a function that is given its address, too."""
    return any(_text(plain, k + 1) in ASSIGNING or _text(plain, k - 1) in ("++", "--")
               or ("const" not in parameter.qualifiers and _is_pointed_at(k, plain)) for k in _places(parameter, plain))


def _is_pointed_at(place: int, plain: Sequence[Token]) -> bool:
    """Whether the address of a name is taken: & with an operand before it is the operator on bits."""
    if _text(plain, place - 1) != "&" or place < 2:
        return _text(plain, place - 1) == "&"
    before = plain[place - 2]
    pointer = before.text == ")" and _text(plain, place - 3) == "*"
    return pointer or before.text in ("return", "else", "case") or (before.kind == "sign" and before.text not in (")", "]"))


def _is_read_first(parameter: Parameter, plain: Sequence[Token], defined: Collection[str]) -> bool:
    """Whether an array that is assigned to may be read before, or kept."""
    first, *others = _places(parameter, plain)
    before = [t.text for t in plain[:first]]
    nested = before.count("{") != before.count("}") or "return" in before or "goto" in before
    again = any(k < _end(plain, first) for k in others)
    assigned = _text(plain, first + 1) == "=" and _text(plain, first - 1) in (";", "", "}")
    return nested or again or not (assigned or _is_written_by(first, plain, defined))


def _is_written_by(place: int, plain: Sequence[Token], defined: Collection[str]) -> bool:
    """Whether a name stands where a function of OpenCL's writes a result, in a statement that does so in any case."""
    begin, depth = place - 2, 0
    while begin >= 0 and (depth or plain[begin].text != "("):
        depth += (plain[begin].text == ")") - (plain[begin].text == "(")
        begin -= 1
    name = _text(plain, begin - 1)
    last = _text(plain, place - 1) == "&" and _text(plain, place - 2) == "," and _text(plain, place + 1) == ")"
    start = next((k for k in range(begin, -1, -1) if plain[k].text in (";", "}")), -1)
    return last and name in WRITING and name not in defined and not any(t.text in (*CONTROL, *_CHOOSING) for t in plain[start + 1:begin])


def _end(plain: Sequence[Token], begin: int) -> int:
    return next((k for k in range(begin, len(plain)) if plain[k].text == ";"), len(plain))


def _text(plain: Sequence[Token], k: int) -> str:
    return plain[k].text if 0 <= k < len(plain) else ""


def _is_free(name: str, plain: Sequence[Token]) -> bool:
    """Whether a name is not declared by the text itself: never behind a type."""
    return not any(t.kind == "word" and t.text == name and k and plain[k - 1].kind == "word"
                   and plain[k - 1].text not in ("return", "else", "case") for k, t in enumerate(plain))
