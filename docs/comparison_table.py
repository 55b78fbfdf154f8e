"""Writes the table of ``docs/comparison.md`` from ``docs/figures/blind_spots.json``.

Run as ``python docs/comparison_table.py``. The figures are what, in ``benchmarks``, ``python blind_spots.py --seed 4711
--seeds 10 --json ../docs/figures/blind_spots.json`` writes; a test holds the page against them.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
FIGURES, PAGE = FOLDER / "figures" / "blind_spots.json", FOLDER / "comparison.md"
BEGIN, END = "<!-- from figures/blind_spots.json -->\n", "<!-- to here -->\n"
#: As the benchmark calls them, and as the page does.
CHECKERS = {
    "gradproof": "gradproof",
    "scipy check_grad": "`scipy.optimize.check_grad`, read at 1e-6",
    "autograd check_grads": "`autograd` check_grads",
    "course loop": "the course notes' loop",
}


def answered(verdicts: Mapping[str, int], wanted: str) -> str:
    """The verdicts of all seeds; bold where one is the opposite of the truth."""
    opposite = {"wrong": "correct", "correct": "wrong", "not wrong": "wrong"}[wanted]
    total = sum(verdicts.values())
    parts = []
    for verdict, count in sorted(verdicts.items(), key=lambda pair: -pair[1]):
        said = verdict if count == total else f"{verdict} {count}"
        parts.append(f"**{said}**" if verdict in (opposite, "crash") else said)
    return ", ".join(parts)


def right(verdicts: Mapping[str, int], wanted: str) -> int:
    """How many of the verdicts are the right one."""
    fine = {"correct", "undecided"} if wanted == "not wrong" else {wanted}
    return sum(count for verdict, count in verdicts.items() if verdict in fine)


def table(content: Mapping[str, Any]) -> str:
    """The table as Markdown."""
    lines = ["| case | should be | " + " | ".join(CHECKERS.values()) + " |", "|---" * (2 + len(CHECKERS)) + "|"]
    score = {name: [0, 0] for name in CHECKERS}
    for case, found in content["results"].items():
        cells = []
        for name in CHECKERS:
            verdicts = found["verdicts"].get(name)
            cells.append("not run" if verdicts is None else answered(verdicts, found["should be"]))
            score[name][0] += right(verdicts or {}, found["should be"])
            score[name][1] += sum((verdicts or {}).values())
        lines.append(f"| {case} | {found['should be']} | " + " | ".join(cells) + " |")
    totals = " | ".join(f"{won} of {asked}" for won, asked in score.values())
    lines.append(f"| right answers | | {totals} |")
    return "\n".join(lines) + "\n"


def renewed(page: str, content: Mapping[str, Any]) -> str:
    """The page with its table made anew."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + BEGIN + "\n" + table(content) + "\n" + END + after


def main() -> None:
    """Writes the page."""
    content = json.loads(FIGURES.read_text(encoding="utf-8"))
    PAGE.write_text(renewed(PAGE.read_text(encoding="utf-8"), content), encoding="utf-8")


if __name__ == "__main__":
    main()
