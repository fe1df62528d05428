"""Forms of a plan are timed after many calls, the fastest is taken, and that is remembered on disk, whatever lies there."""
import json

import numpy as np
import pytest

import exprgraph as eg
from runtime import choices, device

pytestmark = pytest.mark.skipif(device.choose("pocl").sibling is None, reason="there is no memory shared with NumPy")


@pytest.fixture
def folder(monkeypatch, tmp_path):
    """A folder of its own, and few calls before forms are timed."""
    monkeypatch.setattr(eg.config, "cache", str(tmp_path / "own"))
    monkeypatch.setattr(choices, "_known", {})
    monkeypatch.setattr(choices, "OFTEN", (4, 6))
    return tmp_path / "own"


def forced(monkeypatch, form):
    """Let a form be found to be the fastest; the list of what was asked."""
    asked = []

    def fastest(runs, current):
        for run in runs:
            run()
        asked.append((len(runs), current))
        return form
    monkeypatch.setattr(choices, "fastest", fastest)
    return asked


def product():
    """A product with a map after it, whose plan has several forms, and values."""
    x, w = eg.matrix("x"), eg.matrix("w")
    rng = np.random.default_rng(3)
    values = rng.standard_normal((300, 200)).astype("f"), rng.standard_normal((200, 310)).astype("f")
    return (lambda: eg.compile([x, w], eg.relu(x @ w) + 1, device="pocl")), values, np.maximum(values[0] @ values[1], 0) + 1


def called(f):
    """Whether the function calls NumPy for the product with its latest sizes."""
    bound, = f._run._bounds.values()
    return any(type(a).__name__ == "FunctionCall" for a in bound.actions) if f._run.quick is bound.quick else None


@pytest.mark.parametrize("form", [0, 1])
def test_the_form_that_was_the_fastest_is_taken(form, folder, monkeypatch):
    make, values, wanted = product()
    asked, seen = forced(monkeypatch, form), []
    f = make()
    for _ in range(8):
        np.testing.assert_allclose(f(*values), wanted, rtol=1e-5, atol=1e-4)
        seen.append(len(asked))
    assert seen == [0, 0, 0, 1, 1, 1, 1, 1] and asked[0][0] == 2
    expected = bool(f._run._bounds) and called(f)
    again = make()
    np.testing.assert_allclose(again(*values), wanted, rtol=1e-5, atol=1e-4)
    assert len(asked) == 1 and called(again) == expected
    file, = folder.glob("choices-*")
    assert list(json.loads(file.read_text()).values()) == [form]
    monkeypatch.setattr(choices, "_known", {})  # as another process finds it
    third = make()
    for _ in range(6):
        np.testing.assert_allclose(third(*values), wanted, rtol=1e-5, atol=1e-4)
    assert len(asked) == 1 and called(third) == expected


def test_the_two_forms_are_a_call_and_kernels(folder, monkeypatch):
    found = set()
    for form in (0, 1):
        monkeypatch.setattr(choices, "_known", {})
        forced(monkeypatch, form)
        make, values, _ = product()
        for file in folder.glob("choices-*"):
            file.unlink()
        f = make()
        for _ in range(6):
            f(*values)
        found.add(called(f))
    assert found == {False, True}


@pytest.mark.parametrize("content", ["", "{", "[1, 2]", '{"a": "b"}', "null", '{"a": 99}', "\x00\x01"])
def test_whatever_lies_in_the_file(content, folder, monkeypatch):
    folder.mkdir()
    choices.file_of(device.choose("pocl")).write_text(content)
    asked = forced(monkeypatch, 0)
    make, values, wanted = product()
    f = make()
    for _ in range(5):
        np.testing.assert_allclose(f(*values), wanted, rtol=1e-5, atol=1e-4)
    assert len(asked) == 1 and 0 in json.loads(choices.file_of(device.choose("pocl")).read_text()).values()


def test_a_choice_that_is_no_form_is_none(folder):
    found = device.choose("pocl")
    choices.remember(found, "a", 7)
    assert choices.recall(found, "a", 2) is None and choices.recall(found, "a", 8) == 7 and choices.recall(found, "b", 8) is None


def test_a_folder_that_cannot_be_written_costs_time_only(folder, monkeypatch):
    folder.write_text("a file where the folder should be")
    asked = forced(monkeypatch, 1)
    make, values, wanted = product()
    f = make()
    for _ in range(6):
        np.testing.assert_allclose(f(*values), wanted, rtol=1e-5, atol=1e-4)
    assert len(asked) == 1 and folder.read_text().startswith("a file")


def test_small_calls_and_deterministic_ones_are_not_timed(folder, monkeypatch):
    asked = forced(monkeypatch, 0)
    make, values, _ = product()
    small, f = [v[:20, :20].copy() for v in values], make()
    for _ in range(6):
        f(*small)
    with eg.change_flags(deterministic=True):
        g = make()
        for _ in range(6):
            g(*values)
    assert not asked


def test_results_in_the_workspace_are_those_of_the_call(folder, monkeypatch):
    """Forms are timed after a call has its results, which may lie where other forms work."""
    forced(monkeypatch, 1)
    x, w = eg.matrix("x"), eg.matrix("w")
    rng = np.random.default_rng(3)
    values = rng.standard_normal((300, 200)).astype("f"), rng.standard_normal((200, 310)).astype("f")
    hidden = eg.relu(x @ w)
    f = eg.compile([x, w], [hidden.T, hidden.sum(axis=0), hidden], device="pocl")
    plain = np.maximum(values[0] @ values[1], 0)
    for _ in range(6):
        for found, wanted in zip(f(*values), (plain.T, plain.sum(axis=0), plain)):
            np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-3)


