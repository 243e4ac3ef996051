"""Writes the tables and figures of protocol.md from the tables that the code itself uses.

python docs/protocol.py          writes protocol.md anew; what stands outside its markers stays as it is

<!-- begin NAME -->  what is written here  <!-- end NAME -->
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from sumwise.protocol.states import TRANSITIONS, Phase, Transition
from sumwise.protocol.wire import payloads
from sumwise.protocol.wire.fields import FieldType
from sumwise.protocol.wire.messages import HEADER, KINDS, REASON, Field, Reason

PAGE = Path(__file__).with_name("protocol.md")


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _layout(fields: Iterable[Field]) -> str:
    return ", ".join(f"`{field.name}` {field.type.layout}" for field in fields)


def header() -> str:
    """What every message begins with."""
    return _table(("field", "written as", "may be"), ((f"`{f.name}`", f.type.layout, f.type.meaning) for f in HEADER))


def messages() -> str:
    """KINDS of messages.py: number, name, who says it, fields, purpose."""
    rows = (
        (str(kind.number), f"**{kind.name}**", kind.sender, _layout(kind.fields), _first_sentence(kind.holds.__doc__))
        for kind in KINDS
    )
    return _table(("kind", "message", "said by", "fields, in order", "what it says"), rows)


def _first_sentence(docstring: str | None) -> str:
    first = " ".join((docstring or "").split())
    return first.split(". ")[0].removesuffix(".")


def fields() -> str:
    """The types of the fields of messages, each once; `reasons` tells what REASON may be."""
    found: dict[FieldType, list[str]] = {}
    for field in (field for kind in KINDS for field in kind.fields):
        names = found.setdefault(field.type, [])
        if f"`{field.name}`" not in names:
            names.append(f"`{field.name}`")
    rows = ((", ".join(names), type_.layout, type_.meaning) for type_, names in found.items() if type_ is not REASON)
    return _table(("field", "written as", "may be"), rows)


def reasons() -> str:
    """Why a study ends without a result."""
    return _table(("number", "reason"), ((str(reason.value), reason.words) for reason in Reason))


def contents() -> str:
    """KINDS of payloads.py."""
    answer = {kind.holds: kind.name for kind in payloads.KINDS}
    rows = (
        (
            str(kind.number),
            str(kind.version),
            f"**{kind.name}**",
            f"question; the answer: {answer[kind.answer]}" if kind.answer is not None else "summand",
            kind.layout,
        )
        for kind in payloads.KINDS
    )
    return _table(("kind", "version", "payload", "role", "content, in order"), rows)


def _of(machine: str) -> list[Transition]:
    return [row for row in TRANSITIONS if row.machine == machine]


def states(machine: str) -> str:
    """TRANSITIONS of a machine, row by row."""
    rows = (
        (
            f"{row.phase.name}: {row.phase.value}",
            row.message.__name__,
            " or ".join(phase.name for phase in row.then),
            ", ".join(said.__name__ for said in row.says) or "nothing",
        )
        for row in _of(machine)
    )
    return _table(("state", "hears", "then", "may say"), rows)


def diagram(machine: str) -> str:
    """TRANSITIONS of a machine as a Mermaid figure: an arrow for each message that can lead from a state to another."""
    rows = _of(machine)
    arrows: dict[tuple[Phase, Phase], list[str]] = {}
    for row in rows:
        for then in row.then:
            arrows.setdefault((row.phase, then), []).append(row.message.__name__)
    begins = {row.phase for row in rows}
    ends = dict.fromkeys(then for row in rows for then in row.then if then not in begins)
    lines = [f"    [*] --> {rows[0].phase.name}"]
    lines += [f"    {one.name} --> {two.name}: {', '.join(heard)}" for (one, two), heard in arrows.items()]
    lines += [f"    {phase.name} --> [*]" for phase in ends]
    return "\n".join(["```mermaid", "stateDiagram-v2", *lines, "```"])


SECTIONS: dict[str, Callable[[], str]] = {
    "header": header,
    "messages": messages,
    "fields": fields,
    "reasons": reasons,
    "payloads": contents,
    "coordinator diagram": lambda: diagram("coordinator"),
    "coordinator states": lambda: states("coordinator"),
    "site diagram": lambda: diagram("site"),
    "site states": lambda: states("site"),
}
"""What stands between the markers of each name."""


def written(page: str) -> str:
    """The page with every section anew.  Raises ValueError for a section that the page has not, or has twice."""
    for name, text in SECTIONS.items():
        marked = re.compile(rf"(<!-- begin {name} -->\n).*?(<!-- end {name} -->)", re.DOTALL)
        if (found := len(marked.findall(page))) != 1:
            raise ValueError(f"{PAGE.name} has the markers of '{name}' {found} times; once belongs there")
        page = marked.sub(lambda match, text=text: f"{match[1]}{text()}\n{match[2]}", page)  # type: ignore[misc]
    return page


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
