"""Currencies and their minor units: text to integers and back, without a float in between.

Pure: no Django, no clock, no database.
"""

from functools import lru_cache

# Source: ISO 4217:2015, list one (maintained by SIX), without precious metals, bond units, test
# codes, the special drawing right and most fund codes: what a shop can take money in.
_WITHOUT_DECIMALS = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"
_TWO_DECIMALS = """
    AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BRL BSD BTN BWP BYN BZD CAD
    CDF CHF CNY COP CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ
    GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL
    MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR
    PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT
    TOP TRY TTD TWD TZS UAH USD UYU UZS VED VES WST XCD XCG YER ZAR ZMW ZWG
"""
_THREE_DECIMALS = "BHD IQD JOD KWD LYD OMR TND"
_FOUR_DECIMALS = "CLF UYW"

SCALES: dict[str, int] = {
    code: scale
    for scale, codes in (
        (0, _WITHOUT_DECIMALS),
        (2, _TWO_DECIMALS),
        (3, _THREE_DECIMALS),
        (4, _FOUR_DECIMALS),
    )
    for code in codes.split()
}

MAX_AMOUNT = 10**12


def format_amount(minor: int, scale: int) -> str:
    """Write an amount as a decimal string with all of its decimals.

    Args:
        minor: Amount in minor units; may be negative.
        scale: Decimal places of the currency.
    """
    if not scale:
        return str(minor)
    sign = "-" if minor < 0 else ""
    digits = str(abs(minor)).zfill(scale + 1)
    return f"{sign}{digits[:-scale]}.{digits[-scale:]}"


@lru_cache(maxsize=4096)
def parse_amount(text: str, scale: int) -> int:
    """Read a decimal string into minor units, exactly.

    Prices come again and again, so those of late are remembered.

    Args:
        text: Digits with an optional sign and decimal point; no exponent, no separators.
        scale: Decimal places of the currency.

    Raises:
        ValueError: With a sentence for people, where the text is not such a number, has more
            decimals than the currency, or is beyond what the engine takes.
    """
    whole, _, decimals = text.partition(".")
    digits = whole.removeprefix("-") + decimals
    if not (len(text) <= 30 and text.isascii() and digits.isdigit()):
        raise ValueError(f'"{text}" is not an amount; write it as "1.00"')
    if decimals[scale:].strip("0"):
        raise ValueError(f"{text} has more than the {scale} decimals of the currency")
    minor = int(whole + decimals[:scale].ljust(scale, "0"))
    if abs(minor) > MAX_AMOUNT:
        raise ValueError(f"{text} is too large")
    return minor
