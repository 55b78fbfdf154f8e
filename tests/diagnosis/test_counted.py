from rebuilt import check, hidden, model, named, nothing

OUTPUT = 4
PLAIN = {"lambd": 0.0}


def test_a_mean_that_is_missing_or_made_twice() -> None:
    missing = check(model(), {("delta", OUTPUT): lambda delta, run: delta * run.m}, options=PLAIN)
    named(missing, "factor", *hidden(4), detail="1/m missing: factor m")
    twice = check(model(), {("delta", 2): lambda delta, run: delta / run.m}, options=PLAIN)
    named(twice, "factor", *hidden(2), detail="1/m twice: factor 1/m")


def test_nine_that_has_nothing_to_do_with_examples() -> None:
    report = check(model(), {("delta", OUTPUT): lambda delta, run: delta * 9.0}, options=PLAIN)
    named(report, "factor", *hidden(4))
    assert "1/m missing" not in report.findings[0].detail


def test_right() -> None:
    nothing(check(model(), options=PLAIN))
