"""The complete programs of the documentation: each applied, and a member walked through it."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from loyalty.http.auth import Principal
from loyalty.members.schemas import UpdateMember, UpdateRequest
from loyalty.members.segments import add_members
from loyalty.members.services import UPDATE
from loyalty.nightly.services import run_night
from loyalty.programs import files
from loyalty.programs.services import apply_document
from tests.factories import Clock, Till, line, unique
from tests.integration.orders.test_activities import do

FILES = Path("docs/programs")


def open_shop(name: str) -> Till:
    """Apply a file under a code of the test's own, and stand at its till."""
    document = {**files.read((FILES / f"{name}.yaml").read_text()), "program": unique()}
    program = apply_document(document, actor="tests")
    return Till(program, document, Principal(1, program.pk, "till", frozenset()))


def born(till: Till, card: str, day: str) -> None:
    body = UpdateRequest.model_validate_json(f'{{"profile": {{"birth_date": "{day}"}}}}')
    payload = UpdateMember(("card", card), body)  # type: ignore[arg-type]
    assert till.send(till.command(UPDATE, payload, day))[0].status == 200


@pytest.mark.parametrize("path", sorted(FILES.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_file_is_a_program_and_its_export_is_the_same_program(path: Path):
    document = files.read(path.read_text())
    assert document["program"] == path.stem
    assert files.read(files.export(document)) == document


def test_the_grocers_weekend_shop(clock: Clock):
    """Saturday, 80.00 of which 20.00 is produce: 80 + 20 doubled + 50; silver at 500.00."""
    till = open_shop("grocer")
    clock.set(datetime(2027, 1, 16, 15, 0, tzinfo=UTC))
    basket = [line("1", "60.00", category="GROCERY"), line("2", "20.00", category="PRODUCE")]
    first = till.earn("4711", unique("o"), lines=basket)
    assert (first.points, first.balance["available"]) == (150, 250)
    assert till.redeem("4711", reward="bag").balance["available"] == 0
    second = till.earn("4711", unique("o"), "420.00")
    assert (second.points, second.tier["code"]) == (420, "silver")  # once a week
    third = till.earn("4711", unique("o"), "40.00")
    assert third.points == 50  # 40 at Silver; too small for the weekend's bonus
    born(till, "4711", "1990-01-16")
    assert till.earn("4711", unique("o"), "4.00").points == 105
    assert till.redeem("4711", points=150).status == 422  # in steps of 100
    assert till.redeem("4711", points=500).status == 201


def test_the_grocers_harvest(clock: Clock):
    """20.00 of apples and 10.00 more of produce in September: 75 more, twice a month."""
    till = open_shop("grocer")
    clock.set(datetime(2027, 9, 1, 3, 59, tzinfo=UTC))  # still August in New York
    apples = {**line("1", "20.00", category="PRODUCE"), "sku": "apples-2kg"}
    basket = [apples, line("2", "10.00", category="PRODUCE")]
    assert till.earn("4711", unique("o"), lines=basket).points == 60
    clock.move(timedelta(minutes=1))
    for more in (75, 75, 0):  # 30, doubled, and the apples' 20 two times more
        award = till.earn("4711", unique("o"), lines=basket)
        assert award.points == 30 + 30 + 40 + more
    why = [(one["rule"], one.get("campaign"), one["points"]) for one in award.explanation]
    assert ("harvest-triple", "harvest", 40) in why
    assert "harvest-basket" in [one["rule"] for one in award.not_applied]


def test_ten_stamps_are_a_coffee(clock: Clock):
    """Two for joining, one a coffee, two at half past two; the tenth stamp is a free coffee."""
    till = open_shop("coffee")
    vienna = ZoneInfo("Europe/Vienna")
    coffee = [line("1", "3.90", category="COFFEE")]
    clock.set(datetime(2027, 1, 18, 9, 0, tzinfo=vienna))
    first = till.earn("77", unique("o"), lines=coffee, store=None, channel="pos")
    assert (first.points, first.balance["available"]) == (1, 3)
    clock.set(datetime(2027, 1, 18, 14, 30, tzinfo=vienna))
    quiet = till.earn("77", unique("o"), lines=coffee, store=None, channel="pos")
    assert (quiet.points, quiet.balance["available"]) == (2, 5)
    assert till.redeem("77", reward="free-coffee").missing == 5
    cake = till.earn(
        "77", unique("o"), lines=[line("1", "4.50", category="CAKE")], store=None, channel="pos"
    )
    assert cake.points == 0
    assert till.redeem("77", reward="extra-shot").balance["available"] == 3
    for visit in range(4, 11):
        clock.set(datetime(2027, 1, 20 + visit, 9, 0, tzinfo=vienna))
        last = till.earn("77", unique("o"), lines=coffee, store=None, channel="pos")
        assert "issued" not in last.body or visit == 10
    assert last.points == 3  # the tenth visit counts three: 3 + 6 + 3 are two more than the card
    [free] = last.issued
    assert (free["reward"], free["points"]) == ("free-coffee", 10)
    assert (free["given_for"], last.balance["available"]) == ("auto_redeem", 2)


def test_fashion_waits_for_what_comes_back(clock: Clock):
    """900.00 makes an Icon; sent back, she is an Insider again and nothing was ever usable."""
    till = open_shop("fashion")
    clara = till.member()
    born(till, clara, "1988-03-09")
    clock.set(datetime(2027, 2, 10, 12, 0, tzinfo=UTC))
    basket = [line("1", "300.00", brand="Atelier"), line("2", "600.00")]
    first = till.earn(clara, "big", lines=basket, store="paris")
    # 900 for the euros, 150 for the label, 50 for the first order: counted before she is an Icon
    assert (first.points, first.body["status"], first.tier["code"]) == (1100, "pending", "icon")
    back = till.take_back("big", "r1", {"2": "1"}, store="paris")
    assert back.balance["available"] == 0
    assert back.balance["pending"] == 1100 - back.clawed_back
    clock.set(datetime(2027, 3, 1, 12, 0, tzinfo=UTC))
    march = till.earn(clara, "march", "100.00", store="lyon")
    assert march.tier["code"] == "insider"  # 300.00 kept and 100.00 more are below 600.00
    assert march.points == 200  # her birthday month
    assert march.balance["available"] == 1100 - back.clawed_back
    taken = till.redeem(clara, reward="ten-off")
    assert taken.gives == {"amount_off": "10.00", "currency": "EUR"}
    assert till.redeem(clara, reward="atelier-visit").status == 409  # not an Icon


def test_miles_of_a_membership_year(clock: Clock):
    """A business ticket of 9,000 kr brings Silver; two years later it is lost."""
    till = open_shop("airline")
    nils = till.member()
    ticket = [line("1", "9000.00", category="BUSINESS")]
    flown = till.earn(nils, unique("o"), lines=ticket, store=None, channel="app")
    assert flown.points == 18_000 + 18_000 + 500
    assert (flown.tier["code"], flown.balance["available"]) == ("silver", 37_500)
    assert flown.tier["valid_until"] == "2029-01-14"
    assert till.redeem(nils, reward="upgrade").points == 20_000
    again = till.earn(
        nils, unique("o"), lines=[line("1", "1000.00", category="FLEX")], store=None, channel="web"
    )
    assert again.points == 2_000 + 1_000 + 500  # Silver counts the two miles a quarter more
    clock.set(datetime(2028, 11, 1, 12, 0, tzinfo=UTC))
    run_night(till.program.pk, today=clock.now.date())
    clock.set(datetime(2029, 1, 16, 12, 0, tzinfo=UTC))
    run_night(till.program.pk, today=clock.now.date())
    small = till.earn(nils, unique("o"), lines=[line("1", "100.00")], store=None, channel="web")
    assert (small.tier["code"], small.points) == ("blue", 200)


def test_coins_pay_half_of_an_order(clock: Clock):
    """200 for the first order, 100 for coming back, usable after a week, at most half an order."""
    till = open_shop("marketplace")
    zoe = till.member()
    first = till.earn(
        zoe,
        unique("o"),
        lines=[line("1", "20.30", category="HOME"), line("2", "10.00", brand="Tidewater")],
        store=None,
        channel="app",
    )
    # 60 for 30.30; HOME doubled gives 40 more, TIDEWATER tripled 38: the better one counts
    assert first.points == 60 + 40 + 20 + 200
    assert (first.body["status"], first.expires_at[:10]) == ("pending", "2028-01-01")
    clock.move(timedelta(days=9))
    again = till.earn(zoe, unique("o"), "12.00", store=None, channel="web")
    assert again.points == 24 + 100
    assert again.balance["available"] == 320
    share = till.redeem(zoe, points=300, order_amount="4.00")
    assert share.status == 422  # half of it is 2.00
    paid = till.redeem(zoe, points=200, order_amount="4.00")
    assert paid.gives["amount_off"] == "2.00"
    real = {"verified": True, "stars": 2}
    assert do(till, zoe, "review", unique("r"), properties=real).points == 25
    assert do(till, zoe, "review", unique("r"), properties={"verified": False}).points == 0
    assert till.redeem(zoe, reward="early").reason == "not_in_segment"
    add_members(till.program.pk, "patrons", [("card", zoe)])
    assert till.redeem(zoe, reward="early").fulfilment == "ordered"
