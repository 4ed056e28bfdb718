"""What people look at in a browser: own markup, styles and scripts, nothing from a foreign host."""
