"""Whoever follows the `type` of a problem finds what to do about it."""

import re

from django.test import RequestFactory

from loyalty.errors import all_errors
from loyalty.http.errors_page import errors_page


def page() -> str:
    return errors_page(RequestFactory().get("/docs/errors")).content.decode()


def section(code: str) -> str:
    found = re.search(rf'<h2 id="{code}">.*?(?=<h2|</body>)', page(), re.DOTALL)
    assert found is not None, code
    return found[0]


def test_each_code_has_its_title_the_documentation_and_whether_to_try_again() -> None:
    for error in all_errors():
        assert section(error.code).count("<p>") >= 3, error.code


def test_it_names_the_reasons_that_the_documentation_names() -> None:
    said = section("reward_not_available")
    assert "<code>tier_too_low</code>" in said
    assert "use a new key to ask again" in said


def test_links_to_files_that_are_not_served_are_words() -> None:
    assert "crm_inbound.md" in section("signature_invalid")
    assert "](" not in page() and "href" not in page()


def test_it_fits_a_phone() -> None:
    assert 'name="viewport"' in page()
