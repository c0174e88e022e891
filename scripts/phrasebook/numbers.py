"""Numbers and clock times in words."""

from __future__ import annotations

from phrasebook.clause import Phrase


def _words(text: str) -> list[str]:
    return text.split()


DE_SMALL = _words(
    "null eins zwei drei vier fünf sechs sieben acht neun zehn elf zwölf dreizehn vierzehn fünfzehn "
    "sechzehn siebzehn achtzehn neunzehn"
)
EN_SMALL = _words(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen"
)
DE_TENS = _words("zwanzig dreißig vierzig fünfzig sechzig siebzig achtzig neunzig")
EN_TENS = _words("twenty thirty forty fifty sixty seventy eighty ninety")


def number(value: int) -> Phrase:
    """A number from 0 to 99."""
    if value < 20:
        return Phrase(DE_SMALL[value], EN_SMALL[value])
    tens, unit = divmod(value, 10)
    de, en = DE_TENS[tens - 2], EN_TENS[tens - 2]
    if unit == 0:
        return Phrase(de, en)
    return Phrase(f"{'ein' if unit == 1 else DE_SMALL[unit]}und{de}", f"{en}-{EN_SMALL[unit]}")


def clock(hour: int, minute: int) -> Phrase:
    """The time of day without its preposition: *halb acht*, half past seven."""
    this, following = number(hour), number(hour % 12 + 1)
    if minute == 0:
        return Phrase(f"{'ein' if hour == 1 else this.de} Uhr", f"{this.en} o'clock")
    if minute == 30:
        return Phrase(f"halb {following.de}", f"half past {this.en}")
    if minute in (15, 45):
        quarter = Phrase("Viertel", "a quarter")
    else:
        quarter = number(minute if minute < 30 else 60 - minute)
    if minute < 30:
        return Phrase(f"{quarter.de} nach {this.de}", f"{quarter.en} past {this.en}")
    return Phrase(f"{quarter.de} vor {following.de}", f"{quarter.en} to {following.en}")
