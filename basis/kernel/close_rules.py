"""Close rules of lending protocols: how much of a debt a liquidator may repay at once (accounting §6).

Pure Python, so that configuration can use it without Numba. Configuration names a rule; the kernel knows its number.
"""

#: Half of a debt while the health factor is above 0.95, else all of it. Versions 3.0 to 3.2.
AAVE_V3_0 = 0
#: Half of all debts while the health factor is above 0.95 and neither leg is below 2,000 USD, else all. From 3.3 on.
AAVE_V3_3 = 1
#: Name of a rule in a venue's YAML → its number in `positions.lending_liquidation`.
CLOSE_RULES = {"aave_v3.0": AAVE_V3_0, "aave_v3.3": AAVE_V3_3}
