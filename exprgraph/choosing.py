"""What a mode includes and excludes: rules by name or tag, the folding of constants, and rules of the user's own."""
from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from exprgraph.errors import OptionError, at, here
from exprgraph.modes import Mode
from exprgraph.near import nearest
from exprgraph.patterns import Rule
from exprgraph.rules.catalogue import words


def including(mode: Mode, items: Iterable[Any]) -> Mode:
    """The mode with these words, and rules of the user's own, included."""
    for item in items:
        mode = _with_rule(mode, item) if isinstance(item, Rule) else _with_word(mode, "+", item, "including")
    return mode


def excluding(mode: Mode, items: Iterable[Any]) -> Mode:
    """The mode with these words excluded."""
    for item in items:
        mode = _with_word(mode, "-", item.name if isinstance(item, Rule) else item, "excluding")
    return mode


def checked(mode: Mode) -> Mode:
    """A mode whose choice is one; OptionError."""
    plain: Mode = mode._replace(chosen=(), rules=())
    for rule in mode.rules:
        plain = including(plain, [rule])
    for told in mode.chosen if isinstance(mode.chosen, tuple) else (mode.chosen,):
        if not isinstance(told, str) or told[:1] not in ("+", "-"):
            raise OptionError(f"Mode(chosen={told!r:.40}): Mode.including(...) and Mode.excluding(...) choose rules{at(here())}")
        _with_word(plain, told[0], told[1:], "chosen=")
    return mode


def _with_word(mode: Mode, sign: str, word: Any, who: str) -> Mode:
    if not isinstance(word, str):
        raise OptionError(f"{who}: a rule, or the name or tag of rules is needed, not {word!r:.40}{at(here())}")
    known = words(mode.rules)
    if word not in known:
        meant = nearest(word, sorted(known)) or "; eg.rule_table() lists them"
        raise OptionError(f"{who}: no rule has the name or tag {word!r:.60}{meant}{at(here())}")
    found: Mode = mode._replace(chosen=(*mode.chosen, sign + word))
    return found


def _with_rule(mode: Mode, rule: Rule) -> Mode:
    if rule.source is None:
        raise OptionError(f"including: rule {rule.name!r} was not made by eg.Rule{at(here())}")
    if any(r.name == rule.name and r != rule for r in mode.rules) or rule.name in words():
        raise OptionError(f"including: there is another rule {rule.name!r}: the name of a rule is what it is chosen by{at(here())}")
    rules = mode.rules if rule in mode.rules else (*mode.rules, rule)
    found: Mode = mode._replace(rules=rules, chosen=(*mode.chosen, "+" + rule.name))
    return found
