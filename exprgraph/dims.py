"""The integer algebra of sizes: every extent, stride, offset and memory formula of a graph is a `Dim` in normal form.

A `Dim` is a polynomial with integer coefficients over atoms.  An atom is a size of an input (`Size`), a stride of an input in
elements (`Stride`), the value of an integer scalar input (`Value`), or a non-polynomial operation of two Dims (`Call`).  Two Dims
that print alike are equal, so equality of sizes that can be proved at all is proved by `==`.
"""
from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Sequence
from functools import lru_cache
from operator import itemgetter

from exprgraph.atoms import INTEGER as INTEGER
from exprgraph.atoms import Atom as Atom
from exprgraph.atoms import Bounds, Key, Monomial, anonymous, interval_of, without
from exprgraph.atoms import Call as Call
from exprgraph.atoms import Size as Size
from exprgraph.atoms import Stride as Stride
from exprgraph.atoms import Value as Value
from exprgraph.remembered import Remembered

PROOF_CALLS = 6  # Dims that hold more Calls are not searched for proofs of their sign: the search grows exponentially
KEPT_OPERANDS = 64  # a sum of thousands of inputs broadcasts each size against all before it: the latest sets are remembered
_OPERANDS: dict[str, set[str]] = {}
KEPT_PROOFS = 16384  # kept by text, because Dims hold on to the leaves that they speak of and these to the values of shared variables
_PROOFS: dict[tuple[str, int], bool] = {}
RESULTS = Remembered()
"""Sums, products and Calls by the texts of their operands: whoever makes a plan meets the same ones over and over."""


class Dim:
    """An integer polynomial over atoms, immutable, equal by normal form and hashable."""
    __slots__ = ("terms", "text", "interval", "const", "_hash")

    def __init__(self, terms: tuple[tuple[Monomial, int], ...], keys: Sequence[Key] | None = None) -> None:
        """keys: those of the monomials, where they are known; they are not kept, since texts of nested Dims are long."""
        self.terms = terms
        known = [[a.text for a in m] for m, _ in terms] if keys is None else keys
        self.text = "+".join(["*".join([str(term[1]), *key]) for term, key in zip(terms, known)]) or "0"
        self.interval = interval_of(terms)  # kept, because Dims may be nested deeper than Python may recurse
        self.const: int | None = None if len(terms) > 1 or (terms and terms[0][0]) else terms[0][1] if terms else 0
        """The value where it is a known integer, else None."""
        self._hash = hash(self.text)

    @property
    def atom(self) -> Atom | None:
        """The atom, where the Dim is nothing but one atom."""
        if len(self.terms) == 1 and self.terms[0][1] == 1 and len(self.terms[0][0]) == 1:
            return self.terms[0][0][0]
        return None

    def __eq__(self, other: object) -> bool:
        if isinstance(other, int):
            return self.const == other
        return isinstance(other, Dim) and self.text == other.text

    def __hash__(self) -> int:
        return self._hash

    def __repr__(self) -> str:
        return self.text if self.const is None else str(self.const)

    def __add__(self, other: Dim | int) -> Dim:
        right = as_dim(other)
        if not self.terms or not right.terms:
            return self if self.terms else right
        return _made("add", self, right)

    def __neg__(self) -> Dim:
        return self * -1

    def __sub__(self, other: Dim | int) -> Dim:
        return _made("sub", self, right) if (right := as_dim(other)).terms else self

    def __rsub__(self, other: int) -> Dim:
        return as_dim(other) - self

    def __mul__(self, other: Dim | int) -> Dim:
        right = as_dim(other)
        for one, factor in ((self, right), (right, self)):
            if (known := factor.const) is not None:
                return one if known == 1 else Dim(tuple((m, c * known) for m, c in one.terms)) if known else factor
        return _made("mul", self, right)

    __radd__, __rmul__ = __add__, __mul__

    def __floordiv__(self, other: Dim | int) -> Dim:
        return call_of("floordiv", self, as_dim(other))

    def __mod__(self, other: Dim | int) -> Dim:
        return call_of("mod", self, as_dim(other))


