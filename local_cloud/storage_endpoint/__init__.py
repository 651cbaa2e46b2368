"""Serves the embedded tables and blobs to SDKs that speak Azure Storage's REST protocol."""
