"""Peak memory of a check beside that of one forward and backward pass, each in a process of its own.

    python -m benchmarks.torch_memory [--parameters 100000000] [--layers 24] [--kinds float32] [--budget 30] [--flat]

The allowance is 1.1 times the peak of forward and backward, and 8 bytes a parameter for the float64 copy of a model in
lower precision. Peaks are the resident set as the system counts it (``ru_maxrss``), so PyTorch itself is among them.
"""

import argparse
import json
import math
import resource
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import torch

import gradproof as gp
from gradproof._adapters.pytorch import residing

#: The share above forward and backward that a check may take, and bytes a parameter of a float64 copy.
SHARE, COPY = 1.1, 8
#: Examples in the batch.
EXAMPLES = 4


def model(parameters: int, layers: int, dtype: torch.dtype) -> torch.nn.Module:
    """Equal layers with a tanh after each, with about so many parameters in all."""
    width = math.isqrt(parameters // layers)
    torch.manual_seed(71)
    parts: list[torch.nn.Module] = []
    for _ in range(layers):
        parts += [torch.nn.Linear(width, width, dtype=dtype), torch.nn.Tanh()]
    return torch.nn.Sequential(*parts)


def cost(module: torch.nn.Module, inputs: torch.Tensor) -> torch.Tensor:
    """The mean square of the outputs."""
    return module(inputs).square().mean()


def measured(task: str, parameters: int, layers: int, kind: str, budget: int | None) -> dict[str, Any]:
    """One task in this process: its peak, and what a check said."""
    torch.set_num_threads(1)
    module = model(parameters, layers, getattr(torch, kind))
    width = next(module.parameters()).shape[1]
    inputs = torch.randn(EXAMPLES, width, dtype=getattr(torch, kind))
    said: dict[str, Any] = {"parameters": sum(p.numel() for p in module.parameters())}
    if task == "passes":
        cost(module, inputs).backward()
    else:
        report = gp.check_module(module, cost, data=(inputs,), budget=budget)
        said |= {"verdict": str(report.verdict), "evaluations": report.evaluations, "seconds": round(report.seconds, 1)}
        said |= {"high": report.difference.high}
    said["peak"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return said


def apart(task: str, parameters: int, layers: int, kind: str, budget: int | None) -> dict[str, Any]:
    """The same in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.torch_memory", "--one", task, "--parameters", str(parameters)]
    command += ["--layers", str(layers), "--kinds", kind, *(["--budget", str(budget)] if budget else [])]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=3600)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def allowed(passes: int, parameters: int, kind: str) -> float:
    """The peak that a check may have."""
    return SHARE * passes + (COPY * parameters if kind != "float64" else 0)


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints a row for each format; 1 where an allowance is exceeded."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parameters", type=int, default=100_000_000)
    parser.add_argument("--layers", type=int, default=24)
    parser.add_argument("--kinds", nargs="+", default=["float32", "float64"])
    parser.add_argument("--budget", type=int, help="most evaluations; the peak is reached within the first thirty")
    parser.add_argument("--flat", action="store_true", help="one flat vector of NumPy's, however many there are")
    parser.add_argument("--one", choices=("passes", "check", "flat"), help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.one:
        if chosen.one == "flat":
            residing.LARGE = sys.maxsize
        else:
            residing.LARGE = 0
        print(json.dumps(measured(chosen.one, chosen.parameters, chosen.layers, chosen.kinds[0], chosen.budget)))
        return 0
    exceeded = 0
    for kind in chosen.kinds:
        passes = apart("passes", chosen.parameters, chosen.layers, kind, chosen.budget)
        check = apart("flat" if chosen.flat else "check", chosen.parameters, chosen.layers, kind, chosen.budget)
        most = allowed(passes["peak"], check["parameters"], kind)
        exceeded += check["peak"] > most
        print(
            f"{kind}, {check['parameters']:,} parameters: forward and backward {passes['peak'] / 1e6:,.0f} MB, check "
            f"{check['peak'] / 1e6:,.0f} MB of {most / 1e6:,.0f} MB allowed; {check['verdict']} (below "
            f"{check['high']:.1e}), {check['evaluations']} evaluations, {check['seconds']} s"
        )
    return int(exceeded > 0)


if __name__ == "__main__":
    raise SystemExit(main())
