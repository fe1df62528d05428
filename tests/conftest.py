"""What every test run shares: devices, one printed seed for everything random, and caches of its own."""
from __future__ import annotations

import gc
import os
import random
import shutil
import tempfile
import zlib
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import settings
from hypothesis.internal.conjecture import providers

from tests import quick_builds

os.environ.setdefault("POCL_DEVICES", "basic pthread")
os.environ.setdefault("EXPRGRAPH_SELFTEST", "0")  # the tests test the devices
settings.register_profile("exprgraph", print_blob=True, deadline=None)
settings.load_profile("exprgraph")

SEED = "EXPRGRAPH_SEED"
CACHES = ("POCL_CACHE_DIR", "EXPRGRAPH_CACHE")
_made: list[str] = []


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """The controller draws the seed and makes the caches; workers inherit its environment and its options."""
    if not hasattr(config, "workerinput"):
        os.environ.setdefault(SEED, str(random.SystemRandom().randrange(2**32)))
        for name in CACHES:
            if name not in os.environ:
                os.environ[name] = tempfile.mkdtemp(prefix="exprgraph-cache-")
                _made.append(os.environ[name])
    if getattr(config.option, "hypothesis_seed", None) is None:
        config.option.hypothesis_seed = os.environ[SEED]
    from exprgraph import config as settings  # a plugin may have imported it before the caches were named
    settings.cache = os.environ[CACHES[1]]
    quick_builds.wrap()
    _draw_by_the_seed_alone()
    gc.disable()  # while tests are collected, hardly anything becomes garbage


def _draw_by_the_seed_alone() -> None:
    """Hypothesis also draws constants that it finds in the modules of the project that are loaded by then, so that the same seed draws
    other examples where fewer tests have run before."""
    if hasattr(providers, "_get_local_constants"):
        nothing = providers._local_constants
        providers._get_local_constants = lambda: nothing


def pytest_collection_finish(session: pytest.Session) -> None:
    """What has been collected stays: the garbage collector, which tests call, need not look through 15,000 tests each time.  By itself it
    comes more seldom than every 700 objects, of which one graph has more."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 10, 10)
    gc.enable()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove the caches that this process has made."""
    while _made:
        shutil.rmtree(_made.pop(), ignore_errors=True)


def _line() -> str:
    return f"seed: {os.environ[SEED]} ({SEED}={os.environ[SEED]} repeats this run)"


def pytest_report_header(config: pytest.Config) -> str:
    """The seed, above the tests."""
    return _line()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, exitstatus: int, config: pytest.Config) -> None:
    """The seed once more where a test has failed, since -q leaves out the header."""
    if exitstatus and config.get_verbosity() < 0:
        terminalreporter.write_line(_line())


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> np.random.Generator:
    """Random numbers that follow from the seed of the run and the name of the test."""
    return np.random.default_rng([int(os.environ[SEED]), zlib.crc32(request.node.nodeid.encode())])


@pytest.fixture(params=["numpy", "pocl"])
def device(request: pytest.FixtureRequest) -> Iterator[str]:
    """The backend that `compile` uses while a test runs, once each."""
    import exprgraph as eg  # not before the driver's variables are set
    with eg.change_flags(device=request.param):
        yield request.param


@pytest.fixture
def by_driver(monkeypatch):
    """Kernels are launched by the driver, as where native calls cannot be made."""
    from runtime import device, native
    for found in device.devices():
        monkeypatch.setitem(native._known, found.spec, None)


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every text that is given to the driver to compile."""
    from runtime import program
    texts: list[str] = []
    compiled = program._compile
    monkeypatch.setattr(program, "_compile", lambda session, text, *rest: texts.append(text) or compiled(session, text, *rest))
    return texts
