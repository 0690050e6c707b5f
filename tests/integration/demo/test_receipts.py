"""Real receipts are odd; all of it is read, and what is done about it is said."""

import gzip
from datetime import datetime
from pathlib import Path

import pytest

from loyalty.demo.market import EXAMPLE_CARD, RECEIPTS_FILE, demo_document
from loyalty.demo.receipts import Receipts, ReceiptsUnreadable, read_receipts

HEAD = (
    "basket_id,household_id,store_id,purchased_at,product_id,department,brand,quantity,sales_value"
)


def read(tmp_path: Path, *rows: str) -> Receipts:
    file = tmp_path / "receipts.csv"
    file.write_text("\n".join([HEAD, *rows]))
    return read_receipts(file)


def test_lines_of_a_basket_come_together_and_baskets_in_order_of_time(tmp_path):
    found = read(
        tmp_path,
        "b2,7,309,2017-01-02 09:00:00,11,GROCERY,National,1,2.5",
        "b1,8,310,2017-01-01 10:00:00,12,produce,Private,2,3.0",
        "b2,7,309,2017-01-02 09:00:00,13,PRODUCE,Private,1,1",
    ).baskets
    assert [receipt.basket for receipt in found] == ["b1", "b2"]
    assert found[0].purchased_at == datetime(2017, 1, 1, 10)
    assert found[0].lines == [
        {
            "line": "1",
            "sku": "12",
            "quantity": "2",
            "amount": "3.00",
            "category": "PRODUCE",
            "brand": "Private",
        }
    ]
    assert [line["line"] for line in found[1].lines] == ["1", "2"]


@pytest.mark.parametrize(
    ("quantity", "amount", "sent"),
    [
        ("0", "0.0", ("0", "0.00")),
        ("1", "4.440892e-16", ("1", "0.00")),
        ("12608", "27.72", ("12.608", "27.72")),
        ("10", "100.0", ("10", "100.00")),
        ("54", "5.4", ("54", "5.40")),
    ],
)
def test_odd_quantities_and_amounts_are_sent_all_the_same(tmp_path, quantity, amount, sent):
    found = read(tmp_path, f"b1,7,309,2017-01-02 09:00:00,11,FUEL,National,{quantity},{amount}")
    line = found.baskets[0].lines[0]
    assert (line["quantity"], line["amount"]) == sent
    assert not found.skipped


def test_a_line_without_a_department_has_no_category(tmp_path):
    found = read(tmp_path, "b1,7,309,2017-01-02 09:00:00,11,,,1,2.50")
    assert found.baskets[0].lines[0].keys() == {"line", "sku", "quantity", "amount"}
    assert found.odd() == {"no department: sent without a category": 1}


@pytest.mark.parametrize(
    "row",
    [
        "b1,7,309,yesterday,11,GROCERY,National,1,2.50",
        "b1,7,309,2017-01-02 09:00:00,11,GROCERY,National,one,2.50",
        "b1,7,309,2017-01-02 09:00:00,11,GROCERY,National,-1,2.50",
        "b1,7,309,2017-01-02 09:00:00,11,GROCERY,National,1,NaN",
        "b1,7,309",
    ],
)
def test_what_cannot_be_read_is_counted_not_lost(tmp_path, row):
    good = "b0,7,309,2017-01-02 09:00:00,11,GROCERY,National,1,2.50"
    found = read(tmp_path, good, row)
    assert [receipt.basket for receipt in found.baskets] == ["b0"]
    assert found.skipped.total() == 1


@pytest.mark.parametrize("content", ["", "a,b\n1,2", HEAD])
def test_a_file_without_receipts_is_refused(tmp_path, content):
    (tmp_path / "receipts.csv").write_text(content)
    with pytest.raises(ReceiptsUnreadable):
        read_receipts(tmp_path / "receipts.csv")


def test_a_damaged_gzip_is_refused_in_words(tmp_path):
    whole = gzip.compress(HEAD.encode() * 50)
    (tmp_path / "receipts.csv.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ReceiptsUnreadable, match="cannot be read"):
        read_receipts(tmp_path / "receipts.csv.gz")


def test_the_demo_has_2000_receipts_and_knows_all_their_stores():
    receipts = read_receipts(RECEIPTS_FILE)
    assert len(receipts.baskets) == 2000
    assert not receipts.skipped
    stores = {store["code"] for store in demo_document()["stores"]}
    assert receipts.stores() == stores
    assert EXAMPLE_CARD in {receipt.household for receipt in receipts.baskets}
