"""ServiceCatalogRuntimeService: the live inventory, with its history in two times."""
