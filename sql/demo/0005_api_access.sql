-- depends: 0001_people
-- The platform's API for data subjects looks up one thing: the address on record of whoever asks.
GRANT SELECT (id, email) ON creators TO ops_api;
