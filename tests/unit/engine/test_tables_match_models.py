"""The rows that commands write are described twice: here it is proved that both agree."""

import pytest
from django.apps import apps
from django.db import models

from loyalty.engine import tables as engine_tables
from loyalty.engine.writing import Table
from loyalty.events.documents import DocumentField
from loyalty.members import rows as member_rows
from loyalty.nightly import rows as nightly_rows
from loyalty.orders import rows as order_rows
from loyalty.rewards import code_rows
from loyalty.rewards import rows as reward_rows

TABLES = {
    name: value
    for module in (engine_tables, member_rows, nightly_rows, order_rows, reward_rows, code_rows)
    for name, value in vars(module).items()
    if isinstance(value, Table)
}
MODELS = {model._meta.db_table: model for model in apps.get_app_config("loyalty").get_models()}
TYPES: dict[str, tuple[type[models.Field], ...]] = {
    "uuid": (models.UUIDField, models.OneToOneField, models.ForeignKey),
    "text": (models.CharField, models.TextField),
    "bigint": (models.BigIntegerField,),
    "int": (models.IntegerField, models.ForeignKey),
    "smallint": (models.SmallIntegerField,),
    "timestamptz": (models.DateTimeField,),
    "date": (models.DateField,),
    "json": (DocumentField,),
    "jsonb": (models.JSONField,),
    "boolean": (models.BooleanField,),
    "bytea": (models.BinaryField,),
}


@pytest.mark.parametrize("name", sorted(TABLES))
def test_every_column_is_a_field_of_its_model_with_its_type(name: str) -> None:
    table = TABLES[name]
    fields = {field.column: field for field in MODELS[table.name]._meta.concrete_fields}
    computed = {"taken", "wipe"}

    for column, type_ in table.columns.items():
        if column in computed:
            continue
        assert column in fields, f"{table.name} has no column {column}"
        assert isinstance(fields[column], TYPES[type_]), (column, type_)


@pytest.mark.parametrize("name", sorted(name for name in TABLES if not TABLES[name].update))
def test_an_insert_gives_every_column_that_has_no_default_of_the_database(name: str) -> None:
    table = TABLES[name]
    missing = {
        field.column
        for field in MODELS[table.name]._meta.concrete_fields
        if field.column not in table.columns
        and not isinstance(field, models.AutoField)
        and not field.null
    }

    assert not missing, f"{table.name} lacks {missing}"
