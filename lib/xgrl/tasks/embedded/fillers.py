"""Values for the open slots of the command templates, per locale: rooms, devices and floors are a
household's own words.

The templates' package leaves these slots to each installation, so the words are ours, not part of
the data; they are uninflected. Names of timers, places and artists are the same in every locale.
"""

_TABLE = """
af: kombuis, slaapkamer, badkamer | tafellamp, televisie, verwarmer | eerste, tweede
ar: المطبخ, غرفة النوم, الحمام | مصباح المكتب, التلفاز, المدفأة | الأول, الثاني
bg: кухня, спалня, баня | настолна лампа, телевизор, отоплител | първи, втори
bn: রান্নাঘর, শোবার ঘর, বাথরুম | টেবিল ল্যাম্প, টেলিভিশন, হিটার | প্রথম, দ্বিতীয়
ca: cuina, dormitori, bany | làmpada d'escriptori, televisor, calefactor | primer, segon
cs: kuchyně, ložnice, koupelna | stolní lampa, televize, topení | první, druhé
da: køkken, soveværelse, badeværelse | bordlampe, fjernsyn, varmeapparat | første, anden
de: Küche, Schlafzimmer, Badezimmer | Schreibtischlampe, Fernseher, Heizlüfter | erste, zweite
de-CH: Chuchi, Schlafzimmer, Badzimmer | Schriibtischlampe, Fernseh, Heizlüfter | erschte, zweite
el: κουζίνα, υπνοδωμάτιο, μπάνιο | επιτραπέζιο φωτιστικό, τηλεόραση, θερμάστρα | πρώτος, δεύτερος
en: kitchen, bedroom, bathroom | desk lamp, television, heater | first, second
es: cocina, dormitorio, baño | lámpara de mesa, televisor, calefactor | primera, segunda
eu: sukaldea, logela, komuna | mahaiko lanpara, telebista, berogailua | lehenengo, bigarren
fi: keittiö, makuuhuone, kylpyhuone | pöytälamppu, televisio, lämmitin | ensimmäinen, toinen
fr: cuisine, chambre, salle de bain | lampe de bureau, télévision, chauffage | premier, deuxième
ga: cistin, seomra leapa, seomra folctha | lampa deisce, teilifís, téitheoir | chéad, dara
gl: cociña, dormitorio, baño | lámpada de mesa, televisor, quentador | primeiro, segundo
he: מטבח, חדר שינה, אמבטיה | מנורת שולחן, טלוויזיה, תנור | ראשונה, שנייה
hi: रसोई, शयनकक्ष, स्नानघर | टेबल लैंप, टेलीविज़न, हीटर | पहली, दूसरी
hr: kuhinja, spavaća soba, kupaonica | stolna lampa, televizor, grijalica | prvi, drugi
hu: konyha, hálószoba, fürdőszoba | asztali lámpa, televízió, fűtőtest | első, második
it: cucina, camera da letto, bagno | lampada da tavolo, televisore, stufa | primo, secondo
ml: അടുക്കള, കിടപ്പുമുറി, കുളിമുറി | മേശ വിളക്ക്, ടെലിവിഷൻ, ഹീറ്റർ | ഒന്നാം, രണ്ടാം
nb: kjøkken, soverom, bad | bordlampe, fjernsyn, varmeovn | første, andre
ne: भान्सा, सुत्ने कोठा, बाथरुम | टेबल बत्ती, टेलिभिजन, हिटर | पहिलो, दोस्रो
nl: keuken, slaapkamer, badkamer | bureaulamp, televisie, kachel | eerste, tweede
pl: kuchnia, sypialnia, łazienka | lampka biurkowa, telewizor, grzejnik | pierwsze, drugie
pt: cozinha, quarto, casa de banho | candeeiro de mesa, televisão, aquecedor | primeiro, segundo
pt-BR: cozinha, quarto, banheiro | abajur, televisão, aquecedor | primeiro, segundo
ro: bucătărie, dormitor, baie | veioză, televizor, radiator | întâi, doi
ru: кухня, спальня, ванная | настольная лампа, телевизор, обогреватель | первый, второй
sk: kuchyňa, spálňa, kúpeľňa | stolová lampa, televízor, ohrievač | prvé, druhé
sl: kuhinja, spalnica, kopalnica | namizna svetilka, televizor, grelec | prvo, drugo
sr: кухиња, спаваћа соба, купатило | стона лампа, телевизор, грејалица | први, други
sr-Latn: kuhinja, spavaća soba, kupatilo | stona lampa, televizor, grejalica | prvi, drugi
sv: kök, sovrum, badrum | bordslampa, tv, element | första, andra
th: ห้องครัว, ห้องนอน, ห้องน้ำ | โคมไฟตั้งโต๊ะ, โทรทัศน์, เครื่องทำความร้อน | หนึ่ง, สอง
uk: кухня, спальня, ванна | настільна лампа, телевізор, обігрівач | перший, другий
vi: nhà bếp, phòng ngủ, phòng tắm | đèn bàn, ti vi, máy sưởi | một, hai
zh: 厨房, 卧室, 浴室 | 台灯, 电视, 暖气 | 一楼, 二楼
zh-HK: 廚房, 睡房, 浴室 | 枱燈, 電視, 暖爐 | 一樓, 二樓
zh-TW: 廚房, 臥室, 浴室 | 檯燈, 電視, 暖氣 | 一樓, 二樓
"""
_EVERYWHERE = {
    "timer_name": ("pizza", "spaghetti", "yoga"),
    "zone": ("Berlin", "London", "Madrid"),
    "search_query": ("Mozart", "Shakira", "Beyoncé"),
}


def _parse(line: str) -> tuple[str, dict[str, tuple[str, ...]]]:
    locale, _, columns = line.partition(": ")
    values = (tuple(column.strip().split(", ")) for column in columns.split("|"))
    return locale, dict(zip(("area", "name", "floor"), values, strict=True)) | _EVERYWHERE


FILLERS = dict(map(_parse, _TABLE.strip().splitlines()))
