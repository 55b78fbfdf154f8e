"""``--github``: a line for each problem that GitHub Actions shows at the lines of the gradient's function."""

from gradproof._cli.results import Lines, Problem, Results, lines_of, problems
from gradproof._report import wording


def github(results: Results) -> str:
    """The workflow commands, one a line; "" where there is nothing to show."""
    commands = [_of_problem(one) for one in problems(results)]
    for outcome in results.outcomes:
        if outcome.verdict is None:
            message = f"{outcome.label} could not run.\n{outcome.trouble}"
            commands.append(_command("error", lines_of(outcome, results.root), "gradproof: could not run", message))
    return "\n".join(commands)


def _of_problem(one: Problem) -> str:
    names = f" in {', '.join(one.tensors[:3])}" + (" and others" if len(one.tensors) > 3 else "") if one.tensors else ""
    title = wording.elided(f"gradproof: {one.cause}{names}", 200)
    return _command("error" if one.severe else "warning", one.lines, title, f"{one.outcome.label}: {one.message}")


def _command(kind: str, lines: Lines, title: str, message: str) -> str:
    where = f"file={_property(lines.file)},line={lines.first},endLine={lines.last}"
    return f"::{kind} {where},title={_property(title)}::{_data(message)}"


def _data(text: str) -> str:
    """As the runner unescapes the text of a command."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
