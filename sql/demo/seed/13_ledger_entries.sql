-- Bookings of the closed year, on the accounts of the paid creators.

INSERT INTO ledger_entries (entry_no, booked_on, account_no, kind, amount_cents, currency) OVERRIDING SYSTEM VALUE
SELECT n, DATE '2025-12-31' - pg_temp.pick(n, 150, 365)::integer, 700000 + 3 * (1 + pg_temp.pick(n, 151, %(creators)s / 3)),
       (ARRAY['earning', 'earning', 'fee', 'payout'])[1 + mod(n, 4)], pg_temp.pick(n, 152, 500000) - 100000, 'EUR'
FROM generate_series(1, %(ledger_entries)s::bigint) AS n;
