"""The stores: orders, what they owe and when they are due, in SQLite or PostgreSQL. ``ports.Store`` says what a store does."""
