"""Plans on disk: hits in a second process, what is part of a key, and every way in which an entry or its folder can be bad."""
from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import warnings
from types import SimpleNamespace

import numpy as np
import pytest

import exprgraph as eg
from exprgraph import store
from exprgraph.kept import GRAPHS
from runtime import kept_plans, program
from tests import processes

SCRIPT = """
    import sys, json
    import numpy as np, exprgraph as eg
    X, y = eg.matrix({x!r}), eg.vector("y")
    w = eg.shared(np.zeros(5, "f"), name="w")
    cost = eg.log(1 + eg.exp(X @ w * y)).mean() + 0.01 * (w ** 2).sum()
    step = eg.compile([X, y], [cost, eg.softmax(X, axis=1)], updates={{w: w - 0.1 * eg.grad(cost, w)}}, device="pocl")
    found = [step(np.arange(20, dtype="f").reshape(4, 5) / 20, np.ones(4, "f")) for _ in range(3)]
    loaded = sorted(m for m in sys.modules if m.startswith(("codegen.", "exprgraph.rewrite", "exprgraph.rules", "exprgraph.passes")))
    print(json.dumps([[float(a) for a, _ in found], found[0][1].tolist(), w.get_value().tolist(), step.why(), loaded]))
"""
LIGHT = {"codegen.dialect", "codegen.growth", "codegen.jobs", "codegen.kernel", "codegen.notes", "codegen.plan", "codegen.snippets",
         "codegen.switchboard", "codegen.target"}
"""Records and layouts of memory, which the runtime speaks in; no generator among them."""


def ran(script, cache, FLAGS="-Werror", **environment):
    """What a script prints in a process of its own, as JSON; its warnings are errors unless they are asked for."""
    done = processes.ran([*FLAGS.split(), "-c", textwrap.dedent(script)], EXPRGRAPH_CACHE=cache, **environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1]), done.stderr


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """A folder that one process has filled, and what that process found."""
    cache = tmp_path_factory.mktemp("cache")
    return cache, ran(SCRIPT.format(x="X"), cache)[0]


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A folder of this test's own."""
    monkeypatch.setattr(eg.config, "cache", str(tmp_path / "kept"))
    return tmp_path / "kept"


def entries(cache, kind=""):
    return sorted(e.path for e in store.files(cache) if e.path.name.endswith(store.SUFFIX) and kind in str(e.path.parent))


def test_a_second_process_finds_everything_and_loads_neither_rules_nor_generator(filled):
    cache, first = filled
    second, _ = ran(SCRIPT.format(x="X"), cache)
    assert second[:3] == first[:3]
    assert "made by this process" in first[3] and "from disk, entry" in second[3] and "made by" not in second[3]
    assert second[3].count("launch") == first[3].count("launch") > 0
    assert set(second[4]) <= LIGHT, set(second[4]) - LIGHT


def test_names_and_moved_lines_do_not_change_the_key_and_are_told_as_they_are_now(filled):
    cache, first = filled
    moved, _ = ran("\n\n\n" + SCRIPT.format(x="renamed"), cache)
    assert moved[:3] == first[:3] and "from disk" in moved[3] and "made by" not in moved[3]
    assert "renamed.shape[0]" in moved[3] and "X.shape" not in moved[3]
    old, new = (lines_of(found[3]) for found in (first, moved))
    assert old and [n + 3 for n in old] == new


def lines_of(text):
    """The numbers of the lines of a script that a report names."""
    return sorted({int(w.strip(",").split(":")[1]) for w in text.split() if w.startswith("<string>:")})


def compiled(**options):
    """A function whose kernels this process has not built yet, as far as it knows."""
    program._cache.built.clear()
    x, y = eg.vectors("x", "y")
    return eg.compile([x, y], (eg.sigmoid(x) * y).sum(), device="pocl", **options)


def value(f):
    x = np.linspace(-2, 2, 50, dtype="f")
    return float(f(x, x + 1))


def expected():
    x = np.linspace(-2, 2, 50).astype("f")
    return float((1 / (1 + np.exp(-x)) * (x + 1)).sum())


def is_hit(f):
    return "from disk" in f.why() and "made by" not in f.why()


