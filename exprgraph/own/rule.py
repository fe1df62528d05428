"""Rules of the user's own: checked when they are made, so that the optimiser finds nothing wrong with them but what they compute."""
from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from exprgraph.errors import OptionError, at, here
from exprgraph.facts import Known
from exprgraph.pattern_trees import Minus, spelled
from exprgraph.patterns import Fixed, Form, Match, Wild, arguments, required, trace
from exprgraph.patterns import Rule as Record

KINDS = "fiub"


def Rule(name: str, pattern: Callable[..., Any], replacement: Callable[..., Any], when: Callable[[Match], bool] | None = None,  # noqa: N802
         kinds: str = "f", why: str = "", tags: Iterable[str] = (), version: str | None = None, modulo: bool = False) -> Record:
    """A rewrite of yours: where the expression that `pattern` gives is met, that of `replacement` takes its place.

    Both are functions whose arguments stand for tensors; pattern is called once, on symbols, replacement on the tensors found.  An argument
    c or d stands for a condition (bool), k for a constant whose elements are equal, others for any tensor of `kinds` ("f" floats, "i" and
    "u" integers, "b" bool).  A replacement that asks for `root` gets what it replaces; one that returns None declines.  when(match): a
    condition; match.bound["x"] is what x has met, match.root the whole.  Dtype and rank stay: what changes them is left out with a warning.
    why: what reports say of it.  tags: names for several rules, to include and exclude them by.  version: a text that changes when the
    rule does; only with it are optimised graphs kept on disk.  modulo: for floats, the expression is found however it is spelled: signs
    moved, products regrouped and divided, casts and views in between; an argument `around` then stands for views, as in
    `log(around(some("sum", p, x)))`.  A mode uses it: `eg.Mode().including(rule)`.

        half = eg.Rule("x / 2", lambda x: x / 2, lambda x: x * 0.5)

    OptionError where a part is not what it has to be.
    """
    def refuse(text: str) -> OptionError:
        return OptionError(f"Rule({name!r:.60}): {text}{at(here())}")
    if not isinstance(name, str) or not name.strip() or not name.isprintable():
        raise refuse("its name has to be a line of text")
    for what, text in (("why", why), ("version", version)):
        if not isinstance(text, str) and not (what == "version" and text is None) or text is not None and not (text + " ").isprintable():
            raise refuse(f"{what}={text!r:.40}: a line of text is needed")
    if not isinstance(kinds, str) or not kinds or not set(kinds) <= set(KINDS):
        raise refuse(f'kinds={kinds!r:.40}: some letters of "{KINDS}" are needed: floats, integers, unsigned integers, bool')
    for what, function in (("pattern", pattern), ("replacement", replacement), ("when", when)):
        if not hasattr(function, "__code__") and not (what == "when" and (function is None or callable(function))):
            raise refuse(f"{what}={function!r:.60}: a function with named arguments is needed")
    if not isinstance(modulo, bool):
        raise refuse(f"modulo={modulo!r:.40}: True or False is needed")
    words = (tags,) if isinstance(tags, str) else tuple(tags)
    if not all(isinstance(t, str) and t.strip() and t.isprintable() for t in words):
        raise refuse(f"tags={tags!r:.60}: texts are needed")
    rule = Record(name, pattern, replacement, when, kinds, why, ("own", *words), version, here(), modulo)
    problem = _problem(rule)
    if problem:
        raise refuse(problem)
    return rule


def _problem(rule: Record) -> str:
    """What is wrong with the sides of a rule."""
    try:
        tree = trace(rule)
    except Exception as error:  # whatever the user's function does
        return f"its pattern failed: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
    if not isinstance(tree, Form):
        return "its pattern is one argument or a constant, so it would meet every tensor: an operation is needed"
    if isinstance(rule.when, Known) and rule.when.name not in arguments(rule):
        return f"its condition is about {rule.when.name!r}, which is no argument of its pattern"
    if rule.modulo and (rule.kinds != "f" or isinstance(_unsigned(spelled(tree)), Wild | Fixed)):
        return "modulo=True is for floats (kinds), and for patterns that are more than signs and factors of 1"
    if not rule.modulo and "around" in arguments(rule):
        return "its argument around stands for views, which are looked through only with modulo=True"
    lost = [n for n in arguments(rule) if n not in _met(tree)]
    if lost:
        return f"its pattern does not use {', '.join(lost)}"
    strange = [n for n in required(rule.replacement) if n not in (*arguments(rule), "root")]
    return f"its replacement asks for {', '.join(strange)}; there are {', '.join((*arguments(rule), 'root'))}" if strange else ""


def _unsigned(tree: Any) -> Any:
    return tree.part if isinstance(tree, Minus) else tree


def _met(tree: Any) -> set[str]:
    """The names in a pattern."""
    if isinstance(tree, Form):
        own = {tree.params} if isinstance(tree.params, str) else set()
        return own.union(*(_met(p) for p in tree.parts))
    return {tree.name} if isinstance(tree, Wild) else set()
