"""Importers: shop photos, clips and viewing logs become rows of a dataset."""
