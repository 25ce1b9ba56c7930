"""The history of the archive's schema, one revision a file in `versions`; run by `storage.opening`."""
