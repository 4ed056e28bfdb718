"""A site in virtual time, under faults: the shipped core and the shipped controller, and a truth that neither sees."""
