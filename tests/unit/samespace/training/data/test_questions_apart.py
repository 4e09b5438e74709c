"""Questions that differ in what may be asked for are two, and one question in other small words is one."""

from __future__ import annotations

import pytest

from samespace.training.data.examples import Examples
from samespace.training.data.leakage import leakage_between

ANSWERS = (
    "Go to settings and choose the menu entry that says so, then wait for the mail that we send.",
    "Fees are listed on page twelve of the contract under the heading of costs in full.",
)
DIFFERENT = [
    ("How do I convert a file to PDF?", "How do I convert a file from PDF?"),
    ("How does an if statement work?", "How does a for statement work?"),
    ("How is cheese made?", "What is cheese made of?"),
    ("Who killed Brutus?", "Who was killed by Brutus?"),
    ("What is gastric lavage?", "What to do for gastric lavage?"),
    ("What are symptoms of vitamin A deficiency?", "What are symptoms of vitamin deficiency?"),
    ("Who can buy class A shares?", "Who can buy class I shares?"),
    ("What is the US tax rate for companies?", "What is the tax rate for companies?"),
    ("How do I contact customer service?", "How do I contact customs service?"),
    ("How do I see my card activity?", "How do I see my card activation?"),
    ("What is known of Tietz syndrome?", "What is known of Tietze syndrome?"),
    ("flights from Paris to London", "flights from London to Paris"),
    (
        "How do I convert a value in degrees celsius into a value in degrees fahrenheit with python in one line",
        "How do I convert a value in degrees fahrenheit into a value in degrees celsius with python in one line",
    ),
    ("2023: revenue of Acme in Europe", "2024: revenue of Acme in Europe"),
    ("Q1: What was the revenue of Acme?", "Q3: What was the revenue of Acme?"),
    ("1. Weltkrieg Ursachen und Folgen", "2. Weltkrieg Ursachen und Folgen"),
    ("Title 9: what does it cover and for whom?", "Title 42: what does it cover and for whom?"),
    (
        "How do I cancel my order?",
        "How do I cancel my order confirmation mails that arrive daily since I changed my delivery address in May?",
    ),
    ("How do I write a do while loop in C?", "How do I write a while loop in C?"),
    ("aluminum can recycling price", "aluminum recycling price"),
    ("What is the best can opener?", "What is the best opener?"),
    ("How does a CAN bus work in detail?", "How does a bus work in detail?"),
    ("Windows ME drivers", "Windows drivers"),
    ("What is DO in waste water?", "What is in waste water?"),
    ("Wetter Frankfurt am Main", "Wetter Frankfurt Main"),
    ("địa chỉ công an phường", "địa chỉ công phường"),
    ("What countries have nuclear weapons?", "Should countries have nuclear weapons?"),
    ("Which US states allow open carry?", "Do US states allow open carry?"),
    ("Should I refinance my house now?", "Can I refinance my house now?"),
    ("What is the sales tax rate in ME?", "What is the sales tax rate in IN?"),
    ("How is the AN-94 rifle cleaned?", "How is the 94 rifle cleaned?"),
    ("Can you see my messages?", "Can I see your messages?"),
    ("How do I send you my documents?", "How do you send me my documents?"),
    ("Can I cancel my contract early?", "Can you cancel my contract early?"),
    ("How do I install drivers for Windows ME?", "How do I install drivers for Windows?"),
    ("How AM radio works in cars", "How radio works in cars"),
    ("When DO levels drop in ponds", "When levels drop in ponds"),
    ("How BE visas work for students", "How visas work for students"),
    ("How strong is an I beam of steel?", "How strong is a beam of steel?"),
    ("What is an A record in DNS settings?", "What is a record in DNS settings?"),
    ("What are the A shares of Alphabet?", "What are the shares of Alphabet?"),
    ("Do kiedy złożyć zeznanie podatkowe?", "Kiedy złożyć zeznanie podatkowe?"),
    ("¿A quién vendió la casa?", "¿Quién vendió la casa?"),
    ("A chi ha venduto la casa?", "Chi ha venduto la casa?"),
    ("A quem vendeu a casa?", "Quem vendeu a casa?"),
    ("¿Me debe pagar mi jefe las vacaciones?", "¿Debe pagar mi jefe las vacaciones?"),
    ("Was verkauft Apple an Amazon?", "Was verkauft Apple Amazon?"),
    ("What does ops[0](3) return in Python?", "What does ops[0](5) return in Python?"),
    ("Why S corporations pay no federal tax", "Why corporations pay no federal tax"),
    ("How S-waves travel through rock", "How waves travel through rock"),
    ("How much is 10² plus 5?", "How much is 102 plus 5?"),
    ("How much is 2⁵ minus 3?", "How much is 25 minus 3?"),
    ("1½ cups of flour in grams", "11/2 cups of flour in grams"),
    ("Can dogs eat grapes?", "Do dogs eat grapes?"),
    ("When can babies drink water?", "When should babies drink water?"),
    ("How high can blood pressure be?", "How high should blood pressure be?"),
    ("Can my landlord raise the rent?", "Did my landlord raise the rent?"),
]
ONE = [
    ("How do I reset my password?", "How to reset your password"),
    ("What is the refund policy?", "What's the refund policy?"),
    ("Why can't I log in to my account?", "Why can not I log in to my account?"),
    ("I have lost my card, what now?", "I've lost my card, what now?"),
    ("What are the symptoms of stroke?", "What are symptoms of a stroke?"),
    ("Q12: What was the revenue of Acme?", "What was the revenue of Acme?"),
    ("Как ещё раз сбросить мой пароль?", "Как еще раз сбросить мой пароль?"),
    ("\u0643\u064e\u064a\u0641 أستعيد كلمة المرور؟", "كيف أستعيد كلمة المرور؟"),
    ("FAQ-12: how do I close an account?", "How do I close an account?"),
    ("Whats the refund policy?", "What is the refund policy?"),
    ("Why cant I log in to my account?", "Why can't I log in to my account?"),
    ("im locked out of my account", "I'm locked out of my account"),
    ("I'd like to close my account", "I would like to close my account"),
    ("How long does it take to boil eggs?", "How long do it take to boil eggs?"),
    ("[How do I close an account?](https://example.org/faq#close)", "How do I close an account?"),
    ("lam the nao de dang ky tai khoan moi", "Làm thế nào để đăng ký tài khoản mới"),
    ("jak zalozyc konto w banku przez lacze", "Jak założyć konto w banku przez łącze"),
    ("kapi kilidi nasil degistirilir", "Kapı kilidi nasıl değiştirilir"),
    ("KAPI KİLİDİ NASIL DEĞİŞTİRİLİR", "Kapı kilidi nasıl değiştirilir"),
    ("ΠΩΣ ΚΛΕΙΝΩ ΤΟΝ ΛΟΓΑΡΙΑΣΜΟ ΜΟΥ", "Πώς κλείνω τον λογαριασμό μου"),
    ("hvordan abner jeg en konto pa norsk o", "hvordan åbner jeg en konto på norsk ø"),
    ("كيف أستعيد كلمة المـــرور في ٢٠٢٤", "كيف أستعيد كلمة المرور في 2024"),
    ("چگونه رمز عبور را بازيابي كنم", "چگونه رمز عبور را بازیابی کنم"),
    ("cum \u015fterg un cont de utilizator", "cum \u0219terg un cont de utilizator"),
    ("чи є сузірʼя на небі взимку", "чи є сузір'я на небі взимку"),
    ("How do you reset your password?", "How do I reset my password?"),
    ("How do we reset our password?", "How do I reset my password?"),
    ("What's an S corporation and its tax?", "What is an S corporation and its tax?"),
    ("Alzheimer's disease symptoms", "Alzheimers disease symptoms"),
    ("Alzheimer\u2019s disease symptoms", "Alzheimer disease symptoms"),
    ("men's running shoes in size 12", "mens running shoes in size 12"),
    ("Who'll deliver my parcel?", "Who will deliver my parcel?"),
    ("Mustn't I file taxes now?", "Must not I file taxes now?"),
    ("theres no sound on my laptop", "There's no sound on my laptop"),
    ("In what year did WW2 end?", "What year did WW2 end?"),
    ("How do I apply for the U.S. visa?", "How do I apply for a US visa?"),
    ("How can cats see in the dark?", "How do cats see in the dark?"),
    ('What are the [side effects](https://a.b "title here") of statins?', "What are the side effects of statins?"),
    ("What are the [side effects](https://a.b/Effect_(med)) of statins?", "What are the side effects of statins?"),
]


def leaks(trained: str, held_out: str) -> list[str]:
    """The roles that leak of two pairs with answers of their own."""

    def of(query: str, answer: str, name: str) -> Examples:
        return Examples((query,), (answer,), ((),), (1.0,), (1.0,), (f"{name}q",), (f"{name}p",), ((),), False)

    found = leakage_between(of(trained, ANSWERS[0], "t"), of(held_out, ANSWERS[1], "h"))
    return [each.role for each in found.leaks]


@pytest.mark.parametrize(("left", "right"), DIFFERENT)
def test_what_may_be_asked_for_makes_another_question(left: str, right: str) -> None:
    assert leaks(left, right) == [] and leaks(right, left) == []


@pytest.mark.parametrize(("left", "right"), ONE)
def test_one_question_in_other_small_words_leaks(left: str, right: str) -> None:
    assert leaks(left, right) == ["query"] and leaks(right, left) == ["query"]
