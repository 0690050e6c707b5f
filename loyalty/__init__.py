"""The system of record: ledger, tiers, rewards and redemptions, and the API in front of them."""
