"""What ``import gradproof`` takes on top of ``import numpy``, and what ``gradproof --help`` takes in all.

The decision it rests on: each measurement is a fresh interpreter that imports NumPy first, and then gradproof alone
is timed, with bytecode at hand as for anything installed. What counts is the processor's time and not the clock's,
since on a busy machine the clock measures the others; the least of many runs is the one that was disturbed least.
"""

import os
import resource
import statistics
import subprocess
import sys
import tempfile

from running import arguments, table, write

FOREIGN = ("rich", "scipy", "torch", "jax", "tensorflow", "keras", "matplotlib", "pytest")

PROGRAM = f"""
import sys, time
start = time.process_time()
import numpy
between = time.process_time()
import gradproof
end = time.process_time()
loaded = [name for name in {FOREIGN!r} if name in sys.modules]
print(between - start, end - between, ",".join(loaded) or "none")
"""


HELP = "import sys; sys.argv[1:] = ['--help']; from gradproof._cli.main import run; run()"


def surroundings(bytecode: str) -> dict[str, str]:
    """The environment of an interpreter that has its bytecode."""
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": bytecode}
    # Where it is set, every module is compiled anew in each run, which no user of an installed package pays for.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    return environment


def helped(bytecode: str) -> float:
    """Seconds of the processor that ``gradproof --help`` takes, the interpreter's own start among them."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", HELP], check=True, capture_output=True, env=surroundings(bytecode))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measured(bytecode: str) -> tuple[float, float, str]:
    """Seconds of NumPy, further seconds of gradproof, and what it loaded that it should not."""
    environment = surroundings(bytecode)
    done = subprocess.run([sys.executable, "-c", PROGRAM], check=True, capture_output=True, text=True, env=environment)
    numpy_seconds, ours, loaded = done.stdout.split()
    return float(numpy_seconds), float(ours), loaded


def main() -> int:
    settings = arguments(__doc__ or "").parse_args()
    with tempfile.TemporaryDirectory() as bytecode:
        # The first run writes the bytecode.
        runs = [measured(bytecode) for _ in range(6 if settings.short else 31)][1:]
        help_ms = [1000 * helped(bytecode) for _ in range(6 if settings.short else 31)][1:]
    numpy_ms, ours_ms = [1000 * run[0] for run in runs], [1000 * run[1] for run in runs]
    loaded = runs[0][2]
    table(
        "Start, milliseconds of the processor",
        ["what", "least", "median"],
        [
            ["import numpy", min(numpy_ms), statistics.median(numpy_ms)],
            ["import gradproof after it", min(ours_ms), statistics.median(ours_ms)],
            ["gradproof --help, in all", min(help_ms), statistics.median(help_ms)],
        ],
    )
    print(f"\nframeworks loaded by it: {loaded}")
    results = {"numpy_ms": numpy_ms, "gradproof_ms": ours_ms, "help_ms": help_ms, "loaded": loaded}
    write(settings.json, "import_time", settings, results)
    return 0 if loaded == "none" else 1


if __name__ == "__main__":
    raise SystemExit(main())
