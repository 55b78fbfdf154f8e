"""Reads the command line and hands over to a command.

The decision behind it: ``main`` returns the exit status and never exits, so that it can be called and tested like any
function; ``run`` is the console's entry point and the only place that exits.
"""

import argparse
import os
import re
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress

from gradproof._cli import causes, demo
from gradproof._cli import plan as planning
from gradproof._cli import run as running
from gradproof._cli.request import request
from gradproof._errors import InputError
from gradproof._report import text, wording
from gradproof._settings import METHODS, TABLE, require_usable_environment

USAGE = 2
INTERRUPTED = 130
#: What a shell shows for a process whose reader went away (128 + SIGPIPE).
BROKEN_PIPE = 141

_OPTION = re.compile(r"--[\w-]+")

_EPILOG = """exit status:
  0    nothing wrong (undecided cases are warned about)
  1    something wrong, or with --strict undecided
  2    bad usage, or a case that could not run (and nothing wrong)
  5    no cases found
  130  interrupted"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command.

    Args:
        argv: the arguments, without the program's name; the process's own where left out.

    Returns:
        The exit status.
    """
    try:
        status = _dispatch(argv)
        sys.stdout.flush()
    except BrokenPipeError:
        _discard_output()
        return BROKEN_PIPE
    except KeyboardInterrupt:
        _complain("interrupted.")
        return INTERRUPTED
    except InputError as error:
        _complain(wording.elided(str(error), wording.IN_SENTENCES))
        return USAGE
    return status


def run() -> None:
    """The console's entry point.

    Raises:
        SystemExit: always, with the exit status.
    """
    raise SystemExit(main())


def _dispatch(argv: Sequence[str] | None) -> int:
    parser, commands = _parser()
    _complete(parser)
    arguments = sys.argv[1:] if argv is None else list(argv)
    first = next((one for one in arguments if not one.startswith("-")), None)
    if first is not None and first not in commands:
        raise _unknown("the command", first, list(commands))
    try:
        asked, unknown = parser.parse_known_args(arguments)
    except SystemExit as leaving:  # argparse has printed help, the version, or what is wrong with the arguments
        return leaving.code if isinstance(leaving.code, int) else USAGE
    if unknown:
        own = commands[first] if first is not None else parser
        raise _unknown("the arguments", unknown[0].partition("=")[0], _OPTION.findall(own.format_help()))
    require_usable_environment()
    if asked.command == "demo":
        if asked.name is None:
            from gradproof._cli.workflow import walk

            return walk(sys.stdout, sys.stderr, fast=asked.fast)
        return demo.demo(None if asked.name == "bugs" else asked.name, sys.stdout, sys.stderr)
    if asked.command == "run":
        return running.run(request(asked), sys.stdout, sys.stderr)
    if asked.command == "plan":
        return planning.plan_files(asked.files, sys.stdout, sys.stderr)
    if asked.command == "causes":
        return causes.causes(asked.slug, sys.stdout)
    parser.print_help(sys.stderr)
    return USAGE


def _unknown(what: str, given: str, known: Sequence[str]) -> InputError:
    import difflib

    names = list(dict.fromkeys(known))
    near = difflib.get_close_matches(given, names, n=1)
    guess = f"Did you mean {near[0]}? " if near else ""
    return InputError.of(f"reading {what}", repr(given), "one of " + ", ".join(names), "unknown", guess + "See --help.")


