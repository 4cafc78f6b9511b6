"""RetailRocket's shop: four and a half months of views, carts and purchases."""
