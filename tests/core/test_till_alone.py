"""A till that is cut off: what it sells alone is paid to the cent, and a voucher that was used here is used once."""

from einlass_core import codes
from einlass_core.journal import SALT_LENGTH
from einlass_core.record import TYPE_CHECKING
from einlass_core.till import CARDS_MAX, IDLE, PAYING, PRICING, SUBJECT_LENGTH_MAX
from einlass_core.till_alone import ALONE_LIMIT, CODE_ALONE, VOUCHER_ALONE, Alone, Worth
from einlass_core.till_words import DISPLAY, EXIT, POOL, Aborted, Begun, CardWanted, Confirmed, Priced, VoucherShown
from einlass_core.wire import MESSAGE_BYTES_MAX
from test_till import LongLived, check, pay_and_display
from till_world import PowerCut, World

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

MINE, SHARED = 1, 2
OWN_CARD, OTHER_CARD = codes.opaque(1), codes.opaque(2)
SHARED_CARDS = [codes.opaque(100 + number) for number in range(4)]


def lot(alone: str, count: int = 0, cents: int = 0, **more: "Any") -> "dict[str, Any]":
    found: "dict[str, Any]" = {"alone": alone, "kind": "cents", "value": 100, "from": 0, "until": 0, "days": ""}
    found.update({"count": count, "cents": cents})
    found.update(more)
    return found


def made(cut_at: "int | None" = None, **settings: "Any") -> World:
    world = World(sells_alone=True, asks_partly=True, **settings)
    world.is_linked = False
    world.lots.update({MINE: lot("own"), SHARED: lot("report", 2, 1000)})
    world.listed = {codes.digest(OWN_CARD): MINE, codes.digest(OTHER_CARD): MINE}
    for card in SHARED_CARDS:
        world.listed[codes.digest(card)] = SHARED
    if cut_at is not None:
        world.cut_after(cut_at)
    return world


def wait_alone(world: World) -> None:
    """Until the till has given the controller up."""
    world.wait(world.settings.alone_ms)


def coins_alone(world: World) -> None:
    world.do(Begun(EXIT, "stay"))
    wait_alone(world)
    world.insert(50)
    world.insert(200)


def own_voucher_alone(world: World) -> None:
    world.do(Begun(EXIT, "stay"))
    wait_alone(world)
    world.do(VoucherShown(OWN_CARD))
    world.insert(100)


def vouchers_pay_all_alone(world: World) -> None:
    world.do(Begun(EXIT, "stay"))
    wait_alone(world)
    world.do(VoucherShown(OWN_CARD))
    world.do(VoucherShown(SHARED_CARDS[0]))


def card_and_voucher_alone(world: World) -> None:
    world.do(Begun(EXIT, "stay"))
    wait_alone(world)
    world.do(VoucherShown(SHARED_CARDS[0]))
    world.do(CardWanted())


def aborted_alone(world: World) -> None:
    world.do(Begun(EXIT, "stay"))
    wait_alone(world)
    world.do(VoucherShown(OWN_CARD))
    world.insert(50)
    world.do(Aborted())


def display_alone(world: World) -> None:
    world.do(Begun(DISPLAY, "WW-X 1"))
    wait_alone(world)
    world.insert(50)
    world.insert(60)
    world.do(Confirmed())


STORIES = (
    coins_alone, own_voucher_alone, vouchers_pay_all_alone, card_and_voucher_alone, aborted_alone, display_alone,
)  # fmt: skip


def test_nobody_answers_and_the_till_sells_by_its_own_tariff() -> None:
    world = made()
    world.do(Begun(EXIT, "stay"))
    assert world.till.state == PRICING
    world.wait(world.settings.alone_ms - 1)
    assert world.till.state == PRICING and world.shown == "", "nothing flickers meanwhile"
    world.wait(1)
    assert (world.till.state, world.till.due, world.coins_on) == (PAYING, 200, True)
    world.insert(200)
    (sale,) = world.sales()
    assert sale["alone"] == {"at": 2, "saved": [], "entered": 1, "fee": 200, "text": "tariff"}
    assert world.unaccounted() == 0


