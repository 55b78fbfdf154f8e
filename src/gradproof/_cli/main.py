"""Reads the command line and hands over to a command.

The decision behind it: ``main`` returns the exit status and never exits, so that it can be called and tested like any
function; ``run`` is the console's entry point and the only place that exits.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from contextlib import suppress

from gradproof._cli import causes, demo
from gradproof._cli import plan as planning
from gradproof._cli import run as running
from gradproof._errors import InputError
from gradproof._report import text, wording

USAGE = 2
INTERRUPTED = 130
#: What a shell shows for a process whose reader went away (128 + SIGPIPE).
BROKEN_PIPE = 141

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
    parser = _parser()
    try:
        asked = parser.parse_args(argv)
    except SystemExit as leaving:  # argparse has printed help, the version, or what is wrong with the arguments
        return leaving.code if isinstance(leaving.code, int) else USAGE
    if asked.command == "demo":
        if asked.name is None:
            from gradproof._cli.workflow import walk

            return walk(sys.stdout, sys.stderr, fast=asked.fast)
        return demo.demo(None if asked.name == "bugs" else asked.name, sys.stdout, sys.stderr)
    if asked.command == "run":
        return running.run_files(asked.files, sys.stdout, sys.stderr, strict=asked.strict)
    if asked.command == "plan":
        return planning.plan_files(asked.files, sys.stdout, sys.stderr)
    if asked.command == "causes":
        return causes.causes(asked.slug, sys.stdout)
    parser.print_help(sys.stderr)
    return USAGE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="gradproof",
        description="Whether, where and why a gradient is wrong, with an honest error bar.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    # The loaded package's own number: a source folder on the path has no metadata, or that of another version.
    version = sys.modules[__name__.partition(".")[0]].__version__
    parser.add_argument("--version", action="version", version=f"gradproof {version}")
    commands = parser.add_subparsers(dest="command", title="commands", metavar="COMMAND")
    about = "walk the course notes' workflow on real data: check, find a planted bug, mend, train, check again"
    showing = commands.add_parser("demo", help=about, description=about)
    showing.add_argument(
        "name", nargs="?", metavar="NAME", help=f"planted bugs instead: bugs for all, or one of {', '.join(demo.NAMES)}"
    )
    showing.add_argument("--fast", action="store_true", help="the short form of the workflow")
    about = "run the cases (functions marked with @gp.case) in files"
    checking = commands.add_parser("run", help=about, description=about)
    checking.add_argument("files", nargs="+", metavar="FILE.py[::NAME]", help="a file, or one case in it")
    checking.add_argument("--strict", action="store_true", help="exit with 1 where a case is undecided, too")
    about = "say beforehand what the checks of the cases in files would cost, without making them"
    planned = commands.add_parser("plan", help=about, description=about)
    planned.add_argument("files", nargs="+", metavar="FILE.py[::NAME]", help="a file, or one case in it")
    about = "explain a cause of wrong gradients, or list them all"
    explaining = commands.add_parser("causes", help=about, description=about)
    explaining.add_argument("slug", nargs="?", metavar="SLUG", help="the cause, as a report names it")
    return parser


def _complain(message: str) -> None:
    with suppress(BrokenPipeError):
        text.emit(sys.stderr, f"gradproof: {wording.visible(message)}")


def _discard_output() -> None:
    """Points standard output at nothing, so that the interpreter's last flush does not complain either."""
    with suppress(OSError, ValueError, AttributeError):
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, sys.stdout.fileno())
        os.close(nothing)
