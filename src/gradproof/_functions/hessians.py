"""``check_hessian``: second derivatives, as the derivative of a gradient along a random direction."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from gradproof._check import is_made, judged, read_settings
from gradproof._pipeline.options import read_options, read_patterns
from gradproof._records import Finding, Place, Report


def check_hessian(
    grads: Callable[..., Any],
    params: Any,
    hessian: Any = None,
    *,
    hvp: Callable[..., Any] | None = None,
    args: Sequence[Any] = (),
    options: Mapping[str, Any] | None = None,
    tolerance: float | Mapping[str, float] | None = None,
    method: str | None = None,
    budget: int | str | None = None,
    seed: int | None = None,
    only: str | Sequence[str] | None = None,
    exclude: str | Sequence[str] | None = None,
    progress: Callable[[int], object] | bool | None = None,
) -> Report:
    """Judges claimed second derivatives against the measured derivative of a gradient.

    Args:
        grads: the gradient, ``grads(params, *args, **options)``, in the nesting of the parameters or as a flat vector;
            it is taken for right (``check`` judges it).
        params: a float array or tensor, or any nesting of them.
        hessian: the claim: an array of shape (n, n) in the order of ``to_vector``, sparse or dense, a nesting of blocks
            ``{name: {name: block}}``, or a function ``(params, *args, **options)`` that returns one of them; None, for
            PyTorch and JAX, for what differentiating ``grads`` gives.
        hvp: the claim as a product, ``hvp(params, vector, *args, **options)`` with a vector in the nesting of the
            parameters, that returns the Hessian times the vector in the same nesting.
        args: arguments after the parameters.
        options: keyword arguments.
        tolerance: as for ``check``.
        method: as for ``check``.
        budget: as for ``check``.
        seed: as for ``check``; the direction is drawn from it as well.
        only: patterns of parameter names to check: the rows of the Hessian.
        exclude: patterns of parameter names to leave alone.
        progress: called with the number of evaluations so far; True writes it to a terminal or below a notebook's
            cell, and takes it away at the end.

    Returns:
        The report: a parameter is wrong if its rows of the Hessian are.

    Raises:
        InputError: what was passed in cannot be checked. What the functions raise goes through.
    """
    settings = read_settings(tolerance, method, budget, seed, 1, progress)
    patterns = read_patterns("only", only), read_patterns("exclude", exclude)
    keywords = read_options(options) or {}
    from gradproof._adapters.hessians import opened_hessian  # whoever checks costs alone does not pay for these
    from gradproof._functions.merging import with_findings

    found = opened_hessian(grads, params, hessian, hvp, args, keywords, settings.options.seed)
    report = judged(lambda: replace(found.call(), only=patterns[0], exclude=patterns[1]), settings)
    if not is_made():
        return report
    from gradproof._pipeline.origin import origin  # loaded with the first check

    report = replace(report, origin=origin(grads, hessian if hvp is None else hvp))
    report = replace(report, findings=tuple(_second(f) for f in report.findings))
    if hessian is None and hvp is None:
        return report
    off, worst = found.asymmetry()
    # Off by as much as no number of the format's digits is: nothing but rounding would be less.
    if off > max(settings.options.tolerance_of(name) for name in report.tensors):
        words = f" ({worst})" if worst else ""
        message = f"The claimed Hessian is not symmetric: off by {off:.1e}{words}."
        fix = (
            "Mend the smaller half; or, if it is what the derivative of `grads` is, `grads` is no gradient of any cost."
        )
        names = tuple(report.tensors)
        report = with_findings(report, [
            Finding("double-backward", "error", names, Place("the whole Hessian", {}), message, fix, "not symmetric")
        ])  # fmt: skip
    return report


def _second(finding: Finding) -> Finding:
    """A finding in the words for second derivatives; one that nothing explains is wrong beside a right first one."""
    message, fix = (text.replace("gradient", "second derivative") for text in (finding.message, finding.fix))
    finding = replace(finding, message=message, fix=fix)
    if finding.cause != "unexplained":
        return finding
    names = ", ".join(finding.tensors)
    fix = f"Look at what is computed for the rows of {names}: everything that depends on the parameters counts."
    return replace(finding, cause="double-backward", fix=fix, detail="wrong second derivative")
