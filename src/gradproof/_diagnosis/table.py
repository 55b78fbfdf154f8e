"""The causes, in the stages in which they are asked; a stage sees what earlier ones left open.

One line a cause. The first stage needs no evaluations beyond the evidence, the second calls the user's functions again
or under other data and options, the third searches for the place, and the last say what can be said of any mismatch.
"""

from collections.abc import Callable, Sequence

from gradproof._diagnosis import (
    aliasing,
    another_input,
    bias_reduction,
    clipped,
    configuration,
    conjugate,
    dropout,
    factor,
    graphs,
    left_out,
    left_out_step,
    overwritten,
    parametrisation,
    passes,
    permuted,
    precision,
    redrawn,
    regime,
    region,
    regulariser,
    singly,
    some_examples,
    stabiliser,
    stale,
    swapped,
    terms,
    transposed,
    truncated,
    unexplained,
    unrolled_slips,
    upstream,
    zero,
)
from gradproof._diagnosis.case import Case, Explanation

Cause = Callable[[Case], Sequence[Explanation]]

#: Causes in stages.
Stages = tuple[tuple[Cause, ...], ...]

STAGES: Stages = (
    (aliasing.explain,),
    (zero.explain, bias_reduction.totals),
    (redrawn.explain,),
    (dropout.explain, configuration.explain_factor, clipped.explain),
    (terms.explain,),
    (
        bias_reduction.explain,
        factor.explain,
        regulariser.explain,
        transposed.explain,
        conjugate.explain,
        swapped.explain,
        permuted.explain,
        parametrisation.explain,
        precision.stored,
    ),
    (passes.explain,),
    (graphs.explain,),
    (unrolled_slips.explain,),
    (swapped.copies,),
    (permuted.swaps,),
    (region.explain_known,),
    (singly.explain,),
    (left_out.explain, left_out_step.explain),
    (some_examples.explain,),
    (overwritten.explain, another_input.explain, truncated.explain),
    (stale.explain,),
    (dropout.explain_off,),
    (stabiliser.explain,),
    (configuration.explain,),
    (region.explain_few,),
    (regime.explain,),
    (precision.explain,),
    (upstream.explain,),
    (region.explain,),
    (unexplained.explain,),
)

#: What can be said of wrong tensors of which only they themselves are at hand, as of a model that lives elsewhere.
ALONE: Stages = (
    (zero.explain,),
    (factor.explain, regulariser.explain, transposed.explain, conjugate.explain, permuted.explain),
    (region.explain_few,),
    (region.explain,),
    (unexplained.explain,),
)