def test_who_can_not_even_ask_does_not_wait() -> None:
    world = made()
    world.do(Begun(EXIT, "stay"))
    asked = world.asked
    assert asked is not None
    world.do(Priced(asked.nonce, "offline_not_here"))
    assert (world.till.state, world.till.due) == (PAYING, 200)


def test_a_house_that_does_not_allow_it_sells_nothing_alone() -> None:
    world = World()
    world.is_linked = False
    world.do(Begun(EXIT, "stay"))
    world.wait(10_000)
    assert (world.till.state, world.shown) == (IDLE, "offline_not_here")


def test_an_answer_that_comes_in_time_is_the_controller_s() -> None:
    world = made()
    world.do(Begun(EXIT, "stay"))
    asked = world.asked
    assert asked is not None
    world.do(Priced(asked.nonce, "ok", 150))
    world.insert(150)
    assert "alone" not in world.sales()[0]


def test_once_alone_a_sale_stays_so_though_the_line_comes_back() -> None:
    world = made()
    world.do(Begun(EXIT, "stay"))
    wait_alone(world)
    world.is_linked = True
    world.asked = None
    world.do(VoucherShown(OWN_CARD))
    assert world.asked is None and world.till.due == 100
    world.insert(100)
    assert world.sales()[0]["alone"]["saved"] == [100]
    world.do(Begun(EXIT, "other"))
    assert world.till.state == PAYING and not world.sales()[1:], "the next one is asked about again"
    world.insert(200)
    assert "alone" not in world.sales()[1]


def test_cards_that_the_controller_holds_are_not_mixed_with_what_the_till_knows() -> None:
    world = made()
    world.is_linked = True
    world.do(Begun(EXIT, "stay"))
    world.do(VoucherShown(codes.opaque(77)))
    assert world.till.due == 100
    world.is_linked = False
    world.do(VoucherShown(OWN_CARD))
    world.wait(60_000)
    assert world.till.state == IDLE and world.shown == "offline_not_here"
    assert not world.sales() and world.unaccounted() == 0


def test_a_price_without_cards_that_the_controller_told_goes_on_alone() -> None:
    world = made()
    world.is_linked = True
    world.do(Begun(EXIT, "stay"))
    world.is_linked = False
    world.do(VoucherShown(OWN_CARD))
    wait_alone(world)
    assert (world.till.state, world.till.due) == (PAYING, 100)
    world.insert(100)
    assert world.sales()[0]["used"] == [codes.digest(OWN_CARD)]


def test_a_voucher_that_was_used_here_is_not_used_again_whatever_the_list_says() -> None:
    for again in (False, True):
        world = made()
        own_voucher_alone(world)
        if again:
            world.start()
            world.run()
        world.do(Begun(EXIT, "other"))
        wait_alone(world)
        world.do(VoucherShown(OWN_CARD))
        assert "redeemed" in world.said and world.till.due == 200
        world.insert(200)
        assert [sale["used"] for sale in world.sales()] == [[codes.digest(OWN_CARD)], []]


def test_one_that_was_used_with_the_controller_is_not_used_alone_either() -> None:
    world = made()
    world.is_linked = True
    world.do(Begun(EXIT, "stay"))
    world.do(VoucherShown(OWN_CARD))
    world.insert(100)
    world.is_linked = False
    world.do(Begun(EXIT, "other"))
    wait_alone(world)
    world.do(VoucherShown(OWN_CARD))
    assert "redeemed" in world.said


