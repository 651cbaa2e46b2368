"""One environment of a tenant, on this machine or in Azure, as a function of its inputs."""
