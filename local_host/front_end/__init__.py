"""One process per app: its instances, and the front end that joins them under one address."""
