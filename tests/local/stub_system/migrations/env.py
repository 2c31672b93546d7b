"""Stands in for the migrations: leaves a table, so that a test sees they ran, and as whom."""

import os

import psycopg2

with psycopg2.connect(os.environ["DATABASE_URL"]) as connection, connection.cursor() as cursor:
    cursor.execute("CREATE TABLE IF NOT EXISTS migrated AS SELECT current_user AS by_whom")
connection.close()
