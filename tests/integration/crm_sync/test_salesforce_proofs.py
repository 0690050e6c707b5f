"""A Salesforce client that we did not write takes our sandbox for Salesforce; the engine, a till
and Salesforce.
"""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
import requests
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from django.db.models.functions import Now
from requests.adapters import HTTPAdapter
from simple_salesforce import Salesforce as Client
from simple_salesforce.exceptions import SalesforceAuthenticationFailed, SalesforceMalformedRequest

from crm_sync.adapters.contract import Person
from crm_sync.adapters.outcomes import Configuration, Delivered
from crm_sync.adapters.salesforce import SalesforceAdapter
from crm_sync.inbound.polling import list_polled, poll
from crm_sync.models import FieldMapping, PollCursor
from crm_sync.sandboxes.salesforce import Salesforce
from crm_sync.sandboxes.server import Fault
from crm_sync.services.connections import create_connection
from loyalty.members.consent import list_consents
from loyalty.members.models import Member, SegmentMember
from tests.factories import Till
from tests.integration.crm_sync.calls import Secrets, environment
from tests.integration.crm_sync.klaviyo_calls import event
from tests.integration.crm_sync.outbox import drain, pass_time
from tests.integration.crm_sync.salesforce_calls import connect, event_ids

DOMAIN = "acme.my"


