"""Things tests share that are real: servers, proxies, devices. No stand-ins for the project's own classes."""
