"""Marking, loading and finding cases."""

import functools
import pickle
import sys
from pathlib import Path

import pytest

from gradproof._cases import Case, case, cases, load, select
from gradproof._errors import InputError

HEAD = "from gradproof._cases import case\n"


def written(folder: Path, name: str, content: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")
    return path


def named(path: Path) -> list[str]:
    return [one.name for one in cases(load(path), path)]


def test_the_mark_leaves_the_function_alone() -> None:
    def check() -> int:
        return 7

    assert case(check) is check
    assert check() == 7


@pytest.mark.parametrize(
    ("marked", "got"),
    [(3, "a int"), (None, "a NoneType"), (Path, "the class Path"), ([].append, "cannot carry a mark")],
)
def test_marking_anything_else_says_what_it_was(marked: object, got: str) -> None:
    with pytest.raises(InputError, match=got):
        case(marked)


def test_cases_come_in_the_order_of_the_file_and_once(tmp_path: Path) -> None:
    source = HEAD + "@case\ndef b(): ...\n@case\ndef a(): ...\nagain = a\ndef helper(): ...\nx = 3\n"
    assert named(written(tmp_path, "f.py", source)) == ["b", "a"]


def test_imported_cases_belong_to_their_own_file(tmp_path: Path) -> None:
    written(tmp_path, "borrowed_cases.py", HEAD + "@case\ndef theirs(): ...\n")
    path = written(tmp_path, "f.py", HEAD + "from borrowed_cases import theirs\n@case\ndef mine(): ...\n")
    assert named(path) == ["mine"]


def test_cases_made_in_a_loop_are_found(tmp_path: Path) -> None:
    source = (
        HEAD + "from functools import partial\nfor n in 'ab':\n    globals()[f'case_{n}'] = case(partial(print, n))\n"
    )
    assert named(written(tmp_path, "f.py", source)) == ["case_a", "case_b"]


def test_objects_that_answer_to_everything_are_no_cases(tmp_path: Path) -> None:
    assert named(written(tmp_path, "f.py", "from unittest.mock import MagicMock\nm = MagicMock()\n")) == []


def test_loading_leaves_the_path_as_it_was(tmp_path: Path) -> None:
    before = list(sys.path)
    load(written(tmp_path, "f.py", "x = 1\n"))
    with pytest.raises(ZeroDivisionError):
        load(written(tmp_path, "g.py", "1 / 0\n"))
    assert sys.path == before


def test_a_file_may_have_the_name_of_a_library(tmp_path: Path) -> None:
    import numpy

    module = load(written(tmp_path, "numpy.py", "x = 1\n"))
    assert module.x == 1
    assert sys.modules["numpy"] is numpy


def test_two_files_of_one_name_are_two_modules(tmp_path: Path) -> None:
    first = load(written(tmp_path, "a/f.py", "x = 1\n"))
    second = load(written(tmp_path, "b/f.py", "x = 2\n"))
    assert (first.x, second.x) == (1, 2)
    assert first.__name__ != second.__name__


def test_neighbours_of_one_name_are_not_mixed_up(tmp_path: Path) -> None:
    for folder, number in (("a", 1), ("b", 2)):
        written(tmp_path, f"{folder}/neighbour_net.py", f"x = {number}\n")
        written(tmp_path, f"{folder}/neighbour_pack/__init__.py", "")
        written(tmp_path, f"{folder}/neighbour_pack/deep.py", f"x = {number}\n")
        written(tmp_path, f"{folder}/f.py", "from neighbour_net import x\nfrom neighbour_pack.deep import x as deep\n")
    first, second = load(tmp_path / "a/f.py"), load(tmp_path / "b/f.py")
    assert (first.x, second.x) == (1, 2)
    assert (first.deep, second.deep) == (1, 2)


def test_a_function_of_a_loaded_file_can_be_pickled(tmp_path: Path) -> None:
    module = load(written(tmp_path, "f.py", "def cost(): return 5\n"))
    assert pickle.loads(pickle.dumps(module.cost))() == 5


@pytest.mark.parametrize(("name", "got"), [("missing.py", "not there"), ("", "a folder"), ("f.txt", "a .txt file")])
def test_what_cannot_be_loaded_is_said(tmp_path: Path, name: str, got: str) -> None:
    written(tmp_path, "f.txt", "")
    with pytest.raises(InputError, match=got):
        load(tmp_path / name)


def test_an_unknown_name_gets_the_nearest_and_the_list() -> None:
    path = Path("f.py")
    found = [Case("softmax", path, print), Case("relu", path, print)]
    assert select(found, "relu", path) is found[1]
    with pytest.raises(InputError, match=r"'sofmax'.*Did you mean softmax\? The cases there are softmax, relu\."):
        select(found, "sofmax", path)
    with pytest.raises(InputError, match=r"@gp\.case"):
        select([], "relu", path)


def test_a_case_returns_a_report_or_is_refused() -> None:
    with pytest.raises(InputError, match=r"f\.py::c.*returning None.*return gp\.check"):
        Case("c", Path("f.py"), lambda: None).run()
    with pytest.raises(InputError, match="a int"):
        Case("c", Path("f.py"), lambda: 3).run()


def test_a_case_that_demands_arguments_is_refused() -> None:
    def check(model: object, size: int = 3) -> None: ...

    with pytest.raises(InputError, match="demands model"):
        Case("c", Path("f.py"), check).run()  # type: ignore[arg-type]
    with pytest.raises(InputError, match="returning None"):
        Case("c", Path("f.py"), functools.partial(check, None)).run()


def test_a_case_may_import_its_neighbour_while_it_runs(tmp_path: Path) -> None:
    written(tmp_path, "late_neighbour.py", "x = 4\n")
    source = HEAD + "@case\ndef c():\n    import late_neighbour\n    return late_neighbour.x\n"
    path = written(tmp_path, "f.py", source)
    with pytest.raises(InputError, match="a int"):
        cases(load(path), path)[0].run()
