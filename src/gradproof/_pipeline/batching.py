"""How many parameter sets a vectorised cost should be given at once.

The decision behind it: it is measured on the cost itself. A larger chunk saves calls until it no longer fits the
processor's caches; beyond that it is slower than none.
"""

import time
from dataclasses import replace

from gradproof._adapters.numpy import Session
from gradproof._errors import InputError
from gradproof._evaluation import Meter
from gradproof._pipeline.options import Options

#: Chunk sizes tried, in order. Probes ask for four steps at a time, so more only serves the exhaustive method.
PROBING, EVERYTHING = (1, 4), (1, 4, 16, 64, 256)
#: Most bytes of a chunk of parameters.
MEMORY = 1 << 28
#: A larger chunk must be faster per set by this much to be taken.
GAIN = 0.9


def together(session: Session, options: Options, meter: Meter) -> Session:
    """The session with the chunk size that was fastest per parameter set.

    Raises:
        InputError: the cost's results cannot be told apart by parameter set.
    """
    if session.caller.live or session.caller.paired:
        raise InputError.of(
            "setting up a vectorised check", "`cost`", "a function of the parameters returning one cost for each set",
            "one that reads live arrays or returns a pair", "Drop vectorized=True, or pass cost and grads separately.",
        )  # fmt: skip
    best, fastest = 1, float("inf")
    most = max(1, MEMORY // (8 * max(1, session.theta.size)))
    for rows in EVERYTHING if options.method == "exhaustive" else PROBING:
        if rows > most or rows > max(4, 4 * session.theta.size):
            break
        tried = replace(session, rows=rows)
        meter.afford(2 * rows)
        seconds = min(_timed(tried), _timed(tried))
        meter.spend(2 * rows)
        if seconds / rows > GAIN * fastest:
            break
        best, fastest = rows, seconds / rows
    return replace(session, rows=best)


def _timed(session: Session) -> float:
    began = time.perf_counter()
    session.at_point(session.theta)
    return time.perf_counter() - began