def test_the_fastest_is_found_and_must_gain_by_it(monkeypatch):
    times = {}

    def forms(*seconds):
        def timed(run):
            return times[run]
        runs = [object() for _ in seconds]
        times.update({run: s if isinstance(s, tuple) else (s, s) for run, s in zip(runs, seconds)})
        monkeypatch.setattr(choices, "_timed", timed)
        return runs
    assert choices.fastest(forms(4, 1), 0) == 1 and choices.fastest(forms(1, 4), 0) == 0
    assert choices.fastest(forms(4, 3.9, 1), 1) == 2 and choices.fastest(forms(4, 3.9), 0) == 0
    assert choices.fastest(forms(4, (1, 2)), 0) is None and choices.fastest(forms((2, 4), 1), 0) is None


def test_the_later_half_of_the_runs_counts(monkeypatch):
    clock = iter(range(10_000))
    monkeypatch.setattr(choices.time, "perf_counter", lambda: next(clock))
    monkeypatch.setattr(choices, "SECONDS", 0)
    seen = []
    assert choices._timed(lambda: seen.append(1)) == (1, 1) and len(seen) == choices.RUNS


def test_where_the_machine_is_not_quiet_it_is_tried_again(folder, monkeypatch):
    answers, asked = [None, 1], []

    def fastest(runs, current):
        asked.append(current)
        return answers[len(asked) - 1]
    monkeypatch.setattr(choices, "fastest", fastest)
    make, values, wanted = product()
    f = make()
    for k in range(9):
        np.testing.assert_allclose(f(*values), wanted, rtol=1e-5, atol=1e-4)
        assert len(asked) == (k >= 3) + (k >= 5)
    assert len(list(folder.glob("choices-*"))) == 1


def test_sizes_of_one_class_have_one_choice():
    def name(shape, forms=2):
        return choices.name_of([], forms, [shape])
    assert name((300, 200)) == name((511, 130)) != name((512, 200)) and name((300, 200)) != name((300, 200), 3)


@pytest.mark.parametrize("shape", [(8, 60_000), (1, 70_000)])
def test_a_rehearsal_decides_nothing(shape, folder, monkeypatch):
    """Where the least sizes are those of calls: they take the form that sizes pick, and are timed, as with any sizes."""
    asked = forced(monkeypatch, 1)
    x, value = eg.tensor("x", "float32", shape), np.random.default_rng(2).standard_normal(shape).astype("f")
    outputs = [eg.softmax(x, axis=1).sum(axis=0), (x * eg.sin(x)).sum(axis=1)]
    with eg.change_flags(deterministic=True):
        sure = eg.compile([x], outputs, device="pocl")
    first = sure(value)
    sure._run.free()
    for one, other in zip(first, sure(value)):
        np.testing.assert_array_equal(one, other)
    f = eg.compile([x], outputs, device="pocl")
    prepared, = f._run.plans.values()
    for _ in range(8):
        f(value)
    assert len(asked) == bool(prepared.forms)


def test_choices_are_those_of_one_expression(folder):
    """The first forms of these differ in what NumPy multiplies only."""
    names = set()
    for second in (lambda w: w, lambda w: w.T):
        x, w = eg.matrix("x"), eg.matrix("w")
        f = eg.compile([x, w], eg.relu((x * 2) @ second(w) + 1), device="pocl")
        prepared, = f._run.plans.values()
        names.add(f._run._form(prepared, [(512, 512), (512, 512)])[1])
    assert len(names) == 2 and None not in names


def logistic(x, w):
    """The gradient of a cross-entropy in w."""
    return eg.grad(eg.softplus(x @ w).mean() + 0.01 * (w**2).sum(), w)


GRAPHS = {
    "product with a vector": (("matrix", "vector"), lambda x, w: x @ w),
    "turned product with a vector": (("matrix", "vector"), lambda x, w: (x @ w) @ x),
    "gradient of a regression": (("matrix", "vector"), logistic),
    "sums of normalised rows": (("matrix", "vector"), lambda x, w: [eg.softmax(x, axis=1).sum(axis=0), x @ w]),
    "product and maps": (("matrix", "matrix"), lambda x, w: eg.relu((x * 2) @ w + 1)),
    "two products": (("matrix", "matrix"), lambda x, w: eg.tanh(x @ w) @ w.T)}


@pytest.mark.parametrize("name", GRAPHS)
@pytest.mark.parametrize("rows, columns", [(1, 70_000), (70_000, 1), (3, 30_000), (30_000, 3), (257, 300), (800, 800), (65, 1025)])
def test_every_form_is_right_for_all_sizes(name, rows, columns, monkeypatch):
    """Whatever the times, a form that is taken gives the results of the others."""
    kinds, make = GRAPHS[name]
    x, w = (getattr(eg, kind)() for kind in kinds)
    rng = np.random.default_rng([rows, columns])
    value = rng.standard_normal((rows, columns)).astype("f")
    other = (rng.standard_normal((columns,) if kinds[1] == "vector" else (columns, 5)) / np.sqrt(columns)).astype("f")
    f, oracle = (eg.compile([x, w], make(x, w), device=d) for d in ("pocl", "numpy"))
    wanted = oracle(value, other)
    tried = 0
    for form in range(4):
        monkeypatch.setattr(choices, "recall", lambda device, name, forms, form=form: form if form < forms else None)
        f._run._bounds.clear(), f._run._recent.clear()
        f._run.quick = lambda *args, **options: None
        free = next(iter(f._run.plans.values())).free
        tried += free is not None and form < len(free.variants)
        for one, expected in zip(*([r] if isinstance(r, np.ndarray) else r for r in (f(value, other), wanted))):
            np.testing.assert_allclose(one, expected, rtol=2e-4, atol=2e-4 * max(1, np.abs(expected).max()))
    assert tried == len(free.variants) >= 2
