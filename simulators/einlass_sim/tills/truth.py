"""What really happened at the tills, which neither they nor the controller can see: every cent, every card's use.

Checked whenever a till has written a record, and once more when all is mended: what the books say must be that.
"""

import json
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from einlass_controller.domain.voucher_owner import ALONE_COUNT_MAX
from einlass_controller.domain.vouchers import USED
from einlass_core.till import IDLE
from einlass_core.till_account import Account
from einlass_sim.world.truth import Violation

if TYPE_CHECKING:
    from einlass_sim.tills.machine import Machine
    from einlass_sim.tills.town import Town


class Use:
    """A card was used for a sale, in a record that lasts. alone: without the controller."""

    def __init__(self, machine: "Machine", sale: dict[str, Any]) -> None:
        self.till, self.inc, self.seq = machine.name, machine.journal.incarnation, machine.journal.seq
        self.alone = "alone" in sale


class Journaled:
    """The sales in one journal, told or not; lost: the journal is gone, and what was not heard with it."""

    def __init__(self) -> None:
        self.sales: dict[int, dict[str, Any]] = {}
        self.acknowledged = 0
        self.is_lost = False


class Truth:
    """policies: of each card, by digest. uses: of each card, in time."""

    def __init__(self, town: "Town") -> None:
        self.town = town
        self.policies: dict[str, str] = {}
        self.uses: dict[str, list[Use]] = defaultdict(list)
        self.sales = 0
        self._journals: dict[tuple[str, str], Journaled] = defaultdict(Journaled)

    def violation(self, what: str) -> None:
        """A promise was broken: the run ends here."""
        raise Violation(what)

    # -- as it goes

    def booted(self, machine: "Machine") -> None:
        """A till begins, with what its disk says."""
        self._journal(machine).is_lost = False

    def wiped(self, machine: "Machine") -> None:
        """Its journal is gone: what was acknowledged is known, of the rest some may be."""
        journal = self._journal(machine)
        journal.is_lost = True
        journal.acknowledged = machine.journal.acknowledged

    def after_batch(self) -> None:
        """The controller has stored something."""

    def recorded(self, machine: "Machine", kind: str, fields: dict[str, Any]) -> None:
        """A till's record lasts."""
        account = Account(fields["till"])
        if not account.adds_up:
            self.violation(f"cents_without_a_name: {machine.name} {kind} {fields['till']}")
        if kind != "paid":
            return
        sale = fields["sale"]
        self.sales += 1
        self.town.sometimes["sold_alone"] += "alone" in sale
        self._journal(machine).sales[machine.journal.seq] = sale
        if sale["coins"] + sale["by_card"] < sale["due"]:
            self.violation(f"sold_for_too_little: {machine.name} {sale}")
        self.town.note(machine, f"sold {sale['what']} for {sale['due']}, {len(sale['used'])} cards")
        for digest in sale["used"]:
            self._used(machine, digest, sale)

    def _used(self, machine: "Machine", digest: str, sale: dict[str, Any]) -> None:
        policy = self.policies.get(digest)
        if policy is None:
            self.violation(f"strange_card_used: {machine.name} {digest}")
        uses = self.uses[digest]
        uses.append(Use(machine, sale))
        sometimes = self.town.sometimes
        sometimes[f"used_{policy}{'_alone' if 'alone' in sale else ''}"] += 1
        here = [use for use in uses if use.inc == machine.journal.incarnation]
        if len(here) > 1:
            self.violation(f"used_twice_at_one_till: {machine.name} card {self.town.serials[digest]} ({policy})")
        if len(uses) > 1 and policy != "report":
            who = ", ".join(use.till for use in uses)
            self.violation(f"used_twice: card {self.town.serials[digest]} ({policy}) at {who}")
        if "alone" in sale and policy == "report":
            self._within_limit(machine)
        if "alone" in sale and policy == "refuse":
            self.violation(f"used_alone: {machine.name} card {self.town.serials[digest]} of a lot that is refused")

    def _within_limit(self, machine: "Machine") -> None:
        """Of cards that are not its own a till uses so many until it is heard of."""
        inc, heard = machine.journal.incarnation, machine.journal.acknowledged
        alone = [
            use
            for digest, uses in self.uses.items()
            for use in uses
            if use.inc == inc and use.alone and use.seq > heard and self.policies[digest] == "report"
        ]
        if len(alone) > ALONE_COUNT_MAX:
            self.violation(f"over_the_limit: {machine.name} used {len(alone)} cards of anybody's alone")

    # -- when all is mended

    def healed(self) -> None:
        """Machines are at rest, and the books say what was."""
        for machine in self.town.machines:
            self._at_rest(machine)
        self._sales_are_known()
        self._cards_are_known()
        rows = self.town.office.rows("SELECT count(*) FROM voucher WHERE state = 'held'")
        if rows[0][0] and not any(journal.is_lost for journal in self._journals.values()):
            self.violation(f"held_for_ever: {rows[0][0]} cards")

    def _at_rest(self, machine: "Machine") -> None:
        till, account, devices = machine.till, machine.till.account, machine.devices
        if till.state != IDLE or account.credit or account.change:
            self.violation(f"never_at_rest: {machine.name} {till.state} {account.as_dict()}")
        if machine.journal.waiting:
            self.violation(f"not_heard: {machine.journal.waiting} records of {machine.name}")
        if (account.taken, account.given) != (devices.in_cents, devices.out_cents):
            told = f"{account.taken}/{account.given}, devices {devices.in_cents}/{devices.out_cents}"
            self.violation(f"coins_differ: {machine.name} {told}")
        sold = self._journal(machine).sales.values()
        if account.kept != sum(sale["coins"] for sale in sold):
            self.violation(f"kept_differs: {machine.name} kept {account.kept}")
        by_card = sum(sale["by_card"] for sale in sold)
        doubtful = devices.charged.get(account.doubt, 0)
        if devices.charged_cents - doubtful != by_card:
            told = f"terminal {devices.charged_cents}, in doubt {doubtful}, sold {by_card}"
            self.violation(f"cards_differ: {machine.name} {told}")

    def _sales_are_known(self) -> None:
        rows = self.town.office.rows(
            "SELECT node, inc, coins_cents, card_cents, uses FROM parking_sale WHERE state = 'paid'"
        )
        known: dict[tuple[str, str], list[tuple[int, int]]] = defaultdict(list)
        for node, inc, coins, card, _ in rows:
            known[node, inc].append((coins, card))
        for key, journal in self._journals.items():
            must = [sale for seq, sale in journal.sales.items() if not journal.is_lost or seq <= journal.acknowledged]
            told = sorted(known.pop(key, []))
            least = sorted((sale["coins"], sale["by_card"]) for sale in must)
            most = sorted((sale["coins"], sale["by_card"]) for sale in journal.sales.values())
            if not (_within(least, told) and _within(told, most)):
                self.violation(f"sales_differ: {key[0]} told {len(least)} to {len(most)}, {len(told)} are known")
        if known:
            self.violation(f"sales_from_nowhere: {known}")

    def _cards_are_known(self) -> None:
        rows = self.town.office.rows("SELECT digest, state, payment FROM voucher")
        states = {row[0]: row[1] for row in rows}
        conflicts = self._conflicts()
        for digest, uses in self.uses.items():
            heard = [use for use in uses if self._is_heard(use)]
            serial = self.town.serials[digest]
            if len(heard) > 1 and serial not in conflicts:
                self.violation(f"conflict_not_told: card {serial} was used {len(heard)} times")
            if heard and states[digest] not in USED and serial not in conflicts:
                self.violation(f"use_not_known: card {serial} is {states[digest]}")
        for digest, state in states.items():
            if state in USED and digest not in self.uses:
                self.violation(f"used_by_nobody: card {self.town.serials[digest]}")
        self.town.sometimes["conflict_reported"] += len(conflicts)

    def _conflicts(self) -> set[int]:
        rows = self.town.office.rows("SELECT body FROM ledger WHERE kind = 'voucher_conflict'")
        return {int(json.loads(row[0])["voucher"]) for row in rows}

    def _is_heard(self, use: Use) -> bool:
        journal = self._journals[use.till, use.inc]
        return not journal.is_lost or use.seq <= journal.acknowledged

    def _journal(self, machine: "Machine") -> Journaled:
        return self._journals[machine.name, machine.journal.incarnation]


def _within(few: list[tuple[int, int]], many: list[tuple[int, int]]) -> bool:
    """Whether all of the first are among the second."""
    left = list(many)
    for item in few:
        if item not in left:
            return False
        left.remove(item)
    return True
