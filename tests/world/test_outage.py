"""A cut of 30 minutes: lent places never let too many in, and by demand at least as many as in equal parts."""

from einlass_sim.world.outage import CAP, INSIDE, TRAFFIC, measure


def test_places_by_demand_are_worth_more_than_equal_parts_and_never_too_many() -> None:
    found = measure(21)
    assert set(found) == set(TRAFFIC)
    for name, policies in found.items():
        assert policies["lent_by_demand"]["over_cap"] == 0
        assert policies["equal"]["over_cap"] == 0
        assert policies["fail_open"]["over_cap"] > CAP - INSIDE
        ours, equally = policies["lent_by_demand"]["admitted"], policies["lent_equally"]["admitted"]
        assert ours >= equally, name
    assert found["both_uneven"]["lent_by_demand"]["admitted"] > found["both_uneven"]["equal"]["admitted"]
