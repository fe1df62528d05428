"""The rows of the tensor language in numexpr: it has no word for any of them."""
