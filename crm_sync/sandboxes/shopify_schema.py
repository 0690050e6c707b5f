"""The part of Shopify's Admin GraphQL schema that the sandbox serves."""

from typing import Final

SCHEMA: Final = """
schema { query: QueryRoot mutation: Mutation }
scalar DateTime
scalar Decimal
scalar JSON
enum CurrencyCode { CAD EUR GBP USD }
enum OrderSortKeys { CREATED_AT ID UPDATED_AT }
enum OrderDisplayFinancialStatus {
  AUTHORIZED EXPIRED PAID PARTIALLY_PAID PARTIALLY_REFUNDED PENDING REFUNDED VOIDED
}
enum CustomerSortKeys { CREATED_AT ID UPDATED_AT }
enum CustomerEmailAddressMarketingState { INVALID NOT_SUBSCRIBED PENDING SUBSCRIBED UNSUBSCRIBED }
enum CustomerMarketingConsentState { NEVER_SUBSCRIBED PENDING REDACTED SUBSCRIBED UNSUBSCRIBED }

interface Node { id: ID! }
type PageInfo { hasNextPage: Boolean! endCursor: String }
type MoneyV2 { amount: Decimal! currencyCode: CurrencyCode! }
type Shop { name: String! }
type ApiVersion { handle: String! supported: Boolean! }
type AccessScope { handle: String! }
type AppInstallation { accessScopes: [AccessScope!]! }

type Metafield {
  key: String! type: String! value: String! compareDigest: String!
}
type MetafieldConnection { nodes: [Metafield!]! pageInfo: PageInfo! }
type CustomerEmailAddress {
  emailAddress: String!
  marketingState: CustomerEmailAddressMarketingState!
  marketingUpdatedAt: DateTime
}
type CustomerSmsMarketingConsent { state: CustomerMarketingConsentState! updatedAt: DateTime }
type CustomerPhoneNumber {
  phoneNumber: String!
  smsMarketingConsent: CustomerSmsMarketingConsent!
}
type Customer implements Node {
  id: ID!
  updatedAt: DateTime!
  firstName: String
  lastName: String
  locale: String!
  tags: [String!]!
  verifiedEmail: Boolean!
  defaultEmailAddress: CustomerEmailAddress
  defaultPhoneNumber: CustomerPhoneNumber
  metafield(namespace: String, key: String!): Metafield
  metafields(first: Int, namespace: String): MetafieldConnection!
  storeCreditAccounts(first: Int): StoreCreditAccountConnection!
}
type CustomerSegmentMember {
  id: ID!
  defaultEmailAddress: CustomerEmailAddress
  metafield(namespace: String, key: String!): Metafield
}
type CustomerSegmentMemberEdge { node: CustomerSegmentMember! }
type CustomerSegmentMemberConnection {
  edges: [CustomerSegmentMemberEdge!]! pageInfo: PageInfo!
}
type CustomerConnection { nodes: [Customer!]! pageInfo: PageInfo! }

type MoneyBag { shopMoney: MoneyV2! }
type ProductVariant implements Node { id: ID! }
type DiscountAllocation { allocatedAmountSet: MoneyBag! }
type TaxLine { priceSet: MoneyBag! }
type LineItem implements Node {
  id: ID!
  sku: String
  vendor: String
  quantity: Int!
  currentQuantity: Int!
  isGiftCard: Boolean!
  variant: ProductVariant
  originalUnitPriceSet: MoneyBag!
  discountAllocations: [DiscountAllocation!]!
  taxLines(first: Int): [TaxLine!]!
}
type LineItemConnection { nodes: [LineItem!]! pageInfo: PageInfo! }
type RefundLineItem { quantity: Int! lineItem: LineItem! }
type RefundLineItemConnection { nodes: [RefundLineItem!]! pageInfo: PageInfo! }
type Refund implements Node {
  id: ID!
  refundLineItems(first: Int, after: String): RefundLineItemConnection!
}
type Order implements Node {
  id: ID!
  test: Boolean!
  taxesIncluded: Boolean!
  currencyCode: CurrencyCode!
  displayFinancialStatus: OrderDisplayFinancialStatus
  createdAt: DateTime!
  processedAt: DateTime!
  updatedAt: DateTime!
  cancelledAt: DateTime
  customer: Customer
  lineItems(first: Int, after: String): LineItemConnection!
  refunds(first: Int): [Refund!]!
}
type OrderConnection { nodes: [Order!]! pageInfo: PageInfo! }

interface StoreCreditAccountTransaction { amount: MoneyV2! createdAt: DateTime! }
type StoreCreditAccountCreditTransaction implements StoreCreditAccountTransaction & Node {
  id: ID! amount: MoneyV2! createdAt: DateTime!
}
type StoreCreditAccountDebitTransaction implements StoreCreditAccountTransaction & Node {
  id: ID! amount: MoneyV2! createdAt: DateTime!
}
type StoreCreditAccountTransactionConnection {
  nodes: [StoreCreditAccountTransaction!]! pageInfo: PageInfo!
}
type StoreCreditAccount implements Node {
  id: ID!
  balance: MoneyV2!
  transactions(first: Int, reverse: Boolean = false): StoreCreditAccountTransactionConnection!
}
type StoreCreditAccountConnection { nodes: [StoreCreditAccount!]! }

input CustomerIdentifierInput @oneOf { id: ID emailAddress: String phoneNumber: String }
input CustomerSetIdentifiers @oneOf { id: ID email: String phone: String }
input CustomerSetInput { email: String phone: String firstName: String lastName: String }
input MetafieldsSetInput {
  ownerId: ID! namespace: String key: String! type: String value: String! compareDigest: String
}
input MetafieldIdentifierInput { ownerId: ID! namespace: String! key: String! }
input MoneyInput { amount: Decimal! currencyCode: CurrencyCode! }
input StoreCreditAccountCreditInput {
  creditAmount: MoneyInput! expiresAt: DateTime notify: Boolean = false
}
input StoreCreditAccountDebitInput { debitAmount: MoneyInput! }

enum MetafieldsSetUserErrorCode { INVALID_TYPE INVALID_VALUE INVALID STALE_OBJECT BLANK }
enum CustomerSetUserErrorCode { INVALID TAKEN NOT_FOUND INPUT_MISMATCH }
enum StoreCreditAccountCreditUserErrorCode {
  OWNER_NOT_FOUND NEGATIVE_OR_ZERO_AMOUNT UNSUPPORTED_CURRENCY
}
enum StoreCreditAccountDebitUserErrorCode { ACCOUNT_NOT_FOUND INSUFFICIENT_FUNDS }
type UserError { field: [String!] message: String! }
type MetafieldsSetUserError {
  code: MetafieldsSetUserErrorCode elementIndex: Int field: [String!] message: String!
}
type CustomerSetUserError { code: CustomerSetUserErrorCode field: [String!] message: String! }
type StoreCreditAccountCreditUserError {
  code: StoreCreditAccountCreditUserErrorCode field: [String!] message: String!
}
type MetafieldsSetPayload { metafields: [Metafield!] userErrors: [MetafieldsSetUserError!]! }
type MetafieldIdentifier { ownerId: ID! namespace: String! key: String! }
type MetafieldsDeletePayload {
  deletedMetafields: [MetafieldIdentifier] userErrors: [UserError!]!
}
type CustomerSetPayload { customer: Customer userErrors: [CustomerSetUserError!]! }
type StoreCreditAccountCreditPayload {
  storeCreditAccountTransaction: StoreCreditAccountCreditTransaction
  userErrors: [StoreCreditAccountCreditUserError!]!
}
type StoreCreditAccountDebitUserError {
  code: StoreCreditAccountDebitUserErrorCode field: [String!] message: String!
}
type StoreCreditAccountDebitPayload {
  storeCreditAccountTransaction: StoreCreditAccountDebitTransaction
  userErrors: [StoreCreditAccountDebitUserError!]!
}

enum StagedUploadTargetGenerateUploadResource { BULK_MUTATION_VARIABLES FILE }
enum StagedUploadHttpMethodType { POST PUT }
input StagedUploadInput {
  resource: StagedUploadTargetGenerateUploadResource!
  filename: String!
  mimeType: String!
  httpMethod: StagedUploadHttpMethodType
}
scalar URL
type StagedUploadParameter { name: String! value: String! }
type StagedMediaUploadTarget { url: URL parameters: [StagedUploadParameter!]! }
type StagedUploadsCreatePayload {
  stagedTargets: [StagedMediaUploadTarget!] userErrors: [UserError!]!
}
enum BulkOperationStatus { CANCELED CANCELING COMPLETED CREATED EXPIRED FAILED RUNNING }
enum BulkOperationErrorCode { ACCESS_DENIED INTERNAL_SERVER_ERROR TIMEOUT }
enum BulkMutationErrorCode {
  INVALID_MUTATION INVALID_STAGED_UPLOAD_FILE LIMIT_REACHED NO_SUCH_FILE OPERATION_IN_PROGRESS
}
type BulkMutationUserError { code: BulkMutationErrorCode field: [String!] message: String! }
type BulkOperation implements Node {
  id: ID!
  status: BulkOperationStatus!
  errorCode: BulkOperationErrorCode
  url: URL
  partialDataUrl: URL
}
type BulkOperationRunMutationPayload {
  bulkOperation: BulkOperation userErrors: [BulkMutationUserError!]!
}

type QueryRoot {
  bulkOperation(id: ID!): BulkOperation
  shop: Shop!
  currentAppInstallation: AppInstallation!
  publicApiVersions: [ApiVersion!]!
  customer(id: ID!): Customer
  customerByIdentifier(identifier: CustomerIdentifierInput!): Customer
  customers(
    first: Int, after: String, query: String, sortKey: CustomerSortKeys
  ): CustomerConnection!
  customerSegmentMembers(
    segmentId: ID, first: Int, after: String
  ): CustomerSegmentMemberConnection!
  order(id: ID!): Order
  orders(first: Int, after: String, query: String, sortKey: OrderSortKeys): OrderConnection!
  nodes(ids: [ID!]!): [Node]!
}
type Mutation {
  stagedUploadsCreate(input: [StagedUploadInput!]!): StagedUploadsCreatePayload
  bulkOperationRunMutation(
    mutation: String!, stagedUploadPath: String!
  ): BulkOperationRunMutationPayload
  metafieldsSet(metafields: [MetafieldsSetInput!]!): MetafieldsSetPayload
  metafieldsDelete(metafields: [MetafieldIdentifierInput!]!): MetafieldsDeletePayload
  customerSet(identifier: CustomerSetIdentifiers, input: CustomerSetInput!): CustomerSetPayload
  storeCreditAccountCredit(
    id: ID!, creditInput: StoreCreditAccountCreditInput!
  ): StoreCreditAccountCreditPayload
  storeCreditAccountDebit(
    id: ID!, debitInput: StoreCreditAccountDebitInput!
  ): StoreCreditAccountDebitPayload
}
"""