class Rewritten(HTTPAdapter):
    """Sends what is meant for Salesforce to the sandbox."""

    def __init__(self, sandbox: Salesforce) -> None:
        super().__init__()
        self._sandbox = sandbox

    def send(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        for host in (
            f"https://{DOMAIN}.salesforce.com",
            self._sandbox.url.replace("http:", "https:"),
        ):
            request.url = request.url.replace(host, self._sandbox.url)
        return super().send(request, *args, **kwargs)


def stranger(sandbox: Salesforce, **login: Any) -> Any:
    """Log in with simple-salesforce."""
    session = requests.Session()
    session.mount("https://", Rewritten(sandbox))
    return Client(session=session, domain=DOMAIN, version="64.0", **login)


@pytest.fixture
def salesforce() -> Iterator[Salesforce]:
    with Salesforce() as running:
        yield running


@pytest.fixture(scope="module")
def key() -> RSAPrivateKey:
    return generate_private_key(public_exponent=65537, key_size=2048)


def pem(key: RSAPrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


class TestSandbox:
    def test_it_logs_in_writes_and_asks(self, salesforce: Salesforce) -> None:
        client = stranger(
            salesforce,
            consumer_key=salesforce.client_id,
            consumer_secret=salesforce.client_secret,
        )
        values = {"LastName": "Lovelace", "Email": "ada@example.com", "Loyalty_Tier__c": "gold"}
        assert client.Contact.upsert("Loyalty_Member_Id__c/m1", values) == 201
        assert client.Contact.upsert("Loyalty_Member_Id__c/m1", {"Loyalty_Tier__c": None}) == 200
        asked = "SELECT Id, Email, Loyalty_Tier__c FROM Contact WHERE Loyalty_Member_Id__c = 'm1'"
        (found,) = client.query_all(asked)["records"]
        assert (found["Email"], found["Loyalty_Tier__c"]) == ("ada@example.com", None)
        assert client.Contact.get(found["Id"])["LastName"] == "Lovelace"
        for n in range(250):
            salesforce.store.add("Contact", LastName=f"Number {n}")
        everybody = client.query_all("SELECT LastName FROM Contact ORDER BY LastName")
        assert len(everybody["records"]) == everybody["totalSize"] == 251
        assert client.api_usage["api-usage"].used == salesforce.used
        with pytest.raises(SalesforceMalformedRequest, match="No such column 'Nothing__c'"):
            client.query("SELECT Nothing__c FROM Contact")
        with pytest.raises(SalesforceMalformedRequest, match="REQUIRED_FIELD_MISSING"):
            client.Contact.create({"Email": "bob@example.com"})

    def test_it_runs_jobs(self, salesforce: Salesforce) -> None:
        client = stranger(
            salesforce,
            consumer_key=salesforce.client_id,
            consumer_secret=salesforce.client_secret,
        )
        there = salesforce.store.add("Contact", LastName="Byron")
        rows = [
            {"Id": there["Id"], "LastName": "Lovelace", "Email": "#N/A"},
            {"Id": "", "LastName": "Babbage", "Email": "charles@example.com"},
            {"Id": "", "LastName": "Bad", "Email": "not an email"},
        ]
        (job,) = client.bulk2.Contact.upsert(records=rows, external_id_field="Id", wait=0.01)
        assert (job["numberRecordsProcessed"], job["numberRecordsFailed"]) == (3, 1)
        assert "INVALID_EMAIL_ADDRESS" in client.bulk2.Contact.get_failed_records(job["job_id"])
        assert {one["LastName"] for one in salesforce.store.alive("Contact")} == {
            *("Lovelace", "Babbage")
        }

    @pytest.mark.filterwarnings("ignore::UserWarning:simple_salesforce")
    def test_it_knows_a_signature(self, salesforce: Salesforce, key: RSAPrivateKey) -> None:
        login = {"username": salesforce.username, "consumer_key": salesforce.client_id}
        with pytest.raises(SalesforceAuthenticationFailed, match="no certificate"):
            stranger(salesforce, privatekey=pem(key), **login)
        salesforce.public_key = key.public_key()
        stranger(salesforce, privatekey=pem(key), **login)
        with pytest.raises(SalesforceAuthenticationFailed, match="hasn't approved"):
            stranger(salesforce, privatekey=pem(key), **{**login, "username": "x@example.com"})


class TestLogIn:
    """What simple-salesforce proved right, our adapter does as well."""

    @pytest.mark.parametrize("without", ["", "\n"])
    def test_by_a_private_key(
        self, salesforce: Salesforce, key: RSAPrivateKey, without: str
    ) -> None:
        salesforce.public_key = key.public_key()
        account = connect(salesforce, username=salesforce.username)
        given = pem(key).replace(without, "") if without else pem(key)
        assert isinstance(account.credentials, Secrets)
        account.credentials.given["secret"] = given
        assert isinstance(SalesforceAdapter(environment()).probe(account, event()), Delivered)

    @pytest.mark.parametrize("secret", ["", "s3cret", "-----BEGIN X-----\nAAAA\n-----END X-----"])
    def test_a_key_that_is_none(self, salesforce: Salesforce, secret: str) -> None:
        account = connect(salesforce, username=salesforce.username)
        assert isinstance(account.credentials, Secrets)
        account.credentials.given["secret"] = secret
        outcome = SalesforceAdapter(environment()).probe(account, event())
        assert isinstance(outcome, Configuration)
        assert "RSA private key" in outcome.error

    def test_another_key(self, salesforce: Salesforce, key: RSAPrivateKey) -> None:
        other = generate_private_key(public_exponent=65537, key_size=2048)
        salesforce.public_key = other.public_key()
        account = connect(salesforce, username=salesforce.username)
        assert isinstance(account.credentials, Secrets)
        account.credentials.given["secret"] = pem(key)
        outcome = SalesforceAdapter(environment()).probe(account, event())
        assert isinstance(outcome, Configuration)
        assert "invalid assertion" in outcome.error


class TestJourney:
    def test_what_salesforce_owns_comes_in(
        self, till: Till, salesforce: Salesforce, settings: Any
    ) -> None:
        settings.CRM_ALLOW_PRIVATE_ADDRESSES = True
        destination = create_connection(
            program_id=till.program.pk,
            name="Salesforce",
            adapter="salesforce",
            config={
                "address": salesforce.url,
                "client_id": salesforce.client_id,
                "campaigns": "yes",
            },
            secrets={"secret": salesforce.client_secret},
        )
        FieldMapping.objects.create(
            connection=destination, attribute="first_name", name="FirstName", owner="vendor"
        )
        member_id = UUID(till.ids[till.member()])
        drain()
        (known,) = salesforce.store.alive("Contact")
        vip = salesforce.store.add("Campaign", Name="VIP")
        salesforce.store.add("CampaignMember", CampaignId=vip["Id"], ContactId=known["Id"])
        for is_out in (False, True):
            salesforce.store.change(known["Id"], FirstName="Augusta", HasOptedOutOfEmail=is_out)
            list_polled()
            PollCursor.objects.filter(pk=destination.pk).update(next_at=Now())
            assert poll(connection_id=destination.pk, seconds=30.0) == 2
        told = [row.is_given for row in list_consents([member_id])]
        assert told == [False, True]
        assert Member.objects.get(pk=member_id).first_name == "Augusta"
        inside = SegmentMember.objects.filter(member_id=member_id).values_list("segment", flat=True)
        assert list(inside) == ["salesforce.vip"]

    def test_the_right_record_and_each_event_once_in_order(
        self, till: Till, salesforce: Salesforce, settings: Any
    ) -> None:
        settings.CRM_ALLOW_PRIVATE_ADDRESSES = True
        destination = create_connection(
            program_id=till.program.pk,
            name="Salesforce",
            adapter="salesforce",
            config={"address": salesforce.url, "client_id": salesforce.client_id},
            secrets={"secret": salesforce.client_secret},
        )
        card = till.member(balance=500)
        salesforce.faults = [Fault(path="Loyalty_Event__c", hangs_up=True)]
        for _ in range(3):
            drain()
            pass_time(destination)
            salesforce.expire()
        till.adjust(card, -200)
        drain()
        (known,) = salesforce.store.alive("Contact")
        member = Person(member_id=till.ids[card])
        assert known["Loyalty_Member_Id__c"] == member.member_id
        assert known["Loyalty_Points_Balance__c"] == 300
        assert known["Loyalty_Tier__c"] == "bronze"
        assert [one["Type__c"] for one in salesforce.events_of(known)] == [
            "Member Enrolled",
            *["Points Adjusted"] * 2,
        ]
        assert len(set(event_ids(salesforce, member.member_id))) == 3
