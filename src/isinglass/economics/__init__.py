"""Money: what models cost per token, what a workload costs, and what can be saved. All amounts are Decimal, in US dollars."""
