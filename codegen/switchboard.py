"""The switchboard: functions, written once for all plans, that look at Python's arguments and call jobs (`codegen.jobs`).

A *recipe* is a record of 64-bit words that says what a call is like: what each argument has to be, where the jobs lie and which of
their arguments come from the call.  `eg_call` has the form of a function of CPython that takes positional arguments; its first
argument is the NumPy array that holds the recipe.  It calls nothing of Python's, so that, under the lock of the interpreter, nothing
happens between its first and its last step; a recipe of long jobs lets go of that lock, so who calls it holds another one.

The *helpers* are threads of the device that stand by for a while after a job, so that they need not be woken for the next one.  Each has
a line in the *box*, a state and a job, and all changes of a state are atomic.

* Who has a job claims an open line and posts the job in it (open -> claimed -> posted).  The helper takes it and opens the line when it is
  through (posted -> taken -> open); where it has not come by the end, who has posted the job withdraws it (posted -> open).  So when
  `eg_call` returns, no line holds a job of its own.
* A helper that has waited in vain closes its line and ends (open -> closed), unless somebody is about to post a job.
* Who finds a closed line opens it and returns, for Python to wake the helpers (closed -> open); what is posted before they come
  waits for them or is withdrawn.  A helper that starts opens its line too.  An open line need not have a helper: when jobs have been
  withdrawn many times running, lines are closed (open -> closed), so that helpers are woken again.
"""
from __future__ import annotations

from codegen import jobs

CALL, SURE, HELP = "eg_call", "eg_sure", "eg_help"
OBJECTS = {"TYPE": 8, "DATA": 16, "AXES": 24, "SHAPE": 32, "STRIDES": 40, "DTYPE": 56, "FLAGS": 64, "NUMBER": 16, "ORDER": 26,
           "VALUE": 16}
"""Where the fields of CPython's and NumPy's objects lie, in bytes: the type of any object; the fields of an array; the type of a dtype's
scalars and the order of its bytes; the value of a float or of a NumPy scalar."""
IN_ORDER, ALIGNED = 1, 0x100
"""Flags of an array."""
DONE, REFUSED, ASLEEP, BUSY, FAULT = range(5)
"""What a call can come to: an argument is not like the recipe; the helpers are to be woken first; the workspace is in use or too small;
a kernel has found a fault."""
RECIPE = {"COUNT": 0, "GATE": 1, "BOX": 2, "HELPERS": 3, "SPACE": 4, "ROOM": 5, "HELD": 6, "FAULTS": 7, "ARRAY": 8, "FLOAT": 9,
          "LAUNCHES": 10, "FIRST": 11, "COSTLY": 12, "LETS_GO": 13, "COMES_BACK": 14, "RESULTS": 15, "SEEN": 20,
          "LEAVES": 24}
