"""Every name that a user of Theano knows is there, or absent for one of a few reasons."""
from __future__ import annotations

from collections import Counter
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import exprgraph as eg
from tests.theano_names import ABSENT, LISTS, NAMES, REASONS

PRESENT = [name for name in NAMES if name not in ABSENT]
SPACES = {"Out": eg.Out, "nnet": eg.nnet, "Indexed": type(eg.vector("x")[eg.lscalar("i")])}
BY_SLICES = ("mgrid", "ogrid")


def found(name: str) -> Any:
    """What the name means, None where there is no such thing."""
    space, _, bare = name.rpartition(".")
    where = SPACES.get(space) or (eg if not space else getattr(eg, space, SimpleNamespace()))
    return getattr(where, bare, None)


def works(name: str) -> bool:
    """Whether the name is there, can be called, and says what it does (rows say it in their own way)."""
    thing = found(name)
    return callable(thing) and (isinstance(thing, eg.Op) or bool(thing.__doc__))


@pytest.mark.parametrize("name", [n for n in PRESENT if n not in BY_SLICES])
def test_the_name_is_there(name: str) -> None:
    assert works(name), f"{name} is neither there nor absent for a reason"


@pytest.mark.parametrize("name", ABSENT)
def test_the_name_is_absent(name: str) -> None:
    assert found(name) is None, f"{name} is there: take it out of ABSENT"


def test_grids_are_made_of_slices() -> None:
    for name in BY_SLICES:
        assert np.shape(found(name)[0:2].eval()) == (2,)


def test_every_name_is_listed_once_and_has_one_reason() -> None:
    assert set(ABSENT) <= set(NAMES)
    assert not [n for n, times in Counter(n for names in REASONS.values() for n in names.split()).items() if times > 1]
    counts = {title: (sum(n not in ABSENT for n in names.split()), len(names.split())) for title, names in LISTS.items()}
    print("\npresent of all: " + ", ".join(f"{title} {here} of {total}" for title, (here, total) in counts.items()))
    print(f"{len(NAMES)} names: {len(PRESENT)} present, {len(ABSENT)} absent: "
          + ", ".join(f"{reason} {len(names.split())}" for reason, names in REASONS.items()))
    assert len(PRESENT) + len(ABSENT) == len(NAMES) > 400