def _made(kind: str, left: Dim, right: Dim) -> Dim:
    """The result of an operation."""
    known = RESULTS.known
    if known is None:
        return _OPERATIONS[kind](left, right)
    key = kind, left.text, right.text
    found: Dim | None = known.get(key)
    if found is None:
        found = known[key] = _OPERATIONS[kind](left, right)
    return found


def _normal(terms: Iterable[tuple[Monomial, int]]) -> Dim:
    total: dict[Key, tuple[Monomial, int]] = {}
    for monomial, coefficient in terms:
        if len(monomial) > 1:
            ordered = sorted([(a.text, a) for a in monomial], key=itemgetter(0))
            key, monomial = tuple([text for text, _ in ordered]), tuple([a for _, a in ordered])
        else:
            key = (monomial[0].text,) if monomial else ()
        before = total.get(key)
        total[key] = monomial, coefficient if before is None else coefficient + before[1]
    keys = sorted([k for k, term in total.items() if term[1]])
    if not keys or keys == [()]:
        return constant(total[()][1] if keys else 0)
    kept = [total[k] for k in keys]
    return _unpaired(kept, keys) or Dim(tuple(kept), keys)


def _unpaired(terms: list[tuple[Monomial, int]], keys: Sequence[Key]) -> Dim | None:
    """Where both min(a, b) and max(a, b) occur, the first is a + b less the second: x[1:] and x[:1] together are as long as x."""
    for at, (monomial, coefficient) in enumerate(terms):
        for i, atom in enumerate(monomial):
            if isinstance(atom, Call) and atom.kind == "min":
                twin, rest = Call("max", atom.left, atom.right), monomial[:i] + monomial[i + 1:]
                if tuple(sorted([a.text for a in (*rest, twin)])) in keys:
                    sides = [((*rest, *m), coefficient * c) for m, c in (*twin.left.terms, *twin.right.terms)]
                    return _normal([*terms[:at], *terms[at + 1:], *sides, ((*rest, twin), -coefficient)])
    return None


@lru_cache(maxsize=4096)
def constant(value: int) -> Dim:
    """The Dim of a known integer."""
    return Dim((((), value),)) if value else Dim(())


def as_dim(value: Dim | int) -> Dim:
    """A Dim as it is, or the Dim of an integer."""
    return value if isinstance(value, Dim) else constant(int(value))


def of_atom(atom: Atom) -> Dim:
    """The Dim that is just this atom."""
    return Dim((((atom,), 1),))


def product(dims: Iterable[Dim]) -> Dim:
    """The product of the Dims, 1 for none."""
    total = constant(1)
    for dim in dims:
        total = total * dim
    return total


def minimum(left: Dim | int, right: Dim | int) -> Dim:
    """The smaller of two Dims."""
    return call_of("min", as_dim(left), as_dim(right))


def maximum(left: Dim | int, right: Dim | int) -> Dim:
    """The larger of two Dims."""
    return call_of("max", as_dim(left), as_dim(right))


def bcast(left: Dim | int, right: Dim | int) -> Dim:
    """The size that NumPy broadcasting gives two sizes: their common value, or the other one where one of them is 1."""
    return call_of("bcast", as_dim(left), as_dim(right))


def ceildiv(left: Dim | int, right: Dim | int) -> Dim:
    """The quotient rounded up."""
    a, b = as_dim(left), as_dim(right)
    return (a + b - 1) // b if (b.const or 0) > 0 else -(-a // b)


def is_one(dim: Dim) -> Dim:
    """1 where a size is 1, else 0 (for sizes of at least 0: a size of 0 counts as 1, no element is touched then)."""
    return 1 - minimum(maximum(dim - 1, 0), 1)


def bounds(dim: Dim) -> Bounds:
    """A closed interval that provably holds the value: interval arithmetic on the atoms, then a short proof of its sign."""
    low, high = dim.interval
    if low < 0 < high:
        low, high = (0.0 if _nonnegative(dim) else low), (0.0 if _nonnegative(-dim) else high)
    return low, high


def _nonnegative(dim: Dim, depth: int = 4) -> bool:
    """Whether dim >= 0 can be shown with at most `depth` replacements of an atom by what bounds it."""
    if dim.interval[0] >= 0:
        return True
    if not depth or dim.interval[1] < 0 or dim.text.count("(") > PROOF_CALLS:
        return False
    key = anonymous(dim.text), depth
    found = _PROOFS.get(key)
    if found is None:
        if len(_PROOFS) >= KEPT_PROOFS:
            _PROOFS.clear()
        found = _PROOFS[key] = _by_cases(dim, depth)
    return found


