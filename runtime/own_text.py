"""What a driver says of the text of a kernel of the user's own: its complaints, and the head that it found."""
from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from exprgraph.own.raw import element
from exprgraph.own.text import Parameter
from runtime.complaints import NOISE
from runtime.driver import cl, failure

WHOLE = 40
"""The most lines of a text that are shown whole."""
AROUND = 2
_PLACE = re.compile(r"(?:(?:^|(?<=\s))[^\s:]*|<[^>]*>|\"[^\"]*\"):(\d+):(\d+):")


def refused(text: str, error: str) -> str:
    """The lines of a text that a driver speaks of, and what it says, once."""
    said = dict.fromkeys(_PLACE.sub(r"line \1, column \2:", line).rstrip() for line in error.splitlines() if not NOISE.match(line))
    lines, named = text.splitlines(), {int(m.group(1)) for m in _PLACE.finditer(error)}
    near = {n + k for n in named for k in range(-AROUND, AROUND + 1)}
    kept = [(i, line) for i, line in enumerate(lines, 1) if len(lines) <= WHOLE or i in near]
    return "\n".join([*(f"{i:5d}  {line}" for i, line in kept), *(said or error.splitlines()[:1])])


def mismatch(kernel: Any, parameters: Sequence[Parameter]) -> tuple[str, str] | None:
    """What was read of a kernel's head and what the driver found there, where these differ; None too where the driver does not tell."""
    if kernel.num_args != len(parameters):
        return f"{len(parameters)} parameters", str(kernel.num_args)
    try:
        found = [_told(kernel, k) for k in range(len(parameters))]
    except (failure, AttributeError):
        return None
    for k, (p, q) in enumerate(zip(parameters, found), 1):
        same = element(p.type) == element(q.type) or element(q.type) is None
        if not same or p.name != (q.name or p.name) or p.array != q.array or (p.array and (p.inside, p.fixed) != (q.inside, q.fixed)):
            return f"that parameter {k} is {_shown(p)}", _shown(q)
    return None


def _told(kernel: Any, number: int) -> Parameter:
    info, place, kind = cl.kernel_arg_info, cl.kernel_arg_address_qualifier, cl.kernel_arg_type_qualifier
    name, typed = (kernel.get_arg_info(number, what).rstrip("\0") for what in (info.NAME, info.TYPE_NAME))
    words, array = typed.replace("*", " ").split(), "*" in typed
    where, how = kernel.get_arg_info(number, info.ADDRESS_QUALIFIER), kernel.get_arg_info(number, info.TYPE_QUALIFIER)
    qualifiers = (("__local",) * (where == place.LOCAL), ("__constant",) * (where == place.CONSTANT),
                  ("const",) * bool(how & kind.CONST or "const" in words))
    return Parameter(name, " ".join(w for w in words if w != "const"), array, sum(qualifiers, ()))


def _shown(p: Parameter) -> str:
    words = ["__local" if p.inside else "", "const" if p.array and p.fixed else "", p.type]
    return " ".join(w for w in words if w) + " " + "*" * p.array + p.name
