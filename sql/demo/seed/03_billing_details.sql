-- One creator in three is paid, and every heavy one.

INSERT INTO "Billing Details" ("creatorId", "Account No", "Legal Name", "Tax ID", "IBAN", "VAT %%", "order")
SELECT pg_temp.person(n), 700000 + n, upper(pg_temp.handle(n)) || ' LTD', 'TX' || lpad((n * 7919)::text, 12, '0'),
       'XX00' || lpad(pg_temp.pick(n, 40, 10000000000)::text, 18, '0'), mod(n, 4) * 7, 1 + mod(n, 3)
FROM generate_series(1, %(creators)s::bigint) AS n WHERE n <= %(heavy)s OR mod(n, 3) = 0;