def _by_cases(dim: Dim, depth: int) -> bool:
    calls = [(m, c, a) for m, c in dim.terms for a in m if isinstance(a, Call)]
    for enough in (all, any):  # a sum is at least what either side of a maximum in it gives: that one is chosen last
        for monomial, coefficient, atom in calls:
            either = len(monomial) == 1 and atom.kind == ("max" if coefficient > 0 else "min")
            if either == (enough is any) and (cases := _cases(dim, monomial, coefficient, atom)):
                return enough(_nonnegative(case, depth - 1) for case in cases)
    return False


def _cases(dim: Dim, monomial: Monomial, coefficient: int, atom: Call) -> list[Dim]:
    if atom.kind in ("min", "max", "bcast"):
        return [_with(dim, atom.text, side) for side in (atom.left, atom.right)]
    divisor = atom.right.const or 0
    if atom.kind != "floordiv" or divisor < 1 or len(monomial) > 1:
        return []
    rest = dim - of_atom(atom) * coefficient  # divisor * (a // divisor) lies in a - divisor + 1 .. a
    return [rest * divisor + (atom.left - (divisor - 1 if coefficient > 0 else 0)) * coefficient]


def _with(dim: Dim, text: str, value: Dim) -> Dim:
    """The Dim with an atom replaced where it is a factor, not inside other atoms."""
    found: list[tuple[Monomial, int]] = []
    for monomial, c in dim.terms:
        rest = tuple(a for a in monomial if a.text != text)
        power = product([value] * (len(monomial) - len(rest)))
        found += [(rest + m, c * d) for m, d in power.terms]
    return _normal(found)


def call_of(kind: str, left: Dim, right: Dim) -> Dim:
    """The Dim that an operation which is no polynomial makes of two: "floordiv", "mod", "min", "max" or "bcast"."""
    a, b = left.const, right.const
    if a is not None and b is not None:
        return constant(INTEGER[kind](a, b))
    return _made(kind, left, right)


def _extreme(kind: str, left: Dim, right: Dim) -> Dim:
    """min or max: one side where that is known, else flat, with the constants moved out of the side that is not constant."""
    for a, b in ((left, right), (right, left)):
        if _nonnegative(b - a):
            return a if kind == "min" else b
    for a, b in ((left, right), (right, left)):
        for monomial, coefficient in a.terms:
            inner = monomial[0] if len(monomial) == 1 and coefficient == 1 else None
            if isinstance(inner, Call) and inner.kind == kind:
                rest = a - of_atom(inner)
                for p, q in ((inner.left + rest, inner.right + rest), (inner.right + rest, inner.left + rest)):
                    if _nonnegative(b - q if kind == "max" else q - b):
                        return call_of(kind, p, b)
    if left.const is not None or (right.const is None and (right - _offset(right)).text < (left - _offset(left)).text):
        left, right = right, left
    shift = _offset(left)
    return of_atom(Call(kind, left - shift, right - shift)) + shift


def _offset(dim: Dim) -> int:
    return next((c for m, c in dim.terms if not m), 0)


def _simplify_bcast(left: Dim, right: Dim) -> Dim | None:
    if left == right or 1 in (left.const, right.const):
        return left if right.const == 1 else right
    a, b = _operands(left), _operands(right)
    return left if b <= a else right if a <= b else of_atom(Call("bcast", *sorted((left, right), key=lambda d: d.text)))


def _operands(dim: Dim) -> set[str]:
    """The texts of the sizes that were broadcast together to give this one."""
    found, todo = set[str](), [dim]
    while todo:
        top = todo.pop()
        kept, atom = _OPERANDS.get(top.text), top.atom
        if kept is not None:
            found |= kept
        elif isinstance(atom, Call) and atom.kind == "bcast":
            todo += [atom.left, atom.right]
        else:
            found.add(top.text)
    if len(found) > 2:
        if len(_OPERANDS) >= KEPT_OPERANDS:
            _OPERANDS.clear()
        _OPERANDS[dim.text] = found
    return set(found)


