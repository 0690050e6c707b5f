"""Shopify's own schema, and what it says of a document."""

import gzip
import json
from functools import lru_cache
from typing import Any

from graphql import GraphQLSchema, OperationDefinitionNode, build_client_schema
from graphql import parse as parse_document
from graphql import validate as validate_document
from graphql.execution.values import get_variable_values

from tests.specs import folder


@lru_cache(maxsize=1)
def shopifys_own() -> GraphQLSchema:
    path = folder("shopify") / "admin-2026-10.introspection.json.gz"
    with gzip.open(path) as file:
        document = json.load(file)
    # Valid to Shopify: newer rules about deprecated fields are not kept there.
    return build_client_schema(document.get("data", document), assume_valid=True)


def problems(schema: GraphQLSchema, text: str, variables: dict[str, Any]) -> list[str]:
    """Say what is wrong with a document and its variables; empty if nothing is."""
    document = parse_document(text)
    found = [error.message for error in validate_document(schema, document)]
    if found:
        return found
    operation = next(n for n in document.definitions if isinstance(n, OperationDefinitionNode))
    values = get_variable_values(schema, operation.variable_definitions or (), variables)
    return [error.message for error in values] if isinstance(values, list) else []
