"""The Python blocks of README.md and docs/ run with the tests.

This file stands at the root because pytest asks a conftest only about files below it. The blocks of one document share
their names, from top to bottom, as a reader who types them in one after the other has them.
"""

from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser

pytest_collect_file = Sybil(
    parsers=[PythonCodeBlockParser()],
    patterns=["README.md", "docs/*.md"],
).pytest()
