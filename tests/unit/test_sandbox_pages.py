"""What a person sees of a sandbox."""

from crm_sync.sandboxes.pages import EVENTS_AT_ONCE, PEOPLE_AT_ONCE, Person, page


def shown(*people: Person, **query: str) -> str:
    return page("Vendor", people, query).decode()


def person(name: str, *timeline: str, **fields: object) -> Person:
    return Person(name, fields, timeline)


def test_nobody_yet() -> None:
    assert "Nobody." in shown()


def test_what_a_vendor_holds_is_text_and_never_markup() -> None:
    text = shown(person("<script>a", "2026-11-22T10:00:00Z <b>x", field="<img src=x>"), q='"><i>')
    assert "<script>a" not in text
    assert "<i>" not in text
    assert "Nobody." in text
    text = shown(person("<script>a", "2026-11-22T10:00:00Z <b>x", field="<img src=x>", no=None))
    assert "&lt;script&gt;a" in text
    assert "&lt;b&gt;x" in text
    assert "&lt;img src=x&gt;" in text
    assert "<dt>no</dt>" not in text


def test_whoever_had_the_newest_event_comes_first_and_it_is_on_top() -> None:
    old = person("old", "2026-11-01T10:00:00Z Joined")
    new = person("new", "2026-11-22T10:00:00Z Earned", "2026-11-02T10:00:00Z Joined")
    text = shown(old, person("silent"), new)
    assert text.index(">new<") < text.index(">old<") < text.index(">silent<")
    assert text.index("</time>Earned") < text.index("</time>Joined")


def test_many_are_a_few_at_a_time_and_found_by_any_value() -> None:
    people = [person(f"member-{n:02}", tier="gold" if n == 7 else "none") for n in range(60)]
    first = shown(*people)
    assert first.count("<details>") == PEOPLE_AT_ONCE
    assert "60 profiles." in first
    assert "from=25" in first
    assert "← newer" not in first
    last = shown(*people, **{"from": "50"})
    assert last.count("<details>") == 10
    assert "older →" not in last
    assert shown(*people, **{"from": "x"}).count("<details>") == PEOPLE_AT_ONCE
    found = shown(*people, q="GOLD")
    assert "member-07" in found
    assert "1 profile." in found


def test_a_long_life_is_cut() -> None:
    text = shown(person("a", *(f"2026-11-22T10:00:00Z e{n}" for n in range(EVENTS_AT_ONCE + 5))))
    assert text.count("<li>") == EVENTS_AT_ONCE
    assert "and 5 older ones" in text


def test_nothing_comes_from_elsewhere() -> None:
    text = shown(person("a", "2026-11-22T10:00:00Z b"))
    assert "http" not in text
    assert "<script" not in text
    assert 'name="viewport"' in text
