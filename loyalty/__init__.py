"""The system of record: points ledger, tiers, rewards, redemptions, and the API in front of them."""
