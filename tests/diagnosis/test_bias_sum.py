import pytest
from rebuilt import check, model, named, nothing


@pytest.mark.parametrize("layer", [1, 3, 4])
def test_first_example(layer: int) -> None:
    report = check(model(), {("db", layer): lambda db, run: run.delta[layer][:, :1]})
    named(report, "bias-reduction", f"b{layer}", detail="first example only")


def test_right() -> None:
    nothing(check(model(), {("db", 2): lambda db, run: run.delta[2].sum(axis=1, keepdims=True)}))