def _simplify_floordiv(left: Dim, right: Dim) -> Dim | None:
    if right.const == 1 or left.const == 0:
        return left
    if len(right.terms) != 1:
        return None
    (divisor, scale), = right.terms
    whole, rest = _split(left, divisor, scale)
    if not rest.terms:
        return whole
    if divisor or scale < 0:
        return None
    atom = rest.terms[-1][0][0] if len(rest.terms[-1][0]) == 1 and rest.terms[-1][1] == 1 else None
    if isinstance(atom, Call) and atom.kind == "floordiv" and (inner := atom.right.const or 0) > 0:
        return whole + call_of("floordiv", atom.left + (rest - of_atom(atom)) * inner, constant(inner * scale))
    return whole + call_of("floordiv", rest, right) if whole.terms else None


def _split(left: Dim, divisor: Monomial, scale: int) -> tuple[Dim, Dim]:
    """left as divisor * scale * whole + rest; a constant is divided with remainder, other terms only where they divide exactly."""
    whole, rest = list[tuple[Monomial, int]](), list[tuple[Monomial, int]]()
    for monomial, coefficient in left.terms:
        kept = without(monomial, divisor)
        remainder = coefficient % scale
        if kept is None or (remainder and monomial):
            rest.append((monomial, coefficient))
        else:
            whole.append((kept, coefficient // scale))
            rest.append((monomial, remainder))
    return _normal(whole), _normal(rest)


def _simplify_mod(left: Dim, right: Dim) -> Dim | None:
    if right.const == 1 or left == right:
        return constant(0)
    if len(right.terms) != 1:
        return None
    (divisor, scale), = right.terms
    whole, rest = _split(left, divisor, scale)
    if not rest.terms:
        return rest
    return rest % right if whole.terms and not divisor and scale > 0 else None


def _simplified(kind: str, simplify: Callable[[Dim, Dim], Dim | None]) -> Callable[[Dim, Dim], Dim]:
    def made(left: Dim, right: Dim) -> Dim:
        found = simplify(left, right)
        return of_atom(Call(kind, left, right)) if found is None else found
    return made


_OPERATIONS: dict[str, Callable[[Dim, Dim], Dim]] = {
    "add": lambda a, b: _normal([*a.terms, *b.terms]),
    "sub": lambda a, b: _normal([*a.terms, *((m, -c) for m, c in b.terms)]),
    "mul": lambda a, b: _normal([(m + n, c * d) for m, c in a.terms for n, d in b.terms]),
    "floordiv": _simplified("floordiv", _simplify_floordiv), "mod": _simplified("mod", _simplify_mod),
    "bcast": _simplified("bcast", _simplify_bcast),
    "min": lambda a, b: _extreme("min", a, b), "max": lambda a, b: _extreme("max", a, b)}


def atoms(dims: Iterable[Dim]) -> list[Atom]:
    """The leaf atoms (Size, Stride, Value) that the Dims rest on, each once, in the order of their first use."""
    found: dict[str, Atom] = {}
    todo = list(dims)[::-1]
    while todo:
        for monomial, _ in todo.pop().terms:
            for atom in monomial:
                if atom.text not in found:
                    found[atom.text] = atom
                    todo += [atom.right, atom.left] if isinstance(atom, Call) else []
    return [a for a in found.values() if not isinstance(a, Call)]


def calls(dims: Iterable[Dim], known: Container[str] = ()) -> list[Call]:
    """The non-polynomial operations in the Dims, each once, inner before outer; those whose text is in `known` are not looked into."""
    done: dict[str, Call] = {}
    todo: list[tuple[Call | None, Dim | None]] = [(None, d) for d in reversed(list(dims))]
    while todo:
        call, dim = todo.pop()
        if dim is not None:
            todo += [(a, None) for a in _calls_of(dim) if a.text not in done and a.text not in known]
        elif call is not None and call.text not in done:
            inside = [a for d in (call.left, call.right) for a in _calls_of(d) if a.text not in done and a.text not in known]
            if inside:
                todo += [(call, None), *((a, None) for a in inside)]
            else:
                done[call.text] = call
    return list(done.values())


def _calls_of(dim: Dim) -> list[Call]:
    return [a for m, _ in dim.terms for a in m if isinstance(a, Call)]
