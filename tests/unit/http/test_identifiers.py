"""How members are named: two spellings of one identifier are one identifier (scenario 50)."""

import unicodedata

import pytest

from loyalty.members.identifiers import MemberRef, normalise, parse_member_ref

MEMBER = "01a2015a-1a04-72b4-95ab-3d590c85e5ad"


def test_a_reference_is_an_id_a_card_or_an_external_id() -> None:
    assert parse_member_ref(MEMBER) == MemberRef("id", MEMBER)
    assert parse_member_ref(MEMBER.upper()) == MemberRef("id", MEMBER)
    assert parse_member_ref("card: 2261 ") == MemberRef("card", "2261")
    assert parse_member_ref("external:shop:77") == MemberRef("external", "shop:77")
    assert str(parse_member_ref("card:2261")) == "card:2261"
    assert str(parse_member_ref(MEMBER)) == MEMBER


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2261",
        "card:",
        "card: ",
        "email:a@b.c",
        "phone:+1555",
        "Card:1",
        "id:" + MEMBER,
        MEMBER + "0",
        MEMBER.replace("-", ""),
        "{" + MEMBER + "}",
        "card:\x00",
        "card:" + "x" * 101,
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"[a-z]"):
        parse_member_ref(text)


def test_an_email_has_one_spelling() -> None:
    for spelling in (
        " José.Núñez@Example.COM ",
        unicodedata.normalize("NFD", "josé.núñez@example.com"),
        "JOSÉ.NÚÑEZ@EXAMPLE.COM",
    ):
        assert normalise("email", spelling) == unicodedata.normalize(
            "NFC", "josé.núñez@example.com"
        )
    assert normalise("email", "STRASSE@x.de") == normalise("email", "straße@x.de")


def test_normalising_twice_changes_nothing() -> None:
    for kind, value in (
        ("email", "İstanbul@X.TR"),
        ("email", "ΑΣ@x.gr"),
        ("phone", "+1 (555) 010-99.99"),
        ("card", " é "),
    ):
        once = normalise(kind, value)  # type: ignore[arg-type]
        assert normalise(kind, once) == once  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "value", ["a", "a@", "@b", "a b@c", "a@b@c", "x" * 65 + "@y", "a@" + "b" * 190]
)
def test_what_is_no_email_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="not an email"):
        normalise("email", value)


@pytest.mark.parametrize(
    "invisible", ["\u200b", "\u200d", "\u202e", "\ufeff", "\u00ad", "\x00", "\x1b"]
)
@pytest.mark.parametrize("kind", ["card", "external", "email", "phone"])
def test_invisible_characters_are_refused(kind: str, invisible: str) -> None:
    with pytest.raises(ValueError, match=r"[a-z]"):
        normalise(kind, f"ab{invisible}c@d.e")  # type: ignore[arg-type]


def test_a_phone_number_is_digits_and_a_plus() -> None:
    assert normalise("phone", "+1 (555) 010-9999") == "+15550109999"
    assert normalise("phone", "0555/0109999") == "05550109999"


@pytest.mark.parametrize(
    "value",
    ["", "1234", "+", "1" * 16, "555-CALL-NOW", "\uff11\uff12\uff13\uff14\uff15\uff16", "++12345"],
)
def test_what_is_no_phone_number_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="phone number"):
        normalise("phone", value)