def _parser() -> tuple[argparse.ArgumentParser, Mapping[str, argparse.ArgumentParser]]:
    """The parser, and those of the commands by their names."""
    parser = argparse.ArgumentParser(
        prog="gradproof",
        description="Whether, where and why a gradient is wrong, with an honest error bar.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,  # an abbreviation would change its meaning with the next option
    )
    # The loaded package's own number: a source folder on the path has no metadata, or that of another version.
    version = sys.modules[__name__.partition(".")[0]].__version__
    parser.add_argument("--version", action="version", version=f"gradproof {version}")
    commands = parser.add_subparsers(dest="command", title="commands", metavar="COMMAND")
    about = "walk the course notes' workflow on real data: check, find a planted bug, mend, train, check again"
    showing = commands.add_parser("demo", help=about, description=about, allow_abbrev=False)
    showing.add_argument(
        "name", nargs="?", metavar="NAME", help=f"planted bugs instead: bugs for all, or one of {', '.join(demo.NAMES)}"
    )
    showing.add_argument("--fast", action="store_true", help="the short form of the workflow")
    _add_run(commands)
    about = "say beforehand what the checks of the cases in files would cost, without making them"
    planned = commands.add_parser("plan", help=about, description=about, allow_abbrev=False)
    planned.add_argument("files", nargs="+", metavar="FILE.py[::NAME]", help="a file, or one case in it")
    about = "explain a cause of wrong gradients, or list them all"
    explaining = commands.add_parser("causes", help=about, description=about, allow_abbrev=False)
    explaining.add_argument("slug", nargs="?", metavar="SLUG", help="the cause, as a report names it")
    return parser, commands.choices


def _add_run(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    about = "run the cases (functions marked with @gp.case) in files"
    epilog = f"""{_EPILOG}

Settings are taken from the flag, else from an environment variable such as
GRADPROOF_SEED or GRADPROOF_JUNIT_XML, else from
{TABLE}."""
    parser = commands.add_parser(
        "run",
        help=about,
        description=about,
        epilog=epilog,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    paths = "a file, one case in it, or a folder to look for check_*.py and *_checks.py in (default: here)"
    parser.add_argument("paths", nargs="*", metavar="PATH[::NAME]", help=paths)
    parser.add_argument(
        "-k", dest="keyword", default="", metavar="EXPR", help="only cases that match: 'net and not slow'"
    )
    parser.add_argument("--list", dest="listing", action="store_true", help="list the cases and run none")
    strict = "exit with 1 where a case is undecided, too"
    parser.add_argument("--strict", action=argparse.BooleanOptionalAction, default=None, help=strict)
    checks = parser.add_argument_group("for checks that do not say it themselves")
    checks.add_argument("--method", choices=METHODS, help="how to check")
    checks.add_argument("--tolerance", metavar="X", help="the difference that must never pass: 1e-4, or W*=1e-4,b=1e-3")
    checks.add_argument("--budget", metavar="N", help="most cost evaluations, or seconds as 30s")
    checks.add_argument("--seed", metavar="N", help="of the random directions")
    checks.add_argument("--workers", metavar="N", help="processes; -1 for one a processor")
    forms = parser.add_argument_group("results, several at once; - is standard output")
    forms.add_argument("--json", metavar="FILE", help="all results as JSON")
    forms.add_argument("--html", metavar="FILE", help="all results as one page")
    forms.add_argument("--junit-xml", metavar="FILE", help="a test for each tensor")
    forms.add_argument("--sarif", metavar="FILE", help="problems at the lines of the gradient's function")
    github = "annotations for GitHub Actions at those lines"
    forms.add_argument("--github", action=argparse.BooleanOptionalAction, default=None, help=github)


def _complete(parser: argparse.ArgumentParser) -> None:
    """Answers a shell that asks for completions, where argcomplete is installed; then it does not return."""
    if "_ARGCOMPLETE" in os.environ:
        with suppress(ImportError):
            import argcomplete

            argcomplete.autocomplete(parser)


def _complain(message: str) -> None:
    with suppress(BrokenPipeError):
        text.emit(sys.stderr, f"gradproof: {wording.visible(message)}")


def _discard_output() -> None:
    """Points standard output at nothing, so that the interpreter's last flush does not complain either."""
    with suppress(OSError, ValueError, AttributeError):
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, sys.stdout.fileno())
        os.close(nothing)
