"""Forks: a child of a process that has used OpenCL is told so and never hangs, whatever the threads of that did; NumPy works in it."""
from __future__ import annotations

import os

import pytest

from tests.test_threads import script

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
HEAD = """
import os, signal, sys, threading, time, numpy as np, exprgraph as eg
def child(act):
    pid = os.fork()
    if pid == 0:
        signal.alarm(20)  # a child that hangs ends with another status
        try:
            os._exit(10 + act())
        except BaseException as error:
            print(repr(error), file=sys.stderr, flush=True)
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
def told(act):
    try:
        act()
    except eg.DeviceError as error:
        return "fork" in str(error)
    return False
x, w = eg.vector("x"), eg.shared(np.ones(2, "f4"), "w")
one = np.ones(2, "f4")
"""


def test_F3_a_fork_in_the_middle_of_compiles_and_calls() -> None:
    """Other threads hold locks of the driver, of functions and of shared variables at the fork."""
    done = script(HEAD + """
f = eg.compile([x], x + w, updates={w: w + 1}, device="pocl")
g = eg.compile([x], eg.cumsum(eg.exp(x)) + w, device="pocl")
host = eg.compile([x], x * w, updates={w: w * 0 + 5}, device="numpy")
stop = threading.Event()
def compiles():
    k = 0
    while not stop.is_set():
        k += 1
        eg.compile([x], eg.tanh(x * k).sum(), device="pocl")
def calls():
    while not stop.is_set():
        f(one); g(np.ones(3000, "f4")[:2])
def sets():
    while not stop.is_set():
        w.set_value(one)
threads = [threading.Thread(target=t, daemon=True) for t in (compiles, calls, calls, sets)]
[t.start() for t in threads]
def act():
    seen = told(lambda: f(one)) + told(lambda: g(one)) + told(lambda: eg.compile([x], x + 2, device="pocl"))
    seen += told(f.warm) + told(f.free)
    try:
        w.get_value()
        host(one)
        w.set_value(one)
        seen += int(eg.compile([x], w + x, device="numpy")(one)[0] == 2)
    except eg.DeviceError:
        pass
    return seen
found = []
for k in range(12):
    time.sleep(0.01 * k)
    found.append(child(act))
stop.set()
[t.join() for t in threads]
print(set(found), f(one).shape)""")
    assert done.stdout.strip() == "{16} (2,)", (done.stdout, done.stderr)


def test_F3_a_fork_in_the_middle_of_the_first_compile() -> None:
    """While modules and the driver are being loaded: the child is told that it cannot load them, or, later, that it was forked."""
    done = script(HEAD + """
compiling = threading.Thread(target=lambda: eg.compile([x], x + 1, device="pocl"))
compiling.start()
found, values = [], []
while compiling.is_alive() and len(found) < 15:
    time.sleep(0.02)
    values.clear()
    found.append(child(lambda: int(told(lambda: values.append(eg.compile([x], x + 2, device="pocl")(one)[0]))) or 2 * (values == [3])))
compiling.join()
print({11} <= set(found) <= {11, 12}, len(found) > 1)""")  # 12: forked so early that the child could start for itself
    assert done.stdout.split() == ["True", "True"], (done.stdout, done.stderr)


def test_F3_fork_pools() -> None:
    """After the first compile tasks fail with the reason, by both kinds of pools; before it, children work for themselves."""
    done = script(HEAD + """
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
fork = multiprocessing.get_context("fork")
def own(k):
    return float(eg.compile([x], x * k, device="pocl")(one)[0])
if __name__ == "__main__":
    with fork.Pool(2) as pool:
        print(pool.map(own, [2, 3]))
    f = eg.compile([x], x + 1, device="pocl")
    f(one)
    h = eg.compile([x], x + 1, device="numpy")
    with fork.Pool(1) as pool:
        print(told(lambda: pool.map(f, [one])), pool.map(h, [one])[0][0])
    with ProcessPoolExecutor(1, mp_context=fork) as pool:
        print(told(lambda: pool.submit(f, one).result()), told(lambda: pool.submit(own, 2).result()))
    print(f(one)[0])""")
    assert done.stdout.split() == ["[2.0,", "3.0]", "True", "2.0", "True", "True", "2.0"], (done.stdout, done.stderr)


def test_F3_values_in_a_child() -> None:
    """Those on the host are there; those that only a device holds are refused; what was read before stays."""
    done = script(HEAD + """
import dataclasses
from runtime import device, function
base = device.choose("pocl")
made = dataclasses.replace(base, sibling=None, target=base.target._replace(host_shared=False, schedule="gpu"))
function.choose = lambda spec: made
kept, read = eg.shared(one, "kept"), eg.shared(one, "read")
f = eg.compile([], updates={kept: kept + 1, read: read + 1}, device="pocl")
f()
read.get_value()
print(child(lambda: told(kept.get_value) + int(read.get_value()[0] == 2) + int(w.get_value()[0] == 1) + told(f.sync_shared) + told(f)))""")
    assert done.stdout.split() == ["15"], (done.stdout, done.stderr)
