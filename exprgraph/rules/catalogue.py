"""All rules by their list, and the table of them for people: what a mode may include and exclude."""
from __future__ import annotations

from collections.abc import Iterable

from exprgraph.columns import columns
from exprgraph.facts import Known
from exprgraph.named import NamedTuple
from exprgraph.patterns import Rule
from exprgraph.rules.equalities import EQUALITIES
from exprgraph.rules.exact import EXACT
from exprgraph.rules.indexing import INDEXING
from exprgraph.rules.joins import JOINS
from exprgraph.rules.known import KNOWN, MATRICES
from exprgraph.rules.lifts import LIFTS
from exprgraph.rules.movement import MOVEMENT
from exprgraph.rules.positions import POSITIONS
from exprgraph.rules.real import REAL
from exprgraph.rules.reductions import REDUCTIONS
from exprgraph.rules.stable import STABLE
from exprgraph.rules.sums import SUMS

MOVING: tuple[Rule, ...] = (*MOVEMENT, *LIFTS, *INDEXING, *JOINS, *REDUCTIONS)
"""All rules of the list movement."""
LISTS: dict[str, tuple[Rule, ...]] = {"exact": MOVING + EXACT + KNOWN, "stable": STABLE + POSITIONS, "sums": SUMS, "real": REAL + MATRICES,
                                     "search": EQUALITIES}
"""The rules as the pipeline knows them, in the order in which they are tried; movements are tried with the exact rules."""
OTHERS = ("fold", "all", "own")
"""Words beside tags and names: the folding of constants, everything, and the rules of a mode's own."""


def words(own: Iterable[Rule] = ()) -> frozenset[str]:
    """All that can be included or excluded, with rules of the user's own."""
    rules = [*own, *(r for rules in LISTS.values() for r in rules)]
    return frozenset({*OTHERS, *(r.name for r in rules), *(t for r in rules for t in r.tags)})


class Table(NamedTuple):
    """Rules; the text is a table of them, by list."""
    rules: tuple[Rule, ...]

    def __str__(self) -> str:
        rows = [("list", "tag", "kinds", "rule", "when", "why")]
        rows += [(r.tags[0], " ".join(r.tags[1:]), r.kinds, r.name, str(r.when) if isinstance(r.when, Known) else "", r.why)
                 for r in self.rules]
        return "\n".join(columns(rows))

    def __repr__(self) -> str:
        return str(self)


def rule_table(word: str | None = None) -> Table:
    """The rules of the optimiser as a table; with a word those of this name or tag only.  `rule_table().rules` are the records.

    when: what has to be known of what an argument has met, where `facts.known` asks for it; other conditions have no text.
    kinds: of the dtypes that the rule is for, "f" floats, "i" and "u" integers, "b" bool.
    """
    return Table(tuple(r for rules in LISTS.values() for r in rules if word is None or word == r.name or word in r.tags))
