"""The public face: sorted, complete, shown under its public name, and explained."""

import inspect
import re
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import gradproof
from gradproof import _errors

LISTED = list(gradproof.__all__)


def faults(name: str, thing: object) -> list[str]:
    """What a public object lacks."""
    if not (inspect.isclass(thing) or inspect.isroutine(thing)):
        return []
    found = []
    if thing.__module__ != "gradproof":
        found.append(f"{name} is shown as {thing.__module__}.{name}")
    # An inherited text explains the parent, and the one that a dataclass writes for itself is only its signature.
    text = (vars(thing).get("__doc__") if inspect.isclass(thing) else thing.__doc__) or ""
    if not text.strip() or text.startswith(f"{getattr(thing, '__name__', name)}("):
        found.append(f"{name} has no docstring")
    return found


def test_the_names_are_sorted_and_told_once() -> None:
    assert LISTED, "nothing is public"
    assert sorted(set(LISTED)) == LISTED


def test_every_listed_name_is_there_and_no_other_is() -> None:
    assert [name for name in LISTED if not hasattr(gradproof, name)] == []
    # A module becomes an attribute by being imported, so only the listed ones among them count.
    bound = {name for name, thing in vars(gradproof).items() if name in LISTED or not isinstance(thing, ModuleType)}
    assert {name for name in bound if not name.startswith("_")} == {name for name in LISTED if name[0] != "_"}


def test_every_error_and_warning_is_public() -> None:
    own = {name for name, thing in vars(_errors).items() if inspect.isclass(thing) and issubclass(thing, Exception)}
    assert own
    assert own - set(LISTED) == set()


def test_every_public_object_is_shown_and_explained() -> None:
    assert [fault for name in LISTED for fault in faults(name, getattr(gradproof, name))] == []


def test_every_public_name_is_in_the_reference() -> None:
    reference = (Path(__file__).parents[1] / "docs" / "reference" / "api.md").read_text(encoding="utf-8")
    described = set(re.findall(r"^\.\. auto\w+:: gradproof\.(\w+)$", reference, re.MULTILINE))
    assert described == set(LISTED)


def test_a_planted_object_without_either_is_caught() -> None:
    class Planted(_errors.InputError):
        pass

    assert faults("Planted", Planted) == [f"Planted is shown as {__name__}.Planted", "Planted has no docstring"]
    Planted.__module__, Planted.__doc__ = "gradproof", "Says what it is."
    assert faults("Planted", Planted) == []


def test_a_planted_dataclass_that_shows_only_its_signature_is_caught() -> None:
    @dataclass
    class Planted:
        size: int

    Planted.__module__ = "gradproof"
    assert Planted.__doc__ == "Planted(size: int)"
    assert faults("Planted", Planted) == ["Planted has no docstring"]


def test_the_package_explains_itself() -> None:
    assert gradproof.__doc__
