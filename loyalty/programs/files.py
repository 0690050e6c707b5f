"""Program files: a whole program as YAML that people write, compare and keep in version control.

YAML 1.2, so that `on` and `no` are words. Errors name the line and the key, and say what to do.
"""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from io import StringIO
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

from loyalty.programs.document import in_order, validate
from loyalty.programs.problems import DocumentInvalid, Path, Problem

MAX_BYTES = 5_000_000
# Aliases (`*name`) can make a small file describe a huge program.
MAX_NODES = 500_000


class ProgramFileInvalid(Exception):
    """A file that is not a program; one line for each thing that is wrong with it.

    Attributes:
        messages: "line 14, earning_rules[1].when.weekday: is not supported yet; take it out".
    """

    def __init__(self, messages: list[str]) -> None:
        self.messages = messages
        super().__init__("\n".join(messages))


def read(text: str) -> dict[str, Any]:
    """Read a program file into the canonical document.

    Raises:
        ProgramFileInvalid: With everything that was found, by line.
    """
    written = _parse(text)
    tree = _Tree()
    plain = tree.plain((), written)
    try:
        return validate(plain)
    except DocumentInvalid as invalid:
        found = [(tree.line(problem.path), problem) for problem in invalid.problems]
    found.sort(key=lambda pair: pair[0])
    raise ProgramFileInvalid([_message(line, problem) for line, problem in found])


def export(document: Mapping[str, Any]) -> str:
    """Write a canonical document as a program file, with the defaults; one line for each entry.

    What is written is read back as the same document.
    """
    out = StringIO()
    yaml = YAML()
    yaml.width = 100_000
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.dump(_layout(in_order(document), depth=0), out)
    return out.getvalue()


def diff(
    live: Mapping[str, Any] | None, wanted: Mapping[str, Any], *, live_name: str, wanted_name: str
) -> str:
    """Show what applying a document would change, as a unified diff of program files.

    Args:
        live: None where nothing is published yet: everything is new.

    Returns:
        An empty string where nothing differs.
    """
    before = export(live).splitlines() if live is not None else []
    lines = difflib.unified_diff(
        before, export(wanted).splitlines(), live_name, wanted_name, lineterm="", n=2
    )
    return "\n".join(lines)


def _message(line: int, problem: Problem) -> str:
    return f"line {line}, {problem}" if problem.path else f"line {line}: {problem}"


def _parse(text: str) -> Any:
    if len(text) > MAX_BYTES:
        raise ProgramFileInvalid([f"the file is larger than {MAX_BYTES:,} characters"])
    try:
        written = YAML().load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        reason = str(error.problem or error.context)
        raise ProgramFileInvalid([f"line {mark.line + 1 if mark else 1}: {reason}"]) from None
    except (YAMLError, ValueError, RecursionError) as error:
        raise ProgramFileInvalid([f"the file is not YAML: {error}"]) from None
    if not isinstance(written, CommentedMap):
        raise ProgramFileInvalid(["line 1: a program begins with 'program: CODE'"])
    return written


@dataclass(slots=True)
class _Tree:
    """Turns what the parser read into plain values, and remembers on which line each stood."""

    lines: dict[Path, int] = field(default_factory=dict)
    nodes: int = 0

    def plain(self, path: Path, value: Any) -> Any:
        self.nodes += 1
        if self.nodes > MAX_NODES or len(path) > 20:
            raise ProgramFileInvalid([f"line {self.line(path)}: too much is nested or repeated"])
        if isinstance(value, CommentedMap):
            return {str(key): self._below(path, key, value) for key in value}
        if isinstance(value, CommentedSeq):
            return [self._below(path, index, value) for index in range(len(value))]
        return str(value) if isinstance(value, str) else value

    def _below(self, path: Path, key: Any, parent: CommentedMap | CommentedSeq) -> Any:
        below = (*path, key if isinstance(parent, CommentedSeq) else str(key))
        position = (parent.lc.data or {}).get(key)
        # A merged key (`<<`) has no position of its own.
        self.lines[below] = position[0] + 1 if position else self.line(path)
        return self.plain(below, parent[key])

    def line(self, path: Path) -> int:
        """The line of the nearest thing on the path that is in the file."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


def _layout(value: Any, depth: int) -> Any:
    """Blocks at the top, one line for each entry of a list and for small blocks."""
    if isinstance(value, Mapping):
        block = CommentedMap((key, _layout(below, depth + 1)) for key, below in value.items())
        if depth >= 2:
            block.fa.set_flow_style()
        return block
    if isinstance(value, list):
        sequence = CommentedSeq(_layout(item, depth + 1) for item in value)
        if not any(isinstance(item, dict) for item in value):
            sequence.fa.set_flow_style()
        return sequence
    if isinstance(value, str) and _needs_quotes(value):
        return DoubleQuotedScalarString(value)
    return value


def _needs_quotes(text: str) -> bool:
    """Numbers and dates that are text, and the words that YAML 1.1 takes for true or false."""
    return text[:1].isdigit() or text.lower() in {"on", "off", "yes", "no", "y", "n"}
