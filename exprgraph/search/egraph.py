"""The e-graph: classes of equal expressions over the leaves of a region, merged by union and kept congruent."""
from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from exprgraph.dims import Dim
from exprgraph.errors import Source
from exprgraph.node import CONSTANT, INPUT, Node, Op, Out, Params, TensorType, constant_value, make_constant
from exprgraph.patterns import Rule
from exprgraph.types import like_first, to_bool, to_part

Term = tuple[Op, Params, tuple[int, ...]]
"""An operation on classes; a leaf is an input with its number in the region for parameters."""
LIKE = (like_first, to_part)


class Clock:
    """What a search may still spend, in counted steps: time itself would let the text of a kernel depend on the machine."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    def spend(self, steps: int) -> bool:
        """Whether there was so much left; it is gone now."""
        self.left -= steps
        return self.left >= 0


class EGraph:
    """Classes by number; what is found is found in the order in which terms were added, so it is alike in every process.

    terms: of each class, with the rule that made each, None where the region was written so.  types, values: of each class its type, and
    its value where it is constant.  lines: the user's lines of all that a class covers.  nodes: the node that a term of the region was.
    risks: of terms that a rule made, what it costs to rely on the rule.  joined: the rules that found classes equal, with one of the two.
    """

    def __init__(self, most: int) -> None:
        self.most, self.count = most, 0
        self._up: list[int] = []
        self.terms: list[dict[Term, Rule | None]] = []
        self.types: list[TensorType] = []
        self.values: list[Any] = []
        self.lines: list[frozenset[Source]] = []
        self.nodes: dict[Term, Node] = {}
        self.risks: dict[Term, float] = {}
        self.known: dict[Term, int] = {}
        self.joined: list[tuple[Rule, int]] = []
        self._users: list[dict[Term, int]] = []
        self._stale: list[int] = []

    @property
    def full(self) -> bool:
        """Whether no further term is taken."""
        return self.count >= self.most

    def find(self, number: int) -> int:
        """The class that a class is part of now."""
        up = self._up
        while up[number] != number:
            up[number] = number = up[up[number]]
        return number

    def classes(self) -> list[int]:
        """All classes."""
        return [n for n, up in enumerate(self._up) if n == up]

    def readers(self, number: int) -> set[int]:
        """The classes with terms that read a class."""
        return {self.find(user) for user in self._users[number].values()}

    def term(self, op: Op, params: Params, parts: Iterable[int]) -> Term:
        """A term over the classes of now; those of commutative rows are sorted."""
        found = tuple([self.find(p) for p in parts])
        return op, params, tuple(sorted(found)) if "commutative" in op.flags else found

    def leaf(self, number: int, out: Out) -> int:
        """The class of a tensor that the region reads."""
        value = constant_value(out) if not out.ndim else None
        if value is not None:
            return self.constant(value, out.dtype)
        return self._new((INPUT, (("leaf", number),), ()), out.type, frozenset(), None, None)

    def constant(self, value: Any, dtype: str) -> int:
        """The class of a number."""
        node = make_constant(value, dtype).node
        term: Term = (CONSTANT, node.params, ())
        if term in self.known:
            return self.find(self.known[term])
        return self._new(term, node.outs[0], frozenset(), None, constant_value(Out(node)))

    def written(self, node: Node, parts: Sequence[int]) -> int:
        """The class of a node of the region."""
        term = self.term(node.op, node.params, parts)
        if term in self.known:
            number = self.find(self.known[term])
            self.lines[number] |= node.sources
            return number
        self.nodes[term] = node
        return self._new(term, node.outs[0], node.sources, None, None)

    def add(self, op: Op, parts: Sequence[int], rule: Rule | None, lines: frozenset[Source], risk: float = 0.0) -> int | None:
        """The class of an operation that a rule makes; None where its type is not known for certain, or there is no room."""
        term = self.term(op, (), parts)
        if term in self.known:
            return self.find(self.known[term])
        values = [self.values[p] for p in term[2]]
        if all(v is not None for v in values):
            return self._folded(op, [self.values[self.find(p)] for p in parts])
        kind = self._type(op, term[2])
        if kind is None or self.full:
            return None
        if risk:
            self.risks[term] = risk
        return self._new(term, kind, lines, rule, None)

    def _folded(self, op: Op, values: Sequence[Any]) -> int:
        found = op.numpy(*values)
        return self.constant(found, found.dtype.name)

    def _new(self, term: Term, kind: TensorType, lines: frozenset[Source], rule: Rule | None, value: Any) -> int:
        number = len(self._up)
        self._up.append(number)
        self.terms.append({term: rule})
        self.types.append(kind)
        self.values.append(value)
        self.lines.append(lines)
        self._users.append({})
        self.known[term] = number
        self.count += 1
        for part in term[2]:
            self._users[part][term] = number
        return number

    def _type(self, op: Op, parts: Sequence[int]) -> TensorType | None:
        dtype = "bool" if op.infer is to_bool else self.types[parts[-1]].dtype if op.infer in LIKE else None
        shape = broadcast([self.types[p].shape for p in parts])
        return None if dtype is None or shape is None else TensorType(dtype, shape)

    def union(self, a: int, b: int, rule: Rule) -> bool:
        """Two classes are equal, as a rule says; whether that is new.  What has another type is another thing, whatever the rule says."""
        a, b = self.find(a), self.find(b)
        if a == b or self.types[a] != self.types[b]:
            return False
        if a > b:
            a, b = b, a
        self.joined.append((rule, b))
        self._merge(a, b)
        return True

    def _merge(self, a: int, b: int) -> None:
        self._up[b] = a
        self.terms[a].update({t: r for t, r in self.terms[b].items() if t not in self.terms[a]})
        self.lines[a] |= self.lines[b]
        self._users[a].update(self._users[b])
        self.values[a] = self.values[a] if self.values[a] is not None else self.values[b]
        self._stale.append(a)

    def restore(self) -> None:
        """Let equal operations on equal operands be equal again."""
        while self._stale:
            number = self.find(self._stale.pop())
            for term, user in list(self._users[number].items()):
                self._renew(term, self.find(user))

    def _renew(self, old: Term, user: int) -> None:
        term = self.term(*old)
        if term == old:
            return
        rule = self.terms[user].pop(old, None)
        if old in self.nodes:
            self.nodes.setdefault(term, self.nodes[old])
        if old in self.risks:
            self.risks.setdefault(term, self.risks[old])
        self.known.pop(old, None)
        for part in old[2]:
            self._users[self.find(part)].pop(old, None)
        if term not in self.terms[user] or (rule is None and old in self.nodes):
            self.terms[user][term] = rule
        for part in term[2]:
            self._users[part][term] = user
        other = self.find(self.known.setdefault(term, user))
        if other != user and self.types[other] == self.types[user]:
            self._merge(min(other, user), max(other, user))


def broadcast(shapes: Sequence[tuple[Dim, ...]]) -> tuple[Dim, ...] | None:
    """The shape of operands whose sizes are known to match, else None: a search makes no condition that the user did not write."""
    first = shapes[0]
    if all(s is first or s == first for s in shapes[1:]):
        return first
    found: list[Dim] = []
    for axes in _aligned(shapes):
        long = [d for d in axes if d.const != 1]
        if any(d != long[0] for d in long[1:]):
            return None
        found.append(long[0] if long else axes[0])
    return tuple(found)


def _aligned(shapes: Sequence[tuple[Dim, ...]]) -> Iterator[list[Dim]]:
    rank = max(map(len, shapes))
    for axis in range(-rank, 0):
        yield [s[axis] for s in shapes if len(s) >= -axis]


def same_number(a: Any, b: Any) -> bool:
    """Whether two numbers are the same to the last bit, NaN as NaN."""
    if a is None or b is None or a.dtype != b.dtype:
        return False
    return bool(((a == b) & (np.signbit(a) == np.signbit(b))) if a.dtype.kind == "f" else a == b) or bool(a != a and b != b)
