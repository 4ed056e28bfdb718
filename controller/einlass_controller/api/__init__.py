"""HTTP: a versioned API for selling systems and staff clients, and one public figure."""
