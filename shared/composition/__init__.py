"""How a service is put together from its parts, embedded or in Azure."""
