"""What ``import gradproof`` takes on top of ``import numpy``.

The decision it rests on: each measurement is a fresh interpreter that imports NumPy first, and then gradproof alone
is timed, with bytecode at hand as for anything installed; the least of many runs is the one that nothing disturbed.
"""

import os
import statistics
import subprocess
import sys
import tempfile

from running import arguments, table, write

FOREIGN = ("rich", "scipy", "torch", "jax", "tensorflow", "keras", "matplotlib", "pytest")

PROGRAM = f"""
import sys, time
start = time.perf_counter()
import numpy
between = time.perf_counter()
import gradproof
end = time.perf_counter()
loaded = [name for name in {FOREIGN!r} if name in sys.modules]
print(between - start, end - between, ",".join(loaded) or "none")
"""


def measured(bytecode: str) -> tuple[float, float, str]:
    """Seconds of NumPy, further seconds of gradproof, and what it loaded that it should not."""
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": bytecode}
    # Where it is set, every module is compiled anew in each run, which no user of an installed package pays for.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    done = subprocess.run([sys.executable, "-c", PROGRAM], check=True, capture_output=True, text=True, env=environment)
    numpy_seconds, ours, loaded = done.stdout.split()
    return float(numpy_seconds), float(ours), loaded


def main() -> int:
    settings = arguments(__doc__ or "").parse_args()
    with tempfile.TemporaryDirectory() as bytecode:
        # The first run writes the bytecode.
        runs = [measured(bytecode) for _ in range(6 if settings.short else 31)][1:]
    numpy_ms, ours_ms = [1000 * run[0] for run in runs], [1000 * run[1] for run in runs]
    loaded = runs[0][2]
    table(
        "Import, milliseconds",
        ["import", "least", "median"],
        [
            ["numpy", min(numpy_ms), statistics.median(numpy_ms)],
            ["gradproof after numpy", min(ours_ms), statistics.median(ours_ms)],
        ],
    )
    print(f"\nframeworks loaded by it: {loaded}")
    write(settings.json, "import_time", settings, {"numpy_ms": numpy_ms, "gradproof_ms": ours_ms, "loaded": loaded})
    return 0 if loaded == "none" else 1


if __name__ == "__main__":
    raise SystemExit(main())