"""Words of a recipe.  COUNT: of arguments.  GATE: the address of a word that is zero while calls may be made.  BOX, HELPERS: the address
of the box and its lines.  SPACE: the address of three words (whether the workspace is in use, its address, its bytes) or 0; ROOM: the
bytes of it that are needed; HELD: whether it is the caller who uses it.  FAULTS: the address of four words that kernels report faults in,
or 0.  ARRAY, FLOAT: the types of arrays and floats.  LAUNCHES: how many; FIRST: the word where they begin; COSTLY: the cost of the
largest one that can be shared.  LETS_GO, COMES_BACK: functions of CPython's that give its lock away and take it again, or 0.  RESULTS:
an object to return for each of the above.  SEEN: the fault.  LEAVES: where arguments begin."""
ANY, COMPACT, STRIDED = range(3)
LEAF = {"KIND": 0, "OF": 1, "NUMBER": 2, "BYTES": 3, "EXACTLY": 4, "IS": 5, "POINTER": 6, "OWN": 7, "RANK": 8, "EXTENTS": 9}
"""Words of an argument.  KIND: one of the above, where ANY is an array that is not looked at.  OF: its dtype.  NUMBER: the type of its
scalars; BYTES: of an element, with the sign - where a float will do.  EXACTLY: whether its first
element has to be IS.  POINTER: to what was found; OWN: room for a number.  RANK; EXTENTS: the shape and then the strides in bytes."""
LAUNCH = {"JOB": 0, "COST": 1, "POINTERS": 2, "SET": 3}
"""Words of a launch.  JOB: the address of its record.  COST: picoseconds of work if it can be shared, else 0.  POINTERS: how many there
are to set.  SET: for each of them the word of the job and the word of the recipe, or -1 - an offset in the workspace."""
MISSES = 64
"""Jobs in a row that no helper came for, after which helpers are woken again."""
PLAIN_MODE = 0x1f80
"""The processor's mode for floats that kernels expect: no exceptions, denormals as they are, to the nearest."""
CLOSED, OPEN, CLAIMED, POSTED, TAKEN = range(5)
BOX = {"STOP": 0, "LAST": 1, "DOUBT": 2, "MISSED": 3, "WEIGHT": 4, "LIMITS": 8, "FIRST": 24, "LINE": 8, "TASK": 1}
"""Words of the box: whether helpers are to end; when a job was shared last; until when helpers are not asked; how many jobs in a row no
helper came for; how many times as long as they were waited for helpers were not asked last time; the limits below; the first helper's
line, and the length of each; in it the job."""
LIMITS = {"STAYS": 1 << 17, "PATIENCE": 1 << 18, "SOON": 1 << 19, "MOST": 1 << 30, "AGAIN": 1 << 26, "REGRET": 16,
          "HELPED": 4_000_000, "WOKEN": 25_000_000, "LONELY": 20_000_000_000}
"""In ticks of the clock, some 0.3 to 0.5 ns each: for how long a helper stands by; how long the caller, beside the time for a work-item,
looks whether a helper is through before it gives its core away; within which time a second job makes it worth while to wake helpers.
Helpers that have lost their cores to somebody else are not asked for as long as the caller has waited for them, and for twice as long
each time if that happens again so soon after (AGAIN), up to REGRET times as long, for MOST at most.  In picoseconds of work: from where on
helpers that stand by are asked; from where on they are woken for one job; from where on they are asked although they have lost their
cores."""

_TOOLS = r"""
#pragma OPENCL EXTENSION cl_khr_fp64 : enable
typedef __global long *words;
typedef volatile __global int *flag;
#define AT(type, address) (*(volatile __global type *)(address))
#define TOOL static inline __attribute__((always_inline))

#ifdef __AVX512F__
#define MORE , "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm24", "xmm25", "xmm26", "xmm27", "xmm28", \
    "xmm29", "xmm30", "xmm31", "k0", "k1", "k2", "k3", "k4", "k5", "k6", "k7"
#else
#define MORE
#endif

TOOL long invoke(long code, long argument)
{
    __asm__ volatile(
        "movq %%rsp, %%rbx\n\tsubq $256, %%rsp\n\tandq $-64, %%rsp\n\tcall *%0\n\tmovq %%rbx, %%rsp"
        : "+a"(code), "+D"(argument) :
        : "rbx", "rcx", "rdx", "rsi", "r8", "r9", "r10", "r11", "cc", "memory", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6",
          "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15" MORE);
    return code;
}

TOOL void run(words record) { invoke(record[JOB_CODE], (long)record); }

TOOL long ticks()
{
    ulong low, high;
    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    return (long)(high << 32 | low);
}

TOOL void rest() { __asm__ volatile("pause"); }

TOOL void yield_core()
{
    long call = 24;
    __asm__ volatile("syscall" : "+a"(call) : : "rcx", "r11", "memory");
}
"""

