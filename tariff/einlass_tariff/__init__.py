"""Parking fees: a tariff as text, time to fee and money to time. Pure: no file, no clock, holidays handed in."""
