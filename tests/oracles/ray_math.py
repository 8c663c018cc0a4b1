"""The integers of the contracts: ray, wad and percentage arithmetic, to the last unit as they round."""

WAD, RAY = 10**18, 10**27
#: Hundredths of a percent in a whole.
WHOLE = 10_000
YEAR = 365 * 86_400


def ray_mul(a: int, b: int) -> int:
    return (a * b + RAY // 2) // RAY


def ray_div(a: int, b: int) -> int:
    return (a * RAY + b // 2) // b


def wad_div(a: int, b: int) -> int:
    return (a * WAD + b // 2) // b


def percent_mul(a: int, percent: int) -> int:
    return (a * percent + WHOLE // 2) // WHOLE


def percent_div(a: int, percent: int) -> int:
    return (a * WHOLE + percent // 2) // percent


def linear(rate: int, seconds: int) -> int:
    """Growth of what is supplied, ray."""
    return RAY + rate * seconds // YEAR


def compounded(rate: int, seconds: int) -> int:
    """Growth of what is owed, ray: the first terms of (1 + rate per second) ** seconds."""
    if seconds == 0:
        return RAY
    squared = ray_mul(rate, rate) // (YEAR * YEAR)
    cubed = ray_mul(squared, rate) // YEAR
    second = seconds * (seconds - 1) * squared // 2
    third = seconds * (seconds - 1) * max(seconds - 2, 0) * cubed // 6
    return RAY + rate * seconds // YEAR + second + third


def health_factor(collateral: dict[int, int], debt: int) -> tuple[int, int]:
    """Mean threshold (rounded down) and health factor of collateral by threshold, all worth in 1e-8 USD."""
    total = sum(collateral.values())
    mean = sum(threshold * worth for threshold, worth in collateral.items()) // total
    return mean, wad_div(percent_mul(total, mean), debt)


def liquidation(owed: int, held: int, prices: tuple[int, int], digits: tuple[int, int], terms: tuple[int, int, int]):
    """What is repaid, what the liquidator gets and the treasury's fee, in units of the two tokens.

    `prices` and `digits` are of the debt and of the collateral; `terms` are close factor, bonus and share of the fee.
    """
    factor, bonus, share = terms
    repaid = percent_mul(owed, factor)
    taken = percent_mul(prices[0] * repaid * 10 ** digits[1] // (prices[1] * 10 ** digits[0]), WHOLE + bonus)
    if taken > held:
        taken = held
        repaid = percent_div(prices[1] * held * 10 ** digits[0] // (prices[0] * 10 ** digits[1]), WHOLE + bonus)
    fee = percent_mul(taken - percent_div(taken, WHOLE + bonus), share)
    return repaid, taken - fee, fee
