-- The table of the examples. A payment is known by the key that its caller made before the first attempt, so that it may
-- be asked for any number of times, by a client that got no answer and by a salvage that writes lost payments again.
CREATE TABLE payments (
    key     uuid PRIMARY KEY,
    account bigint NOT NULL,
    cents   bigint NOT NULL CHECK (cents > 0),
    made_at timestamptz NOT NULL
);

-- Returns 'paid' the first time and 'known' afterwards. Everything that a payment changes belongs into this function:
-- then it is done once and in one transaction, and one statement is one round trip.
CREATE FUNCTION pay(key uuid, account bigint, cents bigint, made_at timestamptz) RETURNS text
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO payments VALUES (pay.key, pay.account, pay.cents, pay.made_at) ON CONFLICT DO NOTHING;
    IF FOUND THEN
        RETURN 'paid';
    END IF;
    -- The key of another payment is a defect of the caller's, and no repetition.
    PERFORM FROM payments AS known
        WHERE known.key = pay.key AND (known.account, known.cents) = (pay.account, pay.cents);
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the key % is another payment''s', pay.key USING ERRCODE = 'unique_violation';
    END IF;
    RETURN 'known';
END $$;

GRANT SELECT, INSERT ON payments TO application;