_FITS = r"""
TOOL bool number_fits(words recipe, words leaf, long object)
{
    const long type = AT(long, object + OBJECT_TYPE);
    leaf[LEAF_POINTER] = object + OBJECT_VALUE;
    if (leaf[LEAF_RANK] != 0) return false;
    if (type == leaf[LEAF_NUMBER]) return true;
    if (type != recipe[RECIPE_FLOAT] || leaf[LEAF_BYTES] >= 0) return false;
    const double value = AT(double, object + OBJECT_VALUE);
    if (leaf[LEAF_BYTES] == -8) return value - value == 0;
    if (!(value > -3e38 && value < 3e38)) return false;
    AT(float, leaf + LEAF_OWN) = (float)value;
    leaf[LEAF_POINTER] = (long)(leaf + LEAF_OWN);
    return true;
}

TOOL bool array_fits(words leaf, long object)
{
    const long rank = leaf[LEAF_RANK], wanted = leaf[LEAF_KIND] == COMPACT ? ALIGNED | IN_ORDER : ALIGNED;
    const long dtype = AT(long, object + OBJECT_DTYPE);
    if (AT(int, object + OBJECT_AXES) != rank) return false;
    if (dtype != leaf[LEAF_OF] && (AT(long, dtype + OBJECT_NUMBER) != leaf[LEAF_NUMBER] || AT(char, dtype + OBJECT_ORDER) != ORDER))
        return false;
    if ((AT(int, object + OBJECT_FLAGS) & wanted) != wanted) return false;
    words shape = (words)AT(long, object + OBJECT_SHAPE), strides = (words)AT(long, object + OBJECT_STRIDES);
    for (long k = 0; k < rank; ++k) {
        if (shape[k] != leaf[LEAF_EXTENTS + k]) return false;
        if (leaf[LEAF_KIND] == STRIDED && strides[k] != leaf[LEAF_EXTENTS + rank + k]) return false;
    }
    return true;
}

TOOL bool fits(words recipe, words leaf, long object)
{
    if (AT(long, object + OBJECT_TYPE) == recipe[RECIPE_ARRAY]) {
        if (!array_fits(leaf, object)) return false;
        leaf[LEAF_POINTER] = AT(long, object + OBJECT_DATA);
    } else if (!number_fits(recipe, leaf, object)) return false;
    if (leaf[LEAF_EXACTLY])
        for (long k = 0; k < leaf[LEAF_BYTES]; ++k)
            if (AT(char, leaf[LEAF_POINTER] + k) != AT(char, (long)(leaf + LEAF_IS) + k)) return false;
    return true;
}
"""