def test_each_policy_and_each_reason_has_its_word() -> None:
    world = made()
    judge = world.alone.judge
    assert judge("FREI24", 0, "mon") == judge("frei-24", 0, "mon") == CODE_ALONE
    assert judge(codes.opaque(999), 0, "mon") == VOUCHER_ALONE
    assert judge("https://example.org/some-text", 0, "mon") == VOUCHER_ALONE
    worth = judge(OWN_CARD, 0, "mon")
    assert isinstance(worth, Worth) and (worth.kind, worth.value, worth.limits) == ("cents", 100, None)
    shared = judge(SHARED_CARDS[0], 0, "mon")
    assert isinstance(shared, Worth) and shared.limits == (2, 1000)
    for more, at_ms, word in (
        ({"until": 10}, 11, "expired"), ({"from": 10}, 9, "too_early"), ({"days": "sat sun"}, 0, "wrong_day"),
        ({"alone": "refuse"}, 0, VOUCHER_ALONE),
    ):  # fmt: skip
        world.lots[MINE] = lot("own")
        world.lots[MINE].update(more)
        assert judge(OWN_CARD, at_ms, "mon") == word
    del world.lots[MINE]
    assert judge(OWN_CARD, 0, "mon") == VOUCHER_ALONE, "nobody has said what it is worth"


def test_others_vouchers_are_used_up_to_a_limit_until_the_controller_has_heard() -> None:
    world = made()
    for number in range(2):
        world.do(Begun(EXIT, "stay%d" % number))
        wait_alone(world)
        world.do(VoucherShown(SHARED_CARDS[number]))
        world.insert(100)
        world.start()
        world.run()
    assert world.alone.unheard() == (2, 200)
    world.do(Begun(EXIT, "third"))
    wait_alone(world)
    world.do(VoucherShown(SHARED_CARDS[2]))
    assert ALONE_LIMIT in world.said and world.till.due == 200
    world.do(VoucherShown(OWN_CARD))
    assert world.till.due == 100, "its own are not counted"
    world.do(Aborted())
    world.journal.acknowledge(world.journal.seq)
    assert world.alone.unheard() == (0, 0)
    world.do(Begun(EXIT, "fourth"))
    wait_alone(world)
    world.do(VoucherShown(SHARED_CARDS[2]))
    assert world.till.due == 100


def test_the_limit_in_cents_holds_too() -> None:
    world = made()
    world.lots[SHARED] = lot("report", 20, 150)
    world.do(Begun(EXIT, "stay"))
    wait_alone(world)
    world.do(VoucherShown(SHARED_CARDS[0]))
    assert world.till.due == 100
    world.do(VoucherShown(SHARED_CARDS[1]))
    assert world.till.due == 100 and ALONE_LIMIT in world.said


def test_what_was_paid_here_is_known_here_also_after_a_restart() -> None:
    world = made()
    coins_alone(world)
    world.start()
    world.run()
    (row,) = world.alone.paid_here(codes.digest("stay"))
    assert (row["cents"], row["cards"]) == (200, 0)
    assert world.alone.paid_here(codes.digest("other")) == []


def test_what_nobody_has_heard_of_yet_is_known_here() -> None:
    world = made()
    own_voucher_alone(world)
    sale: "dict[str, Any]" = {
        "what": POOL,
        "subject": codes.digest("bad"),
        "coins": 0,
        "by_card": 0,
        "until": 0,
        "used": [],
    }
    sale["alone"] = {"saved": []}
    world.alone.recorded("paid", {"sale": sale}, world.journal.seq + 1, {})
    assert not world.alone.is_untold("bad"), "a product is no stay"
    untold = world.alone.is_untold
    assert untold(OWN_CARD) and untold("stay") and not untold("other") and not untold(OTHER_CARD)
    world.start()
    assert world.alone.is_untold(OWN_CARD)
    world.journal.acknowledge(world.journal.seq)
    assert not world.alone.is_untold(OWN_CARD) and not world.alone.is_untold("stay")
    world.is_linked = True
    world.do(Begun(EXIT, "third"))
    world.do(VoucherShown(OTHER_CARD))
    world.insert(100)
    assert not world.alone.is_untold(OTHER_CARD), "the controller has priced it: it knows who holds it"


def test_of_a_plate_nothing_is_kept_when_its_time_is_over() -> None:
    world = made()
    display_alone(world)
    plate = codes.digest("WW-X 1")
    world.alone.forget(6600)
    assert len(world.alone.paid_here(plate)) == 1
    world.alone.forget(6601)
    assert world.alone.paid_here(plate) == []
    assert plate not in "".join(world.sold_store.kept.values())


