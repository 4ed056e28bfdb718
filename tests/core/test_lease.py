"""The lane's account: newer by version, never by arrival; a new epoch only when nobody is under way."""

from einlass_core.lease import Account, Limit, account_from


def test_newest_version_wins_whatever_comes_last() -> None:
    account = Account()
    assert account.take(Limit(0, 2, 5))
    assert not account.take(Limit(0, 1, 90)) and not account.take(Limit(0, 2, 90))
    assert account.ceiling == 5 and account.fits(5) and not account.fits(6)


def test_entries_refunds_and_exits_add_up() -> None:
    account = Account()
    account.enter(3)
    account.confirm(1)
    account.refund(2)
    account.force(1)
    account.leave(1)
    assert (account.balance, account.pending) == (1, 0)
    assert account_from(account.as_dict()).as_dict() == account.as_dict()


def test_a_new_epoch_starts_from_nothing_but_not_with_somebody_under_way() -> None:
    account = Account()
    account.enter(1)
    assert not account.take(Limit(1, 1, 10))
    account.confirm(1)
    assert account.take(Limit(1, 1, 10)) and account.balance == 0
