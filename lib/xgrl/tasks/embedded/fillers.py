"""Values for open slots of command templates, per locale: a household's rooms, devices and floors.

The templates' package leaves these slots to each installation, so the words are ours, not part of
the data; they are uninflected. Names of timers, places and artists are the same in every locale.
"""

from pathlib import Path

_EVERYWHERE = {
    "timer_name": ("pizza", "spaghetti", "yoga"),
    "zone": ("Berlin", "London", "Madrid"),
    "search_query": ("Mozart", "Shakira", "Beyoncé"),
}
COLUMNS = ("area", "name", "floor")
FILLERS: dict[str, dict[str, tuple[str, ...]]] = {}  # by locale and slot
for _line in Path(__file__).with_suffix(".txt").read_text(encoding="utf-8").splitlines():
    _locale, _, _values = _line.partition(": ")
    _own = (tuple(column.strip().split(", ")) for column in _values.split("|"))
    FILLERS[_locale] = dict(zip(COLUMNS, _own, strict=True)) | _EVERYWHERE