@pytest.mark.parametrize("kind", ["graphs", "plans", "programs"])
def test_e1_an_entry_cut_at_every_64th_byte_is_mended(cache, kind):
    compiled()
    (path,) = entries(cache, kind)
    whole = path.read_bytes()
    assert is_hit(compiled())
    kept, key = store.Store(kind[:-1]), path.parent.name + path.stem
    for length in range(0, len(whole), 64):
        path.write_bytes(whole[:length])
        assert kept.get(key) is None and not path.exists(), length
    for length in range(0, len(whole), 1 + len(whole) // 20):
        path.write_bytes(whole[:length])
        f = compiled()
        np.testing.assert_allclose(value(f), expected(), rtol=1e-5)
        assert path.read_bytes() == whole, length


@pytest.mark.parametrize("kind", ["graphs", "plans", "programs"])
def test_e1_flipped_bits_foreign_and_empty_entries_are_mended(cache, kind, rng):
    compiled()
    (path,) = entries(cache, kind)
    whole = path.read_bytes()
    for place in rng.integers(0, len(whole), 20):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        np.testing.assert_allclose(value(compiled()), expected(), rtol=1e-5)
        assert path.read_bytes() == whole
    for foreign in (b"", b"\0" * 5000, b"exprgraph entry 0 x\n{}", whole.replace(b"entry 1", b"entry 2"), bytes(rng.bytes(3000))):
        path.write_bytes(foreign)
        np.testing.assert_allclose(value(compiled()), expected(), rtol=1e-5)
        assert path.read_bytes() == whole


def contents(content):
    """Contents that are sealed rightly and are not of our making, or of another version of it."""
    head, _, rest = content.partition(b"\n")
    return [b"", b"{}", b"[]\n", b"null\n" + rest, head + b"\n", head, b"\n" + rest, content[:-1],
            content.replace(b'"dims":', b'"dimms":'), content.replace(b"float32", b"float33"), content.replace(b'"sigmoid"', b'"sigmoit"'),
            content.replace(b'"Launch"', b'"Lunch"'), content.replace(b'["s",', b'["q",'), content.replace(b'"out', b'"; import os#'),
            content.replace(b":[", b":[[", 1), content.replace(b"1", b"-1", 3), content.replace(b"0", b"99999999999999999999")]


@pytest.mark.parametrize("kind", ["graphs", "plans"])
def test_e7_a_sealed_entry_of_another_making_is_a_miss(cache, kind):
    compiled()
    (path,) = entries(cache, kind)
    whole = path.read_bytes()
    content = store.verified(whole)
    assert content is not None
    tried = [c for c in contents(content) if c != content]
    assert len(tried) > 10
    for other in tried:
        path.write_bytes(store.sealed(other))
        f = compiled()
        np.testing.assert_allclose(value(f), expected(), rtol=1e-5, err_msg=repr(other[:200]))


def test_e11_keys_that_collide_do_not_meet(cache, monkeypatch):
    """Where two programs had one key, the reader would still compare what the entry is of."""
    monkeypatch.setattr(kept_plans, "name_of", lambda parts: "0" * 64)
    assert not is_hit(compiled())
    x = eg.vector("x")
    f = eg.compile([x], (eg.cos(x) * x).sum(), device="pocl")
    np.testing.assert_allclose(f(np.ones(3, "f")), 3 * np.cos(1), rtol=1e-5)
    assert not is_hit(f) and is_hit(eg.compile([x], (eg.cos(x) * x).sum(), device="pocl"))


def test_e3_e5_unfinished_files_are_no_entries_and_go_when_they_are_old(cache):
    compiled()
    (path,) = entries(cache, "plans")
    young, old = (path.parent / (store.UNFINISHED + name) for name in ("young", "old"))
    for file in (young, old):
        file.write_bytes(path.read_bytes()[:100])
    os.utime(old, (1, 1))
    assert is_hit(compiled())
    assert store.sweep(cache).gone == 1 and young.exists() and not old.exists() and path.exists()


def test_e10_entries_that_were_of_no_use_for_long_make_room(cache):
    made = [cache / "plans" / f"{k:02x}" / f"{k}{store.SUFFIX}" for k in range(20)]
    for age, path in enumerate(made):
        path.parent.mkdir(parents=True)
        path.write_bytes(b"x" * 1000)
        os.utime(path, (1e9 - age, 1e9 - age))
    assert store.sweep(cache, bound=5000) == (15, 5)
    assert [p.exists() for p in made] == [True] * 5 + [False] * 15


def test_e10_a_process_that_writes_much_looks_at_the_bound(cache, monkeypatch):
    monkeypatch.setattr(eg.config, "cache_bytes", 3000)
    monkeypatch.setattr(store, "SWEEP_SHARE", 1)
    kept = store.Store("graph")
    for k in range(12):
        kept.put(f"{k:064x}", b"x" * 1000)
    assert sum(e.size for e in store.files(cache)) < 9000


def test_e10_where_there_are_many_entries_they_are_looked_through_less_often(cache, monkeypatch):
    """A look at all entries for every so many new ones would take ever longer."""
    monkeypatch.setattr(store, "SWEEP_COUNT", 4)
    looked, sweep = [], store.sweep
    monkeypatch.setattr(store, "sweep", lambda base: looked.append(sweep(base)) or looked[-1])
    kept = store.Store("graph")
    for k in range(400):
        kept.put(f"{k:064x}", b"x")
    assert 10 < len(looked) < 30 and all(b.left >= a.left + a.left // 8 for a, b in zip(looked, looked[1:]))


def refused(words, build=compiled):
    """A function compiled with one warning that has these words."""
    store._warned.clear()
    with pytest.warns(RuntimeWarning, match=words) as told:
        f = build()
    assert len(told) == 1 and len(str(told[0].message)) < 400
    np.testing.assert_allclose(value(f), expected(), rtol=1e-5)
    return f


def stores(monkeypatch):
    """Stores that have not looked at any folder yet."""
    for kept in (kept_plans.PLANS, kept_plans.PROGRAMS, GRAPHS):
        monkeypatch.setattr(kept, "_sound", {})


@pytest.mark.parametrize("place, words", [
    ("/dev/null/x", "cannot be used: Not a directory"), ("/proc/nowhere", "cannot be used"),
    ("/x" * 3000, "cannot be used: File name too long"), ("loop", "cannot be used: File exists"),
    ("file", "cannot be used: File exists")])
def test_e8_a_folder_that_cannot_be_made_costs_a_warning(tmp_path, monkeypatch, place, words):
    os.symlink(tmp_path / "loop", tmp_path / "loop")
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(eg.config, "cache", place if place.startswith("/") else str(tmp_path / place))
    stores(monkeypatch)
    refused(words)


@pytest.mark.parametrize("name", ["with space", "ñandú-漢字", "quote'\"", "new\nline", "a" * 200])
def test_e8_folders_with_odd_names_are_used(tmp_path, monkeypatch, name):
    monkeypatch.setattr(eg.config, "cache", str(tmp_path / name))
    compiled()
    assert is_hit(compiled()) and entries(tmp_path / name)


def test_e8_without_a_home_nothing_is_kept(tmp_path):
    script = "import json, exprgraph as eg\nx = eg.vector('x')\nprint(json.dumps(float(eg.compile([x], x.sum(), device='pocl')([1, 2]))))"
    for home in ("/nonexistent", ""):
        found, told = ran(script, "", HOME=home, XDG_CACHE_HOME="", FLAGS="-Wdefault")
        assert found == 3
        assert ("nothing is kept between processes" in told) == (home != "") or os.getuid() == 0


def test_off_keeps_nothing_and_says_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(eg.config, "cache", "off")
    monkeypatch.chdir(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        compiled()
        f = compiled()
    assert not is_hit(f) and not list(tmp_path.iterdir())


@pytest.mark.parametrize("mode, owner, words", [(0o777, None, "chmod o-w"), (0o700, 12345, "belongs to another user")])
def test_e9_h5_a_folder_of_others_is_refused(cache, monkeypatch, mode, owner, words):
    cache.mkdir()
    cache.chmod(mode)
    if owner is not None:
        monkeypatch.setattr(os, "getuid", lambda: owner)
    stores(monkeypatch)
    assert not is_hit(refused(words)) and not entries(cache)


@pytest.mark.skipif(os.name != "posix", reason="needs rights of groups")
@pytest.mark.parametrize("inside", ["", "plans"])
def test_e9_h5_a_folder_that_its_group_may_write_to_is_refused(cache, monkeypatch, inside):
    """A user's own group, which has nobody else in it, is the user."""
    compiled()
    place = cache / inside
    place.chmod(0o770)
    stores(monkeypatch)
    monkeypatch.setattr(store, "alone", lambda group: True)
    assert is_hit(compiled())
    stores(monkeypatch)
    monkeypatch.setattr(store, "alone", lambda group: False)
    assert not is_hit(refused("chmod g-w"))
    place.chmod(0o700)
    stores(monkeypatch)
    assert is_hit(compiled())


@pytest.mark.parametrize("name, members, own", [("me", [], True), ("me", ["me"], True), ("me", ["me", "you"], False), ("staff", [], False)])
def test_a_group_is_ones_own_where_nobody_else_is_in_it(monkeypatch, name, members, own):
    grp, pwd = pytest.importorskip("grp"), pytest.importorskip("pwd")
    monkeypatch.setattr(pwd, "getpwuid", lambda uid: SimpleNamespace(pw_name="me"))
    monkeypatch.setattr(grp, "getgrgid", lambda gid: SimpleNamespace(gr_name=name, gr_mem=members))
    assert store.alone(7) is own
    monkeypatch.setattr(grp, "getgrgid", lambda gid: {}[gid])
    assert not store.alone(7)


def test_e9_folders_are_made_for_their_owner_alone(cache):
    before = os.umask(0o002)
    try:
        compiled()
    finally:
        os.umask(before)
    assert not [p for p in (cache, *cache.rglob("*")) if p.stat().st_mode & 0o022]


@pytest.mark.parametrize("error", [28, 122, 30, 13, 16])
def test_e8_e12_a_disk_that_is_full_or_read_only_costs_speed(cache, monkeypatch, error):
    def failing(path, content):
        raise OSError(error, os.strerror(error))
    monkeypatch.setattr(store, "written_whole", failing)
    stores(monkeypatch)
    assert not is_hit(refused(f"takes no more files: {os.strerror(error)}")) and not entries(cache)


def test_e8_a_limit_on_files_leaves_no_part_behind(tmp_path):
    """The kernel refuses to write more than so many bytes to any file: what a full disk does, for real."""
    script = """
        import json, resource, signal
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        import os, numpy as np, exprgraph as eg
        x = eg.vector("x")
        eg.compile([x], eg.sin(x).sum(), device="pocl")(np.ones(4, "f"))  # so that the driver has built it: it does not bear such a limit
        eg.config.cache = os.environ["KEPT"]
        resource.setrlimit(resource.RLIMIT_FSIZE, (300, 300))
        print(json.dumps(eg.compile([x], eg.sin(x).sum(), device="pocl")(np.ones(4, "f")).tolist()))
    """
    found, told = ran(script, "off", FLAGS="-Wdefault", KEPT=str(tmp_path))
    assert abs(found - 4 * np.sin(1)) < 1e-5 and told.count("takes no more files: File too large") == 1
    assert all(e.path.name.endswith(store.SUFFIX) and store.verified(e.path.read_bytes()) is not None for e in store.files(tmp_path))


def test_e4_eight_processes_fill_an_empty_folder_with_25_functions_each(tmp_path):
    script = """
        import json, sys
        import numpy as np, exprgraph as eg
        x = eg.vector("x")
        found = []
        for k in range(25):
            f = eg.compile([x], x * k + 1, device="pocl")
            found.append(f(np.ones(10, "f")).tolist())
        print(json.dumps(found))
    """
    settings = {**os.environ, "EXPRGRAPH_CACHE": str(tmp_path)}
    running = [subprocess.Popen([sys.executable, "-Werror", "-c", textwrap.dedent(script)], cwd=processes.ROOT, env=settings, text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(8)]
    for process in running:
        out, told = process.communicate(timeout=500)
        assert process.returncode == 0, told
        np.testing.assert_allclose(json.loads(out), [[k + 1] * 10 for k in range(25)])
    assert len(entries(tmp_path, "plans")) == 25
    assert all(store.verified(p.read_bytes()) is not None for p in entries(tmp_path))


@pytest.mark.parametrize("change, part", [
    ({"optimizer": "unsafe"}, "options"), ({"deterministic": True}, "options")])
def test_why_says_which_part_of_the_key_differed(cache, change, part):
    assert "no other plan is kept" in compiled().why()
    with eg.change_flags(**change):
        assert f"the nearest plan that is kept differs in {part}" in compiled().why()


@pytest.mark.parametrize("part, build", [
    ("constants", lambda x, y: (eg.sigmoid(x) * y * 2).sum()), ("operations", lambda x, y: (eg.tanh(x) * y).sum())])
def test_why_names_constants_and_operations(cache, part, build):
    x, y = eg.vectors("x", "y")
    eg.compile([x, y], (eg.sigmoid(x) * y * 3).sum(), device="pocl")
    assert f"differs in {part}" in eg.compile([x, y], build(x, y), device="pocl").why()


def test_e7_another_driver_is_another_key(cache, monkeypatch):
    compiled()
    monkeypatch.setattr(kept_plans, "driver_of", lambda handle: ["another"])
    assert "differs in driver" in compiled().why()
    monkeypatch.setattr("exprgraph.keys.generator", lambda: "another")
    assert "differs in generator" in compiled().why()


@pytest.mark.parametrize("make", [
    lambda x: eg.as_op(itypes=[eg.fvector], otypes=[eg.fvector])(lambda a: a * 2)(x),
    lambda x: eg.ElementwiseKernel("float *x, float *y", "y[i] = 2 * x[i]")(x)])
def test_ops_of_the_users_own_are_made_in_each_process_and_why_says_so(cache, make):
    x = eg.vector("x")
    f = eg.compile([x], make(x) + 1, device="pocl")
    assert "not kept" in f.why() and not entries(cache, "plans")
    np.testing.assert_array_equal(f(np.ones(3, "f")), 3)


SHAPES = [(4, 6), (1, 6), (4, 1), (1, 1), (0, 6), (300, 7)]


@pytest.mark.parametrize("name", ["layouts", "complex", "staged", "fault", "shared", "outputs", "constant", "no_inputs"])
def test_everything_that_is_kept_gives_the_same_results(cache, name):
    """Each program compiled twice, the second time from disk, with the arguments that make it use several plans and branches."""
    first, second = (PROGRAMS[name]() for _ in range(2))
    assert json.dumps(first) == json.dumps(second)


def _calls(f, *calls):
    found = []
    for args in calls:
        try:
            found.append([np.asarray(v).view("f" if np.iscomplexobj(v) else np.asarray(v).dtype).tolist() for v in f(*args)])
        except (ValueError, IndexError) as error:
            found.append(f"{type(error).__name__}: {error}")
    return found


def _layouts():
    x, y = eg.matrices("x", "y")
    f = eg.compile([x, y], [x * y + 1, eg.softmax(x, axis=1), (x - y).sum(axis=0)], device="pocl")
    arrays = [np.ones(s, "f") * 2 for s in SHAPES]
    return _calls(f, *[(a, arrays[0]) for a in arrays], (arrays[0][:, ::2], arrays[0][:, ::2]), (arrays[0].T, arrays[0].T),
                  (arrays[5], arrays[5]))


def _complex():
    z = eg.tensor("z", "complex64", (None,))
    f = eg.compile([z], [eg.exp(z) * z.conj(), abs(z)], device="pocl")
    return _calls(f, (np.complex64([1 + 2j, 3]),), (np.zeros(0, "complex64"),))


def _staged():
    x = eg.vector("x")
    f = eg.compile([x], [x[x > 0] * 2, eg.unique(eg.cast(x, "int32"))], device="pocl")
    return _calls(f, (np.float32([1, -1, 2, 2]),), (np.zeros(0, "f"),))


def _fault():
    x, i = eg.vector("x"), eg.ivector("i")
    f = eg.compile([x, i], [x[i] + 1], device="pocl")
    return _calls(f, (np.ones(3, "f"), np.int32([0, 2])), (np.ones(3, "f"), np.int32([0, 3])), (np.ones(3, "f"), np.int32([-3])))


def _shared():
    w = eg.shared(np.ones(4, "f"), name="w")
    x = eg.vector("x")
    f = eg.compile([x], [(w * x).sum()], updates={w: w + x}, device="pocl")
    return _calls(f, (np.ones(4, "f"),), (np.ones(1, "f"),), (np.ones(3, "f"),)) + w.get_value().tolist()


def _outputs():
    x = eg.vector("x")
    f = eg.compile([x], [x, x, x * 2, x.shape[0]], device="pocl")
    return _calls(f, (np.ones(4, "f"),), (np.ones(0, "f"),))


def _constant():
    x = eg.vector("x")
    f = eg.compile([x], [x * eg.constant(np.arange(5, dtype="f")), eg.constant(np.float64(2.5)) + 0 * x.sum()], device="pocl")
    return _calls(f, (np.ones(5, "f"),), (np.ones(4, "f"),))


def _no_inputs():
    return _calls(eg.compile([], [eg.arange(5) * 2], device="pocl"), ())


PROGRAMS = {"layouts": _layouts, "complex": _complex, "staged": _staged, "fault": _fault, "shared": _shared, "outputs": _outputs,
            "constant": _constant, "no_inputs": _no_inputs}


def test_why_of_a_plan_from_disk_whose_nodes_have_lines_of_ours(cache):
    """Rules make nodes on lines that no user's node has; what speaks of them is read back without."""
    x = eg.matrix("x")
    made = eg.softmax(eg.log(x) * 2, axis=1).sum(axis=0)
    first, second = [eg.compile([x], made, device="pocl") for _ in range(2)]
    for f in (first, second):
        f(np.ones((1000, 1000), "f"))
    assert "from disk" in second.why() and "# k_" in second.why() and "//" in second.source()
