"""What a product is, in numbers: blocks of features by modality, brought to one scale."""
