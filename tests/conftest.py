"""What holds for every test: no time limits on examples, and on demand no skipping.

With TESTS_REQUIRE_ALL=1 a test that is skipped, or expected to fail, counts as failed: where everything is said to
be installed, a test that did not run is a check that nobody made.
"""

import os
from collections.abc import Generator

import pytest
from hypothesis import settings

# The arrays here are so small that threads wait for each other more than they work.
os.environ.setdefault("OMP_NUM_THREADS", "1")

REQUIRE_ALL = "TESTS_REQUIRE_ALL"

#: What cannot be installed: a test that is skipped with this reason may be.
NO_GPU = "there is no GPU on this machine"

# A deadline would gate on seconds; where everything is required, the same examples are drawn on every run.
settings.register_profile("gradproof", deadline=None, derandomize=os.environ.get(REQUIRE_ALL) == "1")
settings.load_profile("gradproof")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    _demand_that_it_ran(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _demand_that_it_ran(report)
    return report


def _demand_that_it_ran(report: pytest.TestReport | pytest.CollectReport) -> None:
    if os.environ.get(REQUIRE_ALL) == "1" and report.skipped:
        reason = report.longrepr[-1] if isinstance(report.longrepr, tuple) else report.longrepr
        if NO_GPU in str(reason):
            return
        report.outcome = "failed"
        report.longrepr = f"{report.nodeid} did not run, and {REQUIRE_ALL}=1 demands that every test does: {reason}"
        # Without this pytest would still list an expected failure as such.
        vars(report).pop("wasxfail", None)
