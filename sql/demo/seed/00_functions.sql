-- What the seed computes with: temporary functions of the seeding session, gone with it.
--
-- All are immutable arithmetic on a row number, so the same number gives the same bytes on every
-- server: no random(), no now(), no collation, no time zone. %%(name)s are word lists and counts.

CREATE FUNCTION pg_temp.pick(n bigint, salt bigint, size bigint) RETURNS bigint LANGUAGE sql IMMUTABLE AS
    $$ SELECT mod(hashint8extended(n, salt) & 9223372036854775807, size) $$;
CREATE FUNCTION pg_temp.key(kind text, n bigint) RETURNS uuid LANGUAGE sql IMMUTABLE AS
    $$ SELECT overlay(overlay(md5(kind || ':' || n::text) PLACING '4' FROM 13) PLACING '8' FROM 17)::uuid $$;
CREATE FUNCTION pg_temp.person(n bigint) RETURNS uuid LANGUAGE sql IMMUTABLE AS
    $$ SELECT pg_temp.key('creator', n) $$;
CREATE FUNCTION pg_temp.moment(n bigint, salt bigint, days bigint) RETURNS timestamptz LANGUAGE sql IMMUTABLE AS
    $$ SELECT to_timestamp((%(base)s - 1 - pg_temp.pick(n, salt, days * 86400))::double precision) $$;
CREATE FUNCTION pg_temp.named(n bigint) RETURNS bigint LANGUAGE sql IMMUTABLE AS
    $$ SELECT CASE WHEN n = %(long)s THEN %(short)s ELSE n END $$;
CREATE FUNCTION pg_temp.first_name(n bigint) RETURNS bigint LANGUAGE sql IMMUTABLE AS
    $$ SELECT 1 + mod(pg_temp.named(n) * 7, %(firsts)s) $$;
CREATE FUNCTION pg_temp.last_name(n bigint) RETURNS bigint LANGUAGE sql IMMUTABLE AS
    $$ SELECT 1 + mod(pg_temp.named(n) * 11 + pg_temp.named(n) / %(firsts)s, %(lasts)s) $$;
CREATE FUNCTION pg_temp.full_name(n bigint) RETURNS text LANGUAGE sql IMMUTABLE AS
    $$ SELECT (%(first_names)s::text[])[pg_temp.first_name(n)] || ' ' || (%(last_names)s::text[])[pg_temp.last_name(n)] $$;
CREATE FUNCTION pg_temp.handle(n bigint) RETURNS text LANGUAGE sql IMMUTABLE AS
    $$ SELECT (%(first_slugs)s::text[])[pg_temp.first_name(n)] || '.' || (%(last_slugs)s::text[])[pg_temp.last_name(n)]
              || '.' || n::text $$;
CREATE FUNCTION pg_temp.email(n bigint) RETURNS text LANGUAGE sql IMMUTABLE AS
    $$ SELECT CASE WHEN mod(n, 50) = 0
                   THEN initcap((pg_temp.handle(n) || '@' || (%(domains)s::text[])[1 + mod(n, %(domain_count)s)]) COLLATE "C")
                   ELSE pg_temp.handle(n) || '@' || (%(domains)s::text[])[1 + mod(n, %(domain_count)s)] END $$;
CREATE FUNCTION pg_temp.sentence(n bigint, salt bigint) RETURNS text LANGUAGE sql IMMUTABLE AS
    $$ SELECT (%(sentences)s::text[])[1 + pg_temp.pick(n, salt, %(sentence_count)s)] $$;
CREATE FUNCTION pg_temp.subject(n bigint) RETURNS text LANGUAGE sql IMMUTABLE AS
    $$ SELECT (%(subjects)s::text[])[1 + pg_temp.pick(n, 901, %(subject_count)s)] $$;
CREATE FUNCTION pg_temp.tag(n bigint, salt bigint) RETURNS text LANGUAGE sql IMMUTABLE AS
    $$ SELECT (%(tags)s::text[])[1 + pg_temp.pick(n, salt, %(tag_count)s)] $$;
CREATE FUNCTION pg_temp.city(n bigint) RETURNS text LANGUAGE sql IMMUTABLE AS
    $$ SELECT (%(cities)s::text[])[1 + mod(n, %(city_count)s)] $$;
CREATE FUNCTION pg_temp.country(n bigint) RETURNS text LANGUAGE sql IMMUTABLE AS
    $$ SELECT (%(countries)s::text[])[1 + mod(n, %(city_count)s)] $$;
CREATE FUNCTION pg_temp.browser(n bigint) RETURNS text LANGUAGE sql IMMUTABLE AS
    $$ SELECT 'Mozilla/5.0 ' || (%(browsers)s::text[])[1 + mod(n, %(browser_count)s)] $$;
CREATE FUNCTION pg_temp.address(n bigint) RETURNS inet LANGUAGE sql IMMUTABLE AS
    $$ SELECT '10.0.0.0'::inet + pg_temp.pick(n, 902, 16777216) $$;
CREATE FUNCTION pg_temp.noise(n bigint, salt bigint, blocks bigint) RETURNS bytea LANGUAGE sql IMMUTABLE AS
    $$ SELECT string_agg(sha512(convert_to(n::text || ':' || salt::text || ':' || k::text, 'UTF8')), ''::bytea ORDER BY k)
       FROM generate_series(1, blocks) AS k $$;

-- Owners: the first rows of a table go round the heavy creators, the rest to all the others.
CREATE FUNCTION pg_temp.anybody(n bigint, salt bigint) RETURNS bigint LANGUAGE sql IMMUTABLE AS
    $$ SELECT 1 + %(heavy)s + pg_temp.pick(n, salt, %(others)s) $$;
CREATE FUNCTION pg_temp.owner(n bigint, salt bigint, heavy_rows bigint) RETURNS bigint LANGUAGE sql IMMUTABLE AS
    $$ SELECT CASE WHEN n <= heavy_rows THEN 1 + mod(n - 1, %(heavy)s) ELSE pg_temp.anybody(n, salt) END $$;
-- After the heavy creators' posts comes one for each other creator, which may be featured.
CREATE FUNCTION pg_temp.post_owner(n bigint) RETURNS bigint LANGUAGE sql IMMUTABLE AS
    $$ SELECT CASE WHEN n > %(heavy_posts)s AND n <= %(heavy_posts)s + %(others)s THEN n - %(heavy_posts)s + %(heavy)s
                   ELSE pg_temp.owner(n, 101, %(heavy_posts)s) END $$;
CREATE FUNCTION pg_temp.first_post(creator bigint) RETURNS bigint LANGUAGE sql IMMUTABLE AS
    $$ SELECT CASE WHEN creator <= %(heavy)s THEN creator ELSE %(heavy_posts)s + creator - %(heavy)s END $$;