def test_not_more_sales_are_kept_than_there_is_room_for() -> None:
    world = made()
    sale = {"what": EXIT, "subject": "", "coins": 0, "by_card": 0, "until": 0, "used": [codes.digest(OWN_CARD)]}
    for number in range(1, 4):
        world.alone.recorded("paid", {"sale": sale}, number, {})
        sale["used"] = []
    world.alone.forget(0, 3)
    assert sorted(world.sold_store.kept) == [1, 2, 3]
    fresh = Alone(world.sold_store, world.lots, lambda digest: 1, lambda: 0)
    assert fresh.judge(OWN_CARD, 0, "mon") == "redeemed"
    world.alone.forget(0, 2)
    assert sorted(world.sold_store.kept) == [2, 3]
    assert isinstance(world.alone.judge(OWN_CARD, 0, "mon"), Worth)


def test_a_record_of_a_sale_alone_has_room() -> None:
    world = LongLived(due=100_000, sells_alone=True)
    world.is_linked = False
    world.lots.update({MINE: lot("own")})
    cards = [codes.opaque(number) for number in range(CARDS_MAX)]
    world.listed = {codes.digest(card): MINE for card in cards}
    account = world.till.account
    account.sale = 9_999_999
    world.in_total = world.out_total = account.taken = account.given = 999_000_000
    account.doubt, account.doubt_cents = "%s.12345-100000" % world.inc, 999_999
    world.do(Begun(EXIT, "s" * SUBJECT_LENGTH_MAX))
    wait_alone(world)
    for card in cards:
        world.do(VoucherShown(card))
    world.hopper_holds = 0
    world.insert(99_990)
    (text,) = [text for _, text in world.store.records if '"paid"' in text]
    # As a node writes it: instants, the tariff's fingerprint; names with the salt of the start. With a payment in doubt
    # nobody pays by card.
    salt = SALT_LENGTH + len("12345-") - len("1")
    more = len("1790000000000") * 5 + len("0123456789abcdef") - len("tariff")
    more += 3 * salt
    assert len(text) + more <= MESSAGE_BYTES_MAX - 30, len(text)


def cut(story: "Callable[[World], None]", at: int) -> "tuple[World, bool]":
    world = made(at)
    try:
        story(world)
    except PowerCut:
        world.power_on()
        world.wait(100_000)
        return world, True
    return world, False


def test_a_power_cut_at_every_step_of_a_sale_alone_costs_nobody_a_cent_or_a_voucher() -> None:
    injected = 0
    for story in STORIES:
        at = 0
        while True:
            world, is_cut = cut(story, at)
            if not is_cut:
                break
            injected += 1
            where = "%s, cut before action %d" % (story.__name__, at)
            check(world, where)
            world.start()  # What was dropped stays so, also when the power goes once more.
            world.run()
            spent = [digest for sale in world.sales() for digest in sale["used"]]
            for card in (OWN_CARD, SHARED_CARDS[0]):
                # Used with a sale: never again. Without one: it is as good as before.
                word = world.alone.judge(card, 0, "mon")
                assert (word == "redeemed") == (codes.digest(card) in spent), where
            count, cents = world.alone.unheard()
            shared = [digest for digest in spent if world.listed[digest] == SHARED]
            assert (count, cents) == (len(shared), 100 * len(shared)), where
            at += 1
        assert at > 10, story.__name__
    assert injected > 100
    print("power cuts injected while cut off: %d, cents and vouchers unaccounted for: 0" % injected)


def test_pay_and_display_goes_on_when_the_line_is_lost_between_two_coins() -> None:
    world = made()
    world.is_linked = True
    world.do(Begun(DISPLAY, "WW-X 1"))
    world.insert(50)
    world.is_linked = False
    world.insert(60)
    wait_alone(world)
    world.do(Confirmed())
    (sale,) = world.sales()
    assert (sale["due"], sale["coins"], world.out_total) == (100, 100, 10) and "alone" in sale
    assert world.unaccounted() == 0
    world = made()
    world.is_linked = True
    pay_and_display(world)
    assert "alone" not in world.sales()[0]
