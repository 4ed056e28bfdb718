"""Where everything durable is: tables, migrations, and sets of rows for the decision path."""
