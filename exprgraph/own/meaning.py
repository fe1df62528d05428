"""What plain C means on NumPy arrays: assignments of expressions, one after the other, without branches and loops.

Kernels of the user's own need a meaning on `device="numpy"`.  Where their text is as plain as most are, it is read here; any other needs
`numpy=`.  Integers divide as in C; what else is computed follows NumPy's promotion, which is as wide as C's or wider.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from exprgraph.own.text import DTYPES, Token, words

Scope = dict[str, Any]
Value = Callable[[Scope, Scope], Any]
"""What an expression is, where names and types stand for these."""


class NotPlain(Exception):
    """The text has more than assignments of expressions that are known here."""


def _number(condition: Any) -> Any:
    return np.asarray(condition).astype("int32")


def _is_whole(*values: Any) -> bool:
    return all(np.asarray(v).dtype.kind in "iub" for v in values)


def _divided(a: Any, b: Any) -> Any:
    if not _is_whole(a, b):
        return np.true_divide(a, b)
    safe = np.where(np.asarray(b) == 0, 1, b)
    return np.where(np.asarray(b) == 0, 0, np.sign(a) * np.sign(safe) * (np.abs(a) // np.abs(safe)))


def _rest(a: Any, b: Any) -> Any:
    if not _is_whole(a, b):
        raise TypeError("% takes integers, as in C; fmod takes floats")
    return a - _divided(a, b) * b


BINARY: dict[str, tuple[int, Callable[[Any, Any], Any]]] = {
    "*": (10, np.multiply), "/": (10, _divided), "%": (10, _rest), "+": (9, np.add), "-": (9, np.subtract), "<<": (8, np.left_shift),
    ">>": (8, np.right_shift), "<": (7, lambda a, b: _number(np.less(a, b))), "<=": (7, lambda a, b: _number(np.less_equal(a, b))),
    ">": (7, lambda a, b: _number(np.greater(a, b))), ">=": (7, lambda a, b: _number(np.greater_equal(a, b))),
    "==": (6, lambda a, b: _number(np.equal(a, b))), "!=": (6, lambda a, b: _number(np.not_equal(a, b))), "&": (5, np.bitwise_and),
    "^": (4, np.bitwise_xor), "|": (3, np.bitwise_or), "&&": (2, lambda a, b: _number(np.logical_and(a, b))),
    "||": (1, lambda a, b: _number(np.logical_or(a, b)))}
"""How tightly an operator binds, and what it does."""
UNARY: dict[str, Callable[[Any], Any]] = {"-": np.negative, "+": np.asarray, "!": lambda a: _number(np.equal(a, 0)), "~": np.invert}
FUNCTIONS: dict[str, Callable[..., Any]] = {
    **{name: getattr(np, name) for name in (
        "sin", "cos", "tan", "sinh", "cosh", "tanh", "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sqrt", "cbrt", "fabs",
        "floor", "ceil", "trunc", "rint", "hypot", "fmod", "copysign", "fmin", "fmax", "abs", "isnan", "isinf", "sign")},
    **{name: getattr(np, f"arc{name[1:]}") for name in ("asin", "acos", "atan", "asinh", "acosh", "atanh", "atan2")},
    "pow": np.power, "min": np.minimum, "max": np.maximum, "rsqrt": lambda x: 1 / np.sqrt(x), "clamp": lambda x, a, b: np.clip(x, a, b),
    "select": lambda a, b, c: np.where(c, b, a), "fma": lambda a, b, c: a * b + c, "mad": lambda a, b, c: a * b + c}
_LIMITS = {"CHAR": "int8", "SCHAR": "int8", "UCHAR": "uint8", "SHRT": "int16", "USHRT": "uint16", "INT": "int32", "UINT": "uint32",
           "LONG": "int64", "ULONG": "uint64"}
_NUMBERS = {"M_E": np.e, "M_LOG2E": 1 / np.log(2), "M_LOG10E": 1 / np.log(10), "M_LN2": np.log(2), "M_LN10": np.log(10), "M_PI": np.pi,
            "M_PI_2": np.pi / 2, "M_PI_4": np.pi / 4, "M_1_PI": 1 / np.pi, "M_2_PI": 2 / np.pi, "M_2_SQRTPI": 2 / np.sqrt(np.pi),
            "M_SQRT2": np.sqrt(2), "M_SQRT1_2": np.sqrt(0.5)}
CONSTANTS: dict[str, Any] = {
    "INFINITY": np.inf, "HUGE_VALF": np.inf, "HUGE_VAL": np.inf, "NAN": np.nan, "true": 1, "false": 0,
    "MAXFLOAT": np.finfo("float32").max, "CHAR_BIT": 8,
    **{f"{name}_{what}": getattr(np.finfo(dtype), field) for name, dtype in (("FLT", "float32"), ("DBL", "float64"))
       for what, field in (("MAX", "max"), ("MIN", "tiny"), ("EPSILON", "eps"))},
    **{f"{name}_MAX": np.dtype(t).type(np.iinfo(t).max) for name, t in _LIMITS.items()},
    **{f"{name}_MIN": np.dtype(t).type(np.iinfo(t).min) for name, t in _LIMITS.items() if not name.startswith("U")},
    **{name + end: float(number) for name, number in _NUMBERS.items() for end in ("", "_F")}}
"""What OpenCL C calls its constants: those of limits in their dtypes, others adapt to what they meet."""


class _Reader:
    """The expressions and assignments of a text, as functions of what its names stand for."""

    def __init__(self, tokens: Sequence[Token], letters: Sequence[str], known: Sequence[str]) -> None:
        self.tokens, self.at, self.letters, self.known = words(tokens), 0, letters, set(known)

    def peek(self, ahead: int = 0) -> str:
        """A token to come, "" behind the last."""
        return self.tokens[self.at + ahead].text if self.at + ahead < len(self.tokens) else ""

    def take(self, wanted: str | None = None) -> Token:
        """The next token, which must be the one that is wanted."""
        if self.at == len(self.tokens) or (wanted is not None and self.peek() != wanted):
            raise NotPlain
        self.at += 1
        return self.tokens[self.at - 1]

    def statements(self) -> list[tuple[str, str | None, Value]]:
        """The assignments: to what name, in what type where it is declared, of what."""
        found = []
        while self.at < len(self.tokens):
            declared = self._type() if self.tokens[self.at + 1:self.at + 2] and self.tokens[self.at + 1].kind == "word" else None
            name, how = self.take(), self.take().text
            operator = BINARY.get(how[:-1]) if how != "=" else None
            if name.kind != "word" or not how.endswith("=") or (how != "=" and operator is None):
                raise NotPlain
            value = self.expression()
            found.append((name.text, declared, value if operator is None else _changed(name.text, operator[1], value)))
            self.take(";")
            self.known |= {name.text} if declared else set()
        return found

    def _type(self) -> str | None:
        """A type that comes next, None where none does."""
        begin, names = self.at, list[str]()
        while self.at < len(self.tokens) and self.tokens[self.at].kind == "word" and (
                " ".join([*names, self.peek()]) in DTYPES or self.peek() in (*self.letters, "const", "unsigned", "signed")):
            names += [self.take().text] if self.peek() != "const" else []
            self.at += self.peek() == "const" and not names
        found = " ".join(names)
        if found in DTYPES or found in self.letters:
            return found
        self.at = begin
        return None

    def expression(self, least: int = 0) -> Value:
        """An expression whose operators bind at least so tightly; a choice binds the least."""
        left = self.operand()
        while self.peek() in BINARY and BINARY[self.peek()][0] > least:
            strength, apply = BINARY[self.take().text]
            left = _applied(apply, left, self.expression(strength))
        if self.peek() == "?" and least == 0:
            self.take()
            yes = self.expression()
            self.take(":")
            left = _applied(lambda c, a, b: np.where(np.asarray(c) != 0, a, b), left, yes, self.expression())
        return left

    def operand(self) -> Value:
        """A number, a name, a call, a cast, what is in brackets, or any of these behind a sign."""
        token = self.take()
        if token.text in UNARY:
            return _applied(UNARY[token.text], self.operand())
        if token.text == "(":
            kind = self._type()
            inner = None if kind else self.expression()
            self.take(")")
            return inner if inner is not None else _cast(str(kind), self.operand())
        if token.kind == "number":
            number = _literal(token.text)
            return lambda scope, types: number
        if token.kind == "word" and self.peek() == "(":
            return self._call(token.text)
        if token.kind != "word" or (token.text not in self.known and token.text not in CONSTANTS):
            raise NotPlain
        return lambda scope, types: scope[token.text] if token.text in scope else CONSTANTS[token.text]

    def _call(self, name: str) -> Value:
        if name not in FUNCTIONS:
            raise NotPlain
        self.take("(")
        given = [self.expression()]
        while self.peek() == ",":
            self.take()
            given.append(self.expression())
        self.take(")")
        return _applied(FUNCTIONS[name], *given)


def _literal(text: str) -> Any:
    """A number as C has it; one of neither suffix nor fraction adapts to what it meets."""
    plain = text.lower()
    whole = plain.rstrip("ul")
    try:
        if plain.startswith("0x") and "p" not in plain:
            return int(whole, 16)
        if whole.isdigit():
            number = int(whole, 8 if whole[0] == "0" else 10)
            return np.uint32(number) if "u" in plain and "l" not in plain else number
        return float.fromhex(plain.rstrip("f")) if plain.startswith("0x") else float(plain.rstrip("f"))
    except (ValueError, OverflowError):
        raise NotPlain from None


def _applied(apply: Callable[..., Any], *given: Value) -> Value:
    return lambda scope, types: apply(*(g(scope, types) for g in given))


def _cast(kind: str, value: Value) -> Value:
    return lambda scope, types: np.asarray(value(scope, types)).astype(types[kind])


def _changed(name: str, apply: Callable[[Any, Any], Any], value: Value) -> Value:
    return lambda scope, types: apply(scope[name], value(scope, types))


def meaning(tokens: Sequence[Token], inputs: Sequence[tuple[str, str]], outputs: Sequence[tuple[str, str]],
            more: Sequence[str]) -> Callable[..., tuple[Any, ...]] | None:
    """The function of arrays that a plain text is, None for one that is not plain.

    inputs, outputs: names and types; more: what is given behind the inputs.
    """
    letters = {t for _, t in (*inputs, *outputs) if t not in DTYPES}
    try:
        steps = _Reader(tokens, sorted(letters), [*(n for n, _ in (*inputs, *outputs)), *more]).statements()
    except (NotPlain, RecursionError):
        return None
    kinds: dict[str, str] = dict((*inputs, *outputs))
    for name, kind, _ in steps:
        if kind is None and name not in kinds:  # it is no result, no argument, and not declared
            return None
        kinds[name] = kind or kinds[name]

    def run(*arrays: Any) -> tuple[Any, ...]:
        types: dict[str, Any] = {**DTYPES, **{t: np.asarray(a).dtype for (_, t), a in zip(inputs, arrays) if t in letters}}
        scope: Scope = dict(zip([*(n for n, _ in inputs), *more], arrays))
        scope |= {n: np.zeros((), types[t]) for n, t in outputs if n not in scope}
        for name, _, value in steps:
            scope[name] = np.asarray(value(scope, types)).astype(types[kinds[name]])
        return tuple(scope[n] for n, _ in outputs)
    return run


def number(tokens: Sequence[Token]) -> Any:
    """The number that an expression of constants is, as NumPy's or Python's; NotPlain for any other text."""
    reader = _Reader(tokens, (), ())
    try:
        value = reader.expression()
    except RecursionError:
        raise NotPlain from None
    if reader.peek():
        raise NotPlain
    with np.errstate(all="ignore"):
        return value({}, DTYPES)
