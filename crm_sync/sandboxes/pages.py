"""What a person sees of a sandbox: everybody whom it knows, their fields and what happened to them.

One page without scripts and without anything from elsewhere; it fits a phone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, Final
from urllib.parse import urlencode

PEOPLE_AT_ONCE: Final = 25
EVENTS_AT_ONCE: Final = 100

_STYLE: Final = """
:root{--ink:#1f2430;--quiet:#667085;--line:#e3e6ec;--card:#fff;--back:#f4f5f8;--main:#5b4bd6}
@media (prefers-color-scheme:dark){:root{--ink:#e8eaf0;--quiet:#98a1b3;--line:#323847;
--card:#1d212b;--back:#14171e;--main:#a99ffb}}
*{box-sizing:border-box}
body{margin:0;font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--back)}
main{max-width:60rem;margin:0 auto;padding:1.5rem 1rem 3rem}
h1{font-size:1.5rem;margin:0}
p{margin:.3rem 0;color:var(--quiet)}
form{display:flex;gap:.5rem;margin:1rem 0}
input,button{font:inherit;color:inherit;border:1px solid var(--line);border-radius:.5rem;
background:var(--card);padding:.5rem .8rem;min-height:2.75rem}
input{flex:1;min-width:0}
details{background:var(--card);border:1px solid var(--line);border-radius:.7rem;margin:.6rem 0}
summary{cursor:pointer;padding:.8rem 1rem;display:flex;flex-wrap:wrap;gap:.2rem 1rem;
align-items:baseline;list-style:none}
summary b{flex:1 1 12rem;overflow-wrap:anywhere}
summary span{color:var(--quiet);font-size:.9rem}
.two{display:grid;grid-template-columns:repeat(auto-fit,minmax(17rem,1fr));gap:0 2rem;
padding:0 1rem 1rem;border-top:1px solid var(--line)}
h2{font-size:.95rem;margin:.9rem 0 .3rem}
dl{display:grid;grid-template-columns:auto 1fr;gap:.15rem .9rem;margin:0;font-size:.9rem}
dt{color:var(--quiet);overflow-wrap:anywhere}
dd{margin:0;overflow-wrap:anywhere}
ol{list-style:none;margin:0;padding:0 0 0 .9rem;border-left:2px solid var(--main);font-size:.9rem}
li{padding:.15rem 0}
time{display:block;color:var(--quiet);font-size:.8rem}
a{color:var(--main)}
nav{display:flex;justify-content:space-between}
"""


@dataclass(frozen=True)
class Person:
    """A profile as the page shows it.

    Attributes:
        timeline: What happened, as it came in: a time, a blank, and a name.
    """

    name: str
    fields: Mapping[str, Any]
    timeline: Sequence[str]


def page(title: str, people: Sequence[Person], query: Mapping[str, str]) -> bytes:
    """Show those who were asked for, whoever had the newest event first.

    Args:
        query: `q`, part of a name or a value; `from`, how many to leave out.
    """
    asked = query.get("q", "").strip()
    first = int(query["from"]) if query.get("from", "").isdecimal() else 0
    found = sorted(filter(lambda one: _fits(one, asked.lower()), people), key=_newest, reverse=True)
    shown = "".join(_card(one) for one in found[first : first + PEOPLE_AT_ONCE])
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body><main>"
        f"<h1>{escape(title)}</h1><p>A sandbox on this machine: it takes what the engine sends, as "
        "the real one would, and nothing leaves it.</p>"
        f'<form><input name="q" value="{escape(asked)}" aria-label="Part of a name or a value" '
        'placeholder="part of a name or a value"><button>Find</button></form>'
        f"<p>{_count(len(found))}</p>{shown}{_further(asked, first, len(found))}"
        "</main></body></html>"
    ).encode()


def _fits(person: Person, asked: str) -> bool:
    texts = [person.name, *map(str, person.fields.values())]
    return not asked or any(asked in text.lower() for text in texts)


def _newest(person: Person) -> tuple[str, str]:
    return (max((event.partition(" ")[0] for event in person.timeline), default=""), person.name)


def _count(people: int) -> str:
    return {0: "Nobody.", 1: "1 profile."}.get(people, f"{people:,} profiles.")


def _card(person: Person) -> str:
    fields = "".join(
        f"<dt>{escape(str(name))}</dt><dd>{escape(str(value))}</dd>"
        for name, value in person.fields.items()
        if value is not None
    )
    newest = sorted(person.timeline, key=lambda event: event.partition(" ")[0])[::-1]
    newest = newest[:EVENTS_AT_ONCE]
    events = "".join(_event(event) for event in newest) or "<li>Nothing yet.</li>"
    older = len(person.timeline) - len(newest)
    more = f"<p>and {older:,} older ones</p>" if older else ""
    last = newest[0].partition(" ")[2] if newest else "no event"
    return (
        f"<details><summary><b>{escape(person.name)}</b><span>{escape(last)}</span></summary>"
        f'<div class="two"><section><h2>Profile</h2><dl>{fields}</dl></section>'
        f"<section><h2>Timeline, newest first</h2><ol>{events}</ol>{more}</section></div></details>"
    )


def _event(text: str) -> str:
    at, _, name = text.partition(" ")
    shown = at[:19].replace("T", " ")
    return f"<li><time>{escape(shown)}</time>{escape(name)}</li>"


def _further(asked: str, first: int, count: int) -> str:
    links = []
    for text, start in (("← newer", first - PEOPLE_AT_ONCE), ("older →", first + PEOPLE_AT_ONCE)):
        is_there = 0 <= start < count
        query = escape(urlencode({"q": asked, "from": start}))
        links.append(f'<a href="?{query}">{text}</a>' if is_there else "<span></span>")
    return f"<nav>{''.join(links)}</nav>"
