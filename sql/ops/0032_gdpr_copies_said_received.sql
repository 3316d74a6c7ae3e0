-- depends: 0031_gdpr_tokens_of_the_erased
-- What a person said before a later erasure was confirmed does not hold for that one: the comment said that it did.

COMMENT ON COLUMN gdpr_exports.received_at IS
    'When its subject last said that they have it: no erasure that was confirmed by then waits for its download; one that is confirmed later does, until they say so again. NULL: they have not.';
