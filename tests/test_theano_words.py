"""Theano's words that are none here: the error says what to write, that is there, and the page for those who come from Theano has them."""
from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import exprgraph as eg
from exprgraph import theano_words
from exprgraph.config import SETTINGS

PAGE = (Path(__file__).resolve().parent.parent / "docs" / "from_theano.md").read_text()
SECTION = PAGE.partition("## Settings, ")[2].partition("\n## ")[0]
x = eg.vector("x")


@pytest.mark.parametrize("name", theano_words.KEYWORDS)
def test_a_keyword_that_is_not_there(name: str) -> None:
    if name != "accept_inplace":  # which `function` has
        with pytest.raises(TypeError, match=rf"^function\(\) takes no {name}=: .*\n  at .*test_theano_words.py:"):
            eg.function([x], x, device="numpy", **{name: 1})
    with pytest.raises(TypeError, match=rf"^compile\(\) takes no {name}=: .*\n  at .*test_theano_words.py:"):
        eg.compile([x], x, device="numpy", **{name: 1})


@pytest.mark.parametrize("name", [*theano_words.SETTINGS, "gcc__cxxflags"])
def test_a_setting_that_is_not_there(name: str) -> None:
    """Settings with a dot in their name are attributes of their first part."""
    for use in (lambda: getattr(eg.config, name), lambda: setattr(eg.config, name, 1), lambda: eg.change_flags(**{name: 1}).__enter__()):
        with pytest.raises(AttributeError, match=f"no setting '{name}': .") as caught:
            use()
        assert len(str(caught.value)) < 250
    assert name not in SETTINGS


@pytest.mark.parametrize(("make", "said"), [
    (lambda: eg.Mode(linker="py"), "takes no linker=: .*numpy"), (lambda: eg.Mode("cvm", "fast_run"), "no linker: .*numpy"),
    (lambda: eg.Mode(optimiser="none"), "did you mean 'optimizer'"), (lambda: eg.compile([x], x, updats={}), "did you mean 'updates'"),
    (lambda: eg.function([x], x, inputz=x), "did you mean 'inputs'"),
    (lambda: eg.function([x], x, zzz=1), "takes inputs, outputs, mode, .*max_bytes")])
def test_other_words(make: Any, said: str) -> None:
    with pytest.raises(TypeError, match=f"{said}.*\n  at .*test_theano_words.py:"):
        make()


def test_what_is_meant_by_a_mode_and_a_flag() -> None:
    f = eg.compile([x], x * 2, mode=eg.Mode("fast_compile"), device="numpy", profile=0)
    assert f([1]).tolist() == [2] and eg.Mode("none") == eg.Mode(optimizer="none")
    assert eg.Mode()._replace(optimizer="none") == eg.Mode("none")
    for wrong in ("yes", [], 2):
        with pytest.raises(eg.OptionError, match="profile=.*: True or False is needed"):
            eg.compile([x], x, profile=wrong)  # type: ignore[arg-type]


def test_what_the_texts_name_is_there() -> None:
    """Functions, attributes, settings and keywords that errors and the page speak of."""
    texts = "\n".join([*theano_words.SETTINGS.values(), *theano_words.KEYWORDS.values(), SECTION])
    f = eg.compile([x], x, device="numpy", profile=True)
    assert {n for n in re.findall(r"\beg\.(\w+)", texts) if not hasattr(eg, n)} == set()
    assert {n for n in re.findall(r"\bf\.(\w+)", texts) if not hasattr(f, n)} == set()
    ours = {cell for row in SECTION.splitlines() if row.startswith("|") for cell in re.findall(r"config\.(\w+)", row.split("|")[2])}
    assert ours and ours - {"x", "change_flags"} <= set(SETTINGS)
    assert {n for n in re.findall(r"compile\((\w+)=\)", texts) if n not in eg.compile.__wrapped__.__code__.co_varnames} == set()


def test_the_page_has_every_word() -> None:
    words = ["THEANO_FLAGS", ".theanorc", "theano-cache purge", "Mode(linker", "exception_verbosity", "allow_gc", "compute_test_value",
             "on_unused_input", "profile_memory", "floatX", "borrow=True", "linker=", "optimizer_including", "get_default_mode"]
    assert [w for w in words if w not in SECTION] == []


@pytest.mark.parametrize(("text", "ours"), [
    ("device=cuda,floatX=float32", ["EXPRGRAPH_DEVICE=gpu", "EXPRGRAPH_FLOATX=float32"]), ("", []), ("nonsense", []),
    ("device=opencl0:1, mode=FAST_RUN", ["EXPRGRAPH_DEVICE=0:1", "EXPRGRAPH_MODE=FAST_RUN"]),
    ("gcc.cxxflags=-O3,device=cpu", ["EXPRGRAPH_DEVICE=cpu"])])
def test_flags_in_our_words(text: str, ours: list[str]) -> None:
    assert theano_words.flags(text, {s.name: s.variable for s in SETTINGS.values()}) == ours
