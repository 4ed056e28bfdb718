"""The tables as the decision path uses them: plain Core tables, no ORM."""

from sqlalchemy import Table
from sqlmodel import SQLModel

from einlass_controller.store import parking_tables, tables, voucher_tables


def _table(model: type[SQLModel]) -> Table:
    return SQLModel.metadata.tables[str(model.__tablename__)]


SITE = _table(tables.SiteRow)
ZONE = _table(tables.ZoneRow)
LANE = _table(tables.LaneRow)
NODE = _table(tables.NodeRow)
ACCOUNT = _table(tables.AccountRow)
TICKET = _table(tables.TicketRow)
VISIT = _table(tables.VisitRow)
DECISION = _table(tables.DecisionRow)
COMMAND = _table(tables.CommandRow)
LEDGER = _table(tables.LedgerRow)
DEAD_LETTER = _table(tables.DeadLetterRow)
RULES = _table(tables.RulesRow)
API_KEY = _table(tables.ApiKeyRow)
SIGNING_KEY = _table(tables.SigningKeyRow)
HELD_BACK = _table(tables.HeldBackRow)
TICKET_IMPORT = _table(tables.ImportRow)
EPOCH = _table(tables.EpochRow)
PARTNER = _table(voucher_tables.PartnerRow)
LOT = _table(voucher_tables.LotRow)
VOUCHER = _table(voucher_tables.VoucherRow)
PAYMENT = _table(voucher_tables.PaymentRow)
VOUCHER_OP = _table(voucher_tables.VoucherOpRow)
PUBLIC_CODE = _table(voucher_tables.PublicCodeRow)
PUBLIC_USE = _table(voucher_tables.PublicUseRow)
TARIFF = _table(parking_tables.TariffRow)
TILL = _table(parking_tables.TillRow)
SIGN = _table(parking_tables.SignRow)
STAY = _table(parking_tables.StayRow)
SALE = _table(parking_tables.SaleRow)
PRICE = _table(parking_tables.PriceRow)
CLAIM = _table(parking_tables.ClaimRow)
VISIT_USE = _table(parking_tables.VisitUseRow)
