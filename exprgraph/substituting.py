"""Sizes under facts: what a Dim is where texts stand for other Dims."""
from __future__ import annotations

from collections.abc import Mapping

from exprgraph.dims import Dim, call_of, calls, constant, of_atom, product


class Substitution:
    """Dims with every atom or whole sub-Dim whose text is a key of `facts` replaced, from the inside out.

    What they become is remembered, since sizes of deep graphs contain those of the layers before: so the facts must not change meanwhile.
    """

    def __init__(self, facts: Mapping[str, Dim]) -> None:
        self.facts, self.found, self.results = facts, dict[str, Dim](), dict[str, Dim]()

    def __contains__(self, text: object) -> bool:
        return text in self.found or text in self.facts

    def __call__(self, dim: Dim) -> Dim:
        """The Dim under the facts."""
        if not self.facts or dim.const is not None:
            return dim
        known = self.facts.get(dim.text) or self.results.get(dim.text)
        if known is None:
            known = self.results[dim.text] = self._made(dim)
        return known

    def _made(self, dim: Dim) -> Dim:
        for call in calls([dim], self):
            again = call_of(call.kind, self._swapped(call.left), self._swapped(call.right))
            self.found[call.text] = self.facts.get(again.atom.text, again) if again.atom is not None else again
        return self._swapped(dim)

    def _swapped(self, dim: Dim) -> Dim:
        total = constant(0)
        for monomial, coefficient in dim.terms:
            total = total + product(self.found.get(a.text) or self.facts.get(a.text) or of_atom(a) for a in monomial) * coefficient
        return self.facts.get(total.text, total)


def substitute(dim: Dim, facts: Mapping[str, Dim]) -> Dim:
    """One Dim under facts."""
    if not facts or dim.const is not None:
        return dim
    return facts.get(dim.text) or Substitution(facts)(dim)