_SHARE = r"""
TOOL bool asked(words box, long cost)
{
    const long left = box[BOX_DOUBT] - ticks();
    return cost >= box[LIMIT_LONELY] || left < 0 || left > box[LIMIT_MOST];
}

TOOL void turn_all(words box, long helpers, int from, int to)
{
    for (long k = 0; k < helpers; ++k) atomic_cmpxchg((flag)(box + BOX_FIRST + k * BOX_LINE), from, to);
}

TOOL bool to_be_woken(words box, long helpers, long cost)
{
    if (cost < box[LIMIT_HELPED]) return false;
    const long now = ticks(), since = now - box[BOX_LAST];
    box[BOX_LAST] = now;
    const bool worth = cost >= box[LIMIT_WOKEN] || (since > 0 && since < box[LIMIT_SOON]);
    if (AT(int, box + BOX_FIRST) != CLOSED || !worth || !asked(box, cost)) return false;
    turn_all(box, helpers, CLOSED, OPEN);
    return true;
}

TOOL bool works_on(words line, words record) { return AT(int, line) == TAKEN && AT(long, line + BOX_TASK) == (long)record; }

TOOL void wait_for(words box, words line, words record, long patience)
{
    const long from = ticks();
    for (long gone = 0; works_on(line, record) && gone >= 0 && gone < patience; gone = ticks() - from) rest();
    if (!works_on(line, record)) return;
    while (works_on(line, record)) yield_core();
    const long now = ticks(), asked_for = from - box[BOX_DOUBT];
    const bool soon = asked_for >= 0 && asked_for < box[LIMIT_AGAIN];
    box[BOX_WEIGHT] = soon ? min(2 * box[BOX_WEIGHT], box[LIMIT_REGRET]) : 1;
    box[BOX_DOUBT] = now + min(box[BOX_WEIGHT] * (now - from), box[LIMIT_MOST]);
}

TOOL void share(words box, long helpers, words record, long cost)
{
    ulong mine = 0;
    bool came = false;
    helpers = min(min(helpers, record[JOB_TOTAL] - 1), 64L);
    for (long k = 0; k < helpers; ++k) {
        words line = box + BOX_FIRST + k * BOX_LINE;
        if (atomic_cmpxchg((flag)line, OPEN, CLAIMED) != OPEN) continue;
        line[BOX_TASK] = (long)record;
        atomic_xchg((flag)line, POSTED);
        mine |= 1UL << k;
    }
    run(record);
    for (long k = 0; k < helpers; ++k) {
        words line = box + BOX_FIRST + k * BOX_LINE;
        if (!(mine >> k & 1) || atomic_cmpxchg((flag)line, POSTED, OPEN) == POSTED) continue;
        wait_for(box, line, record, box[LIMIT_PATIENCE] + cost / record[JOB_TOTAL] / 128);
        came = true;
    }
    box[BOX_LAST] = ticks();
    box[BOX_MISSED] = came ? 0 : box[BOX_MISSED] + 1;
    if (box[BOX_MISSED] < MISSES) return;
    box[BOX_MISSED] = 0;
    turn_all(box, helpers, OPEN, CLOSED);
}

__kernel void eg_help(__global long *box)
{
    words line = box + BOX_FIRST + get_global_id(0) * BOX_LINE;
    atomic_cmpxchg((flag)line, CLOSED, OPEN);
    do {
        long from = ticks();
        do {
            if (AT(int, line) == POSTED && atomic_cmpxchg((flag)line, POSTED, TAKEN) == POSTED) {
                run((words)AT(long, line + BOX_TASK));
                atomic_xchg((flag)line, OPEN);
                from = ticks();
            }
            rest();
        } while ((ulong)(ticks() - from) < box[LIMIT_STAYS] && !AT(int, box + BOX_STOP));
    } while (atomic_cmpxchg((flag)line, OPEN, CLOSED) > OPEN);
}
"""

