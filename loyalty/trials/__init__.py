"""Try before you publish: a preview of one basket, and a backtest over the orders of a period."""
