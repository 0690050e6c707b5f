-- The five tables that an earn writes, with the keys that they cannot do without.
CREATE TABLE member (id bigint PRIMARY KEY, card text UNIQUE NOT NULL);
CREATE TABLE balance (
    member_id bigint PRIMARY KEY REFERENCES member,
    available bigint NOT NULL CHECK (available >= 0),
    version bigint NOT NULL
) WITH (fillfactor = 70);
CREATE TABLE idempotency (key text PRIMARY KEY, request_hash bytea NOT NULL, body jsonb NOT NULL);
CREATE TABLE transaction (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    member_id bigint NOT NULL REFERENCES member,
    ref text UNIQUE NOT NULL,
    points bigint NOT NULL,
    explanation jsonb NOT NULL,
    at timestamptz NOT NULL
);
CREATE TABLE lot (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    member_id bigint NOT NULL REFERENCES member,
    transaction_id bigint NOT NULL REFERENCES transaction,
    available bigint NOT NULL CHECK (available >= 0),
    expires_at timestamptz NOT NULL
);
CREATE INDEX ON lot (member_id, expires_at);
CREATE TABLE outbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    member_id bigint NOT NULL REFERENCES member,
    body jsonb NOT NULL
);

CREATE FUNCTION floor_earn(key text, hash bytea, card text, ref text, points bigint, why jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    at timestamptz := clock_timestamp();
    found_member bigint;
    now_available bigint;
    now_version bigint;
    done bigint;
    answer jsonb;
BEGIN
    UPDATE balance AS b SET available = b.available + points, version = b.version + 1
    FROM member AS m WHERE m.card = floor_earn.card AND b.member_id = m.id
    RETURNING b.member_id, b.available, b.version
    INTO STRICT found_member, now_available, now_version;
    INSERT INTO transaction (member_id, ref, points, explanation, at)
    VALUES (found_member, floor_earn.ref, points, why, at) RETURNING id INTO done;
    INSERT INTO lot (member_id, transaction_id, available, expires_at)
    VALUES (found_member, done, points, at + interval '1 year');
    answer := jsonb_build_object('id', done, 'member', found_member, 'order', ref,
        'points', points, 'explanation', why,
        'balance', jsonb_build_object('available', now_available, 'version', now_version));
    INSERT INTO outbox (member_id, body) VALUES (found_member, answer);
    INSERT INTO idempotency (key, request_hash, body) VALUES (floor_earn.key, hash, answer);
    RETURN answer;
END $$;

-- The same in bulk: what COPY has brought is written table by table.
CREATE UNLOGGED TABLE incoming (key text, hash bytea, card text, ref text, points bigint, why jsonb);

CREATE FUNCTION floor_earn_incoming() RETURNS bigint LANGUAGE sql AS $$
    WITH i AS (
        SELECT incoming.*, m.id AS member_id FROM incoming JOIN member AS m USING (card)
    ), b AS (
        UPDATE balance SET available = available + s.points, version = version + s.times
        FROM (SELECT member_id, sum(points) AS points, count(*) AS times FROM i GROUP BY 1) AS s
        WHERE balance.member_id = s.member_id RETURNING 1
    ), t AS (
        INSERT INTO transaction (member_id, ref, points, explanation, at)
        SELECT member_id, ref, points, why, clock_timestamp() FROM i RETURNING *
    ), l AS (
        INSERT INTO lot (member_id, transaction_id, available, expires_at)
        SELECT member_id, id, points, at + interval '1 year' FROM t RETURNING 1
    ), o AS (
        INSERT INTO outbox (member_id, body)
        SELECT member_id, jsonb_build_object('id', id, 'order', ref, 'points', points) FROM t
        RETURNING 1
    ), k AS (
        INSERT INTO idempotency (key, request_hash, body)
        SELECT key, hash, jsonb_build_object('order', ref, 'points', points) FROM i RETURNING 1
    )
    SELECT count(*) FROM k
$$;