_CALL = r"""
TOOL bool faulted(words recipe)
{
    words found = (words)recipe[RECIPE_FAULTS];
    if (!found || !found[0]) return false;
    for (int k = 0; k < 4; ++k) {
        recipe[RECIPE_SEEN + k] = found[k];
        found[k] = 0;
    }
    return true;
}

TOOL uint mode()
{
    uint found;
    __asm__ volatile("stmxcsr %0" : "=m"(found));
    return found;
}

TOOL void set_mode(uint wanted) { __asm__ volatile("ldmxcsr %0" : : "m"(wanted)); }

TOOL void launch_all(words recipe, words space)
{
    words box = (words)recipe[RECIPE_BOX], launch = recipe + recipe[RECIPE_FIRST];
    for (long count = recipe[RECIPE_LAUNCHES]; count > 0; --count) {
        words record = (words)launch[LAUNCH_JOB], set = launch + LAUNCH_SET, end = set + 2 * launch[LAUNCH_POINTERS];
        const long cost = launch[LAUNCH_COST];
        for (; set < end; set += 2) record[set[0]] = set[1] < 0 ? space[1] - 1 - set[1] : recipe[set[1]];
        record[JOB_TURN] = 0;
        if (cost && cost >= box[LIMIT_HELPED] && asked(box, cost)) share(box, recipe[RECIPE_HELPERS], record, cost);
        else run(record);
        launch = end;
    }
}

static __attribute__((noinline)) long outcome(words recipe, __global long *objects, long count, int sure)
{
    if (count != recipe[RECIPE_COUNT] || AT(int, recipe[RECIPE_GATE])) return REFUSED;
    words leaf = recipe + RECIPE_LEAVES, space = (words)recipe[RECIPE_SPACE];
    for (long k = 0; k < count; ++k, leaf += LEAF_EXTENTS + 2 * leaf[LEAF_RANK]) {
        if (leaf[LEAF_KIND] != ANY && !(sure && AT(long, objects[k] + OBJECT_TYPE) == recipe[RECIPE_ARRAY])) {
            if (!fits(recipe, leaf, objects[k])) return REFUSED;
        } else leaf[LEAF_POINTER] = AT(long, objects[k] + OBJECT_DATA);
    }
    if (space && ((space[0] && !recipe[RECIPE_HELD]) || space[2] < recipe[RECIPE_ROOM])) return BUSY;
    if (recipe[RECIPE_COSTLY] && to_be_woken((words)recipe[RECIPE_BOX], recipe[RECIPE_HELPERS], recipe[RECIPE_COSTLY])) return ASLEEP;
    const long state = recipe[RECIPE_LETS_GO] ? invoke(recipe[RECIPE_LETS_GO], 0) : 0;
    const uint own = mode();
    if ((own ^ PLAIN_MODE) & ~RAISED) set_mode(PLAIN_MODE);
    launch_all(recipe, space);
    if ((own ^ PLAIN_MODE) & ~RAISED) set_mode(own);
    if (recipe[RECIPE_LETS_GO]) invoke(recipe[RECIPE_COMES_BACK], state);
    return faulted(recipe) ? FAULT : DONE;
}

TOOL long answer(long self, long objects, long count, int sure)
{
    __asm__ volatile("" : "+r"(self), "+r"(objects), "+r"(count));
    words recipe = (words)AT(long, self + OBJECT_DATA);
    const long result = recipe[RECIPE_RESULTS + outcome(recipe, (words)objects, count, sure)];
    AT(long, result) += 1;
    return result;
}

__attribute__((noinline)) long eg_call(long self, long objects, long count) { return answer(self, objects, count, 0); }

__attribute__((noinline)) long eg_sure(long self, long objects, long count) { return answer(self, objects, count, 1); }
"""

_DOOR = r"""
__kernel void eg_door(__global long *found, const int run)
{
    long call, sure;
    if (run) found[2] = eg_call(found[2], found[3], found[4]) + eg_sure(found[2], found[3], found[4]);
    __asm__ volatile("lea eg_call(%%rip), %0" : "=r"(call));
    __asm__ volatile("lea eg_sure(%%rip), %0" : "=r"(sure));
    found[0] = call;
    found[1] = sure;
}
"""


def source() -> str:
    """The program: `eg_call`; `eg_sure`, which does not look at its arguments; the door that tells their addresses; the helpers."""
    words = {"OBJECT": OBJECTS, "RECIPE": RECIPE, "LEAF": LEAF, "LAUNCH": LAUNCH, "BOX": BOX,
             "LIMIT": {name: BOX["LIMITS"] + k for k, name in enumerate(LIMITS)},
             "JOB": {"CODE": jobs.CODE, "TOTAL": jobs.TOTAL, "TURN": jobs.TURN}}
    known = {f"{record}_{name}": at for record, names in words.items() for name, at in names.items()}
    known |= {"IN_ORDER": IN_ORDER, "ALIGNED": ALIGNED, "ANY": ANY, "COMPACT": COMPACT, "STRIDED": STRIDED}
    known |= {"DONE": DONE, "REFUSED": REFUSED, "ASLEEP": ASLEEP, "BUSY": BUSY, "FAULT": FAULT}
    known |= {"MISSES": MISSES, "PLAIN_MODE": PLAIN_MODE, "RAISED": 0x3f, "ORDER": ord("=")}
    known |= {"CLOSED": CLOSED, "OPEN": OPEN, "CLAIMED": CLAIMED, "POSTED": POSTED, "TAKEN": TAKEN}
    return "\n".join([*(f"#define {name} {value}" for name, value in known.items()), _TOOLS, _FITS, _SHARE, _CALL, _DOOR])
