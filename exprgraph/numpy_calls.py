"""NumPy's functions called on symbols: each goes to the function of exprgraph that has its name and meaning, or says what to write."""
from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from exprgraph.errors import UseError, at, here

ALIASES = {"amax": "max", "amin": "min", "around": "round", "a_min": "min", "a_max": "max"}
"""Names of functions and parameters that differ."""
ELSEWHERE = {"numpy.linalg": ("norm", "matrix_norm", "vector_norm", "matrix_power", "multi_dot")}
"""What is taken from NumPy's modules beside `numpy` itself: inv, for one, means something else there."""
RUNNING = {"add": "cumsum", "multiply": "cumprod", "maximum": "cummax", "minimum": "cummin"}
"""What `np.maximum.accumulate` and the like are called here."""
OTHER = {"identity": "write exprgraph.eye: identity(x) is x there"}
"""Functions of the same name and another meaning."""


def _found(name: str) -> Callable[..., Any] | None:
    """exprgraph's function of that name; the package is loaded whenever there is a symbol."""
    package = sys.modules["exprgraph"]
    wanted = ALIASES.get(name, name)
    return getattr(package, wanted) if wanted in package.__all__ else None


def _refused(name: str, advice: str) -> UseError:
    return UseError(f"np.{name} does not take symbols: {advice}{at(here())}")


def _absent(name: str) -> UseError:
    return _refused(name, f"exprgraph has no function of this meaning called {name}; build it from others, or call np.{name} on results")


def values(name: str) -> UseError:
    """The error for a symbol that NumPy would turn into an array."""
    return UseError(f"a symbol ({name}) has no values while the graph is built, so it cannot become a NumPy array: write exprgraph.stack"
                    f"([x, y]) to put symbols together, or call a compiled function, or x.eval({{input: value}}), for values{at(here())}")


def ufunc(function: Any, method: str, inputs: Sequence[Any], keywords: Mapping[str, Any]) -> Any:
    """What `np.exp(x)`, or `array + x`, means; UseError for reductions by a ufunc and for its keywords."""
    name = function.__name__
    found = _found(name)
    if found is None:
        raise _absent(name)
    if method == "accumulate" and name in RUNNING:
        return _accumulate(RUNNING[name], *inputs, **keywords)
    own = f"exprgraph.{getattr(found, '__name__', name)}"
    if method != "__call__":
        raise _refused(f"{name}.{method}", f"write {own}, or a reduction such as exprgraph.sum, prod, max or all")
    if "out" in keywords:
        raise _refused(f"{name} with out= (or as in `array += x`)", f"a symbol cannot be written to an array; write y = {own}(...)")
    if keywords:
        raise _refused(f"{name} with {', '.join(keywords)}", f"write {own}, and cast or where around it")
    return found(*inputs)


def _accumulate(name: str, x: Any, axis: Any = 0, dtype: Any = None, out: Any = None) -> Any:
    """A prefix scan; NumPy's `accumulate` goes along the first axis where none is named."""
    if out is not None:
        raise _refused(f"{name} with out=", f"a symbol cannot be written to an array; write y = exprgraph.{name}(...)")
    found = _found(name)
    assert found is not None
    if name in ("cumsum", "cumprod"):
        return found(x, axis=axis, dtype=dtype)
    return found(x if dtype is None else x.astype(dtype), axis=axis)


def _arguments(function: Any, args: Sequence[Any], keywords: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    """The arguments that were given, those with a default by NumPy's name for them: their order differs."""
    try:
        signature = inspect.signature(function)
    except ValueError:  # some of NumPy's functions in C
        return list(args), dict(keywords)
    by_place, by_name = list[Any](), dict[str, Any]()
    for name, value in signature.bind(*args, **keywords).arguments.items():
        parameter = signature.parameters[name]
        if parameter.kind is parameter.VAR_POSITIONAL:
            by_place += value
        elif parameter.kind is parameter.VAR_KEYWORD:
            by_name.update(value)
        elif parameter.kind is parameter.POSITIONAL_ONLY or parameter.default is parameter.empty or name == "axes":
            by_place.append(value)
        elif value is not parameter.default:
            by_name[ALIASES.get(name, name)] = value
    return by_place, by_name


def function(called: Any, args: Sequence[Any], keywords: Mapping[str, Any]) -> Any:
    """What `np.sum(x, axis=0)` means; UseError where exprgraph has no such function, or where it has no such argument."""
    name, module = called.__name__, called.__module__
    if name == "ndim":
        return args[0].ndim
    found = _found(name) if module == "numpy" or name in ELSEWHERE.get(module, ()) else None
    if found is None or name in OTHER:
        full = name if module == "numpy" else f"{module.removeprefix('numpy.')}.{name}"
        raise _refused(name, OTHER[name]) if name in OTHER else _absent(full)
    by_place, by_name = _arguments(called, args, keywords)
    try:
        return found(*by_place, **by_name)
    except TypeError as error:
        if type(error) is not TypeError:
            raise
        raise _refused(f"{name} with these arguments", str(error)) from error
