"""Where things run: settings, storage, registry, jobs and the command line."""
