"""What the pytest plugin adds to the start of a run that does not use it.

The decision it rests on: each measurement is a fresh pytest over a folder with one test and fifty modules beside it,
with the plugin and with ``-p no:gradproof`` by turns. What counts is the processor's time and not the clock's, since
on a busy machine the clock measures the others; the least of many runs is the one that was disturbed least.
"""

import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from running import arguments, table, write

FILES = 50
#: What the start may grow by, in milliseconds.
MOST = 5.0

PROGRAM = """
import sys, pytest
status = pytest.main(sys.argv[1:])
ours = sorted(name for name in sys.modules if name.partition(".")[0] in ("gradproof", "numpy", "rich"))
print("loaded:", ",".join(ours) or "nothing")
raise SystemExit(status)
"""


def started(folder: Path, bytecode: str, *, plugin: bool) -> tuple[float, str]:
    """Processor seconds of one run, and what of ours it loaded."""
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": bytecode}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    command = [sys.executable, "-c", PROGRAM, "-q", "-p", "no:cacheprovider"]
    command += [] if plugin else ["-p", "no:gradproof"]
    before = spent()
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True)
    return spent() - before, done.stdout.rpartition("loaded: ")[2].strip()


def spent() -> float:
    """Processor seconds of all finished child processes."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> int:
    settings = arguments(__doc__ or "").parse_args()
    with tempfile.TemporaryDirectory() as bytecode, tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "pyproject.toml").write_text("[tool.pytest.ini_options]\n", encoding="utf-8")
        (Path(folder) / "test_it.py").write_text("def test_it():\n    pass\n", encoding="utf-8")
        for number in range(FILES):
            (Path(folder) / f"module_{number}.py").write_text("x = 1\n", encoding="utf-8")
        for plugin in (True, False):  # the first runs write the bytecode
            started(Path(folder), bytecode, plugin=plugin)
        pairs = [
            (started(Path(folder), bytecode, plugin=True), started(Path(folder), bytecode, plugin=False))
            for _ in range(5 if settings.short else 40)
        ]
    with_ms, without_ms = [1000 * one[0] for one, _ in pairs], [1000 * other[0] for _, other in pairs]
    grown = min(with_ms) - min(without_ms)
    between = statistics.median(one - other for one, other in zip(with_ms, without_ms, strict=True))
    loaded = pairs[0][0][1]
    table(
        "Start of pytest, milliseconds of the processor",
        ["run", "least", "median"],
        [
            ["without the plugin", min(without_ms), statistics.median(without_ms)],
            ["with it", min(with_ms), statistics.median(with_ms)],
            ["difference", grown, between],
        ],
    )
    print(f"\nloaded by it: {loaded}")
    write(settings.json, "pytest_startup", settings, {"with_ms": with_ms, "without_ms": without_ms, "loaded": loaded})
    return 0 if loaded == "nothing" and (settings.short or grown <= MOST) else 1


if __name__ == "__main__":
    raise SystemExit(main())
