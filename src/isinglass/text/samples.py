"""Texts of our own to compare tokenizers on: kinds of text, and one notice in many languages that says the same in each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Language(NamedTuple):
    """The notice in one language, and the script it is written in."""

    script: str
    text: str


#: The same two sentences, so that differences in length are the languages' and the vocabularies', not the content's.
PARALLEL: Mapping[str, Language] = {
    "English": Language(
        "Latin", "The library opens at nine in the morning. Please return the books you have borrowed before the end of the month."
    ),
    "German": Language(
        "Latin", "Die Bibliothek öffnet um neun Uhr morgens. Bitte geben Sie die ausgeliehenen Bücher vor dem Ende des Monats zurück."
    ),
    "French": Language(
        "Latin", "La bibliothèque ouvre à neuf heures du matin. Veuillez rendre les livres que vous avez empruntés avant la fin du mois."
    ),
    "Spanish": Language(
        "Latin", "La biblioteca abre a las nueve de la mañana. Por favor, devuelva los libros que ha tomado prestados antes de fin de mes."
    ),
    "Turkish": Language("Latin", "Kütüphane sabah dokuzda açılıyor. Lütfen ödünç aldığınız kitapları ay sonundan önce geri getirin."),
    "Russian": Language("Cyrillic", "Библиотека открывается в девять часов утра. Пожалуйста, верните взятые книги до конца месяца."),
    "Greek": Language(
        "Greek", "Η βιβλιοθήκη ανοίγει στις εννέα το πρωί. Παρακαλούμε επιστρέψτε τα βιβλία που έχετε δανειστεί πριν από το τέλος του μήνα."
    ),
    "Arabic": Language("Arabic", "تفتح المكتبة في الساعة التاسعة صباحًا. يرجى إعادة الكتب التي استعرتموها قبل نهاية الشهر."),
    "Hebrew": Language("Hebrew", "הספרייה נפתחת בתשע בבוקר. אנא החזירו את הספרים ששאלתם לפני סוף החודש."),
    "Hindi": Language("Devanagari", "पुस्तकालय सुबह नौ बजे खुलता है। कृपया उधार ली हुई किताबें महीने के अंत से पहले लौटा दें।"),
    "Thai": Language("Thai", "ห้องสมุดเปิดเวลาเก้าโมงเช้า กรุณาคืนหนังสือที่ยืมไปก่อนสิ้นเดือน"),
    "Chinese": Language("Han", "图书馆早上九点开门。请在月底之前归还您借的书。"),
    "Japanese": Language("Kana and Han", "図書館は朝九時に開きます。借りた本は月末までに返してください。"),
    "Korean": Language("Hangul", "도서관은 아침 아홉 시에 문을 엽니다. 빌린 책은 이달 말이 되기 전에 반납해 주세요."),
}

CODE = '''def mean_by_key(rows, key):
    """Average of the values that share a key."""
    totals = {}
    for row in rows:
        name = row[key]
        if name not in totals:
            totals[name] = [0, 0.0]
        totals[name][0] += 1
        totals[name][1] += row["value"]
    return {name: total / count for name, (count, total) in totals.items()}
'''

#: The built-in set: name -> text. Plain kinds first, then the scripts of the notice, one language each.
SAMPLES: Mapping[str, str] = {
    "English": "The stove had gone cold overnight, so she opened the damper, laid fresh kindling on the ashes, and waited for the first "
    "unmistakable crackle before adding a log. Through the little mica window the flame looked steady and unhurried.",
    "numbers": "On 2024-03-15 at 07:45 the boiler used 1,284.5 kWh, 37% more than the 937.59 kWh of 2023; phone 555-0123, "
    "π ≈ 3.14159265, room 20431, price $10.99, total 1000000.",
    "code": CODE,
    "special characters": "Wait... what?! «naïve» façade — 50 °C ≥ 49 °C; mail: a_b+c@example.org, C:\\tmp\\*.log, #tag → ½ cup & 3×4² "
    "№5 §7 €20 😀👍🏽🇳🇿 (👨‍👩‍👧) \u201cquoted\u201d\ttab",
    **{name: PARALLEL[name].text for name in ("German", "Russian", "Greek", "Arabic", "Hindi", "Thai", "Chinese", "Japanese", "Korean")},
}
