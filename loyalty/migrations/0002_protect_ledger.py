"""Keys that begin with the member, the trigger that applies postings, and what it forbids.

PostgreSQL itself keeps the books: inserting a posting is the only way to change a balance, and
nothing that happened can be changed or removed (docs/ledger.md, docs/decisions/0003).
"""

from django.db import migrations

# Django's models keep a single `id` where the admin needs one; the database's keys begin with the
# member, so that the ledger can be distributed by member one day. What a posting moves, its lot and
# its wallet, the trigger below finds by these keys and refuses what it does not find, and neither
# can go or get another key: foreign keys to them would look for each a second time.
KEYS = """
ALTER TABLE loyalty_ledgertransaction DROP CONSTRAINT loyalty_ledgertransaction_pkey,
    ADD PRIMARY KEY (member_id, number);
CREATE INDEX ledgertransaction_id ON loyalty_ledgertransaction (id);
ALTER TABLE loyalty_redemption DROP CONSTRAINT loyalty_redemption_pkey,
    ADD PRIMARY KEY (member_id, number);
CREATE INDEX redemption_id ON loyalty_redemption (id);
ALTER TABLE loyalty_order DROP CONSTRAINT loyalty_order_pkey,
    ADD PRIMARY KEY (member_id, number);
CREATE INDEX order_id ON loyalty_order (id);
ALTER TABLE loyalty_outboxevent DROP CONSTRAINT loyalty_outboxevent_pkey,
    ADD PRIMARY KEY (member_id, sequence);
ALTER TABLE loyalty_adjustmentrequest DROP CONSTRAINT loyalty_adjustmentrequest_pkey,
    ADD PRIMARY KEY (member_id, number);
CREATE INDEX adjustmentrequest_id ON loyalty_adjustmentrequest (id);

ALTER TABLE loyalty_memberstate ADD CONSTRAINT memberstate_member
    FOREIGN KEY (member_id) REFERENCES loyalty_member (id);
ALTER TABLE loyalty_wallet ADD CONSTRAINT wallet_member
    FOREIGN KEY (member_id) REFERENCES loyalty_memberstate (member_id);
ALTER TABLE loyalty_ledgertransaction ADD CONSTRAINT ledgertransaction_member
    FOREIGN KEY (member_id) REFERENCES loyalty_memberstate (member_id);
ALTER TABLE loyalty_lot ADD CONSTRAINT lot_origin
    FOREIGN KEY (member_id, origin) REFERENCES loyalty_lot (member_id, number);
ALTER TABLE loyalty_posting ADD CONSTRAINT posting_transaction
    FOREIGN KEY (member_id, transaction_number)
    REFERENCES loyalty_ledgertransaction (member_id, number);
ALTER TABLE loyalty_expirytotal ADD CONSTRAINT expirytotal_wallet
    FOREIGN KEY (member_id, currency) REFERENCES loyalty_wallet (member_id, currency);
ALTER TABLE loyalty_hold ADD CONSTRAINT hold_redemption
    FOREIGN KEY (member_id, number) REFERENCES loyalty_redemption (member_id, number);

ALTER TABLE loyalty_wallet SET (fillfactor = 70);
ALTER TABLE loyalty_memberstate SET (fillfactor = 70);
ALTER TABLE loyalty_lot SET (fillfactor = 80);
ALTER TABLE loyalty_expirytotal SET (fillfactor = 70);
ALTER TABLE loyalty_activityday SET (fillfactor = 70);
"""

DROP_KEYS = """
ALTER TABLE loyalty_hold DROP CONSTRAINT hold_redemption;
ALTER TABLE loyalty_expirytotal DROP CONSTRAINT expirytotal_wallet;
ALTER TABLE loyalty_posting DROP CONSTRAINT posting_transaction;
ALTER TABLE loyalty_lot DROP CONSTRAINT lot_origin;
ALTER TABLE loyalty_ledgertransaction DROP CONSTRAINT ledgertransaction_member;
ALTER TABLE loyalty_wallet DROP CONSTRAINT wallet_member;
ALTER TABLE loyalty_memberstate DROP CONSTRAINT memberstate_member;
DROP INDEX ledgertransaction_id, redemption_id, order_id;
ALTER TABLE loyalty_ledgertransaction DROP CONSTRAINT loyalty_ledgertransaction_pkey,
    ADD PRIMARY KEY (id);
ALTER TABLE loyalty_redemption DROP CONSTRAINT loyalty_redemption_pkey, ADD PRIMARY KEY (id);
ALTER TABLE loyalty_order DROP CONSTRAINT loyalty_order_pkey, ADD PRIMARY KEY (id);
ALTER TABLE loyalty_outboxevent DROP CONSTRAINT loyalty_outboxevent_pkey, ADD PRIMARY KEY (id);
DROP INDEX adjustmentrequest_id;
ALTER TABLE loyalty_adjustmentrequest DROP CONSTRAINT loyalty_adjustmentrequest_pkey,
    ADD PRIMARY KEY (id);
"""

# Buckets: 0 issued, 1 pending, 2 available, 3 held, 4 redeemed, 5 expired, 6 revoked, 7 debt,
# 8 transit. Points come into a lot from issued (0) or, after a transfer, from transit (8).
# A connection keeps the plans of its first postings. Those of a thousand at once, made while the
# tables are small, read all lots and wallets; so plans that do are switched off.
APPLY_MANY = """
CREATE FUNCTION loyalty_apply_many(posted loyalty_posting[]) RETURNS void
LANGUAGE plpgsql SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    lots_posted bigint;
    lots_updated bigint;
    wallets_posted bigint;
    wallets_updated bigint;
BEGIN
    WITH delta AS (
        SELECT member_id, currency, lot_number,
            sum(CASE WHEN source IN (0, 8) THEN amount ELSE 0 END)::bigint AS granted,
            sum(CASE 1 WHEN destination THEN amount WHEN source THEN -amount ELSE 0 END)::bigint
                AS pending,
            sum(CASE 2 WHEN destination THEN amount WHEN source THEN -amount ELSE 0 END)::bigint
                AS available,
            sum(CASE 3 WHEN destination THEN amount WHEN source THEN -amount ELSE 0 END)::bigint
                AS held,
            sum(CASE 4 WHEN destination THEN amount WHEN source THEN -amount ELSE 0 END)::bigint
                AS redeemed,
            sum(CASE 5 WHEN destination THEN amount WHEN source THEN -amount ELSE 0 END)::bigint
                AS expired,
            sum(CASE 6 WHEN destination THEN amount WHEN source THEN -amount ELSE 0 END)::bigint
                AS revoked,
            sum(CASE 7 WHEN destination THEN amount WHEN source THEN -amount ELSE 0 END)::bigint
                AS settled,
            sum(CASE 8 WHEN destination THEN amount ELSE 0 END)::bigint AS moved
        FROM unnest(posted) WHERE lot_number IS NOT NULL
        GROUP BY member_id, currency, lot_number
    ), lots AS (
        UPDATE loyalty_lot AS lot SET
            granted = lot.granted + delta.granted,
            pending = lot.pending + delta.pending,
            available = lot.available + delta.available,
            held = lot.held + delta.held,
            redeemed = lot.redeemed + delta.redeemed,
            expired = lot.expired + delta.expired,
            revoked = lot.revoked + delta.revoked,
            settled = lot.settled + delta.settled,
            moved = lot.moved + delta.moved
        FROM delta
        WHERE lot.member_id = delta.member_id AND lot.number = delta.lot_number
            AND lot.currency = delta.currency
        RETURNING lot.member_id, lot.currency, delta.available AS points,
            CASE WHEN lot.slides THEN 'infinity' ELSE lot.expires_at END AS expires_at
    ), totals AS (
        INSERT INTO loyalty_expirytotal AS total (member_id, currency, expires_at, points)
        SELECT member_id, currency, expires_at, sum(points)::bigint FROM lots
        WHERE expires_at IS NOT NULL AND points <> 0
        GROUP BY member_id, currency, expires_at
        ON CONFLICT (member_id, currency, expires_at)
        DO UPDATE SET points = total.points + excluded.points
    )
    SELECT (SELECT count(*) FROM delta), (SELECT count(*) FROM lots)
    INTO lots_posted, lots_updated;
    IF lots_updated <> lots_posted THEN
        RAISE EXCEPTION 'postings do not fit their lots: % posted to, % fit',
            lots_posted, lots_updated
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'posting_fits_lot';
    END IF;

    WITH delta AS (
        SELECT member_id, currency,
            count(*) AS postings, min(seq) AS first_seq, max(seq) AS last_seq,
            (max(ARRAY[seq, available_after]))[2] AS available_after,
            min(posted_at) AS first_at, max(posted_at) AS last_at,
            sum(CASE 0 WHEN source THEN amount ELSE 0 END)::bigint AS issued,
            sum(CASE 1 WHEN destination THEN amount WHEN source THEN -amount ELSE 0 END)::bigint
                AS pending,
            sum(CASE 2 WHEN destination THEN amount WHEN source THEN -amount ELSE 0 END)::bigint
                AS available,
            sum(CASE 3 WHEN destination THEN amount WHEN source THEN -amount ELSE 0 END)::bigint
                AS held,
            sum(CASE 7 WHEN source THEN amount WHEN destination THEN -amount ELSE 0 END)::bigint
                AS debt
        FROM unnest(posted) GROUP BY member_id, currency
    ), updated AS (
        UPDATE loyalty_wallet AS wallet SET
            pending = wallet.pending + delta.pending,
            available = wallet.available + delta.available,
            held = wallet.held + delta.held,
            debt = wallet.debt + delta.debt,
            lifetime_earned = wallet.lifetime_earned + delta.issued,
            seq = wallet.seq + delta.postings,
            posted_at = delta.last_at
        FROM delta
        WHERE wallet.member_id = delta.member_id AND wallet.currency = delta.currency
            AND delta.first_seq = wallet.seq + 1
            AND delta.last_seq = wallet.seq + delta.postings
            AND delta.available_after = wallet.available + delta.available
            AND delta.first_at >= coalesce(wallet.posted_at, delta.first_at)
        RETURNING 1
    )
    SELECT (SELECT count(*) FROM delta), (SELECT count(*) FROM updated)
    INTO wallets_posted, wallets_updated;
    IF wallets_updated <> wallets_posted THEN
        RAISE EXCEPTION 'postings do not continue their wallet: % posted to, % fit',
            wallets_posted, wallets_updated
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'posting_continues';
    END IF;
END $$;
"""

# Most commands have one posting. Starting what groups and joins many took a tenth of what an earn
# costs PostgreSQL; so one is applied by three statements that go by keys. Both say the same.
APPLY = """
CREATE FUNCTION loyalty_apply_postings() RETURNS trigger
LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    one record;
    to_pending bigint;
    to_available bigint;
    to_held bigint;
    ends timestamptz;
BEGIN
    SELECT posted.*, count(*) OVER () AS postings INTO one FROM posted;
    IF one.postings IS DISTINCT FROM 1 THEN
        PERFORM loyalty_apply_many(ARRAY(
            SELECT ROW(posted.*)::loyalty_posting FROM posted));
        RETURN NULL;
    END IF;
    to_pending := CASE 1 WHEN one.destination THEN one.amount WHEN one.source THEN -one.amount
        ELSE 0 END;
    to_available := CASE 2 WHEN one.destination THEN one.amount WHEN one.source THEN -one.amount
        ELSE 0 END;
    to_held := CASE 3 WHEN one.destination THEN one.amount WHEN one.source THEN -one.amount
        ELSE 0 END;
    IF one.lot_number IS NOT NULL THEN
        UPDATE loyalty_lot AS lot SET
            granted = lot.granted + CASE WHEN one.source IN (0, 8) THEN one.amount ELSE 0 END,
            pending = lot.pending + to_pending,
            available = lot.available + to_available,
            held = lot.held + to_held,
            redeemed = lot.redeemed + CASE 4 WHEN one.destination THEN one.amount
                WHEN one.source THEN -one.amount ELSE 0 END,
            expired = lot.expired + CASE 5 WHEN one.destination THEN one.amount
                WHEN one.source THEN -one.amount ELSE 0 END,
            revoked = lot.revoked + CASE 6 WHEN one.destination THEN one.amount
                WHEN one.source THEN -one.amount ELSE 0 END,
            settled = lot.settled + CASE 7 WHEN one.destination THEN one.amount
                WHEN one.source THEN -one.amount ELSE 0 END,
            moved = lot.moved + CASE 8 WHEN one.destination THEN one.amount ELSE 0 END
        WHERE lot.member_id = one.member_id AND lot.number = one.lot_number
            AND lot.currency = one.currency
        RETURNING CASE WHEN lot.slides THEN 'infinity' ELSE lot.expires_at END INTO ends;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'a posting does not fit its lot'
                USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'posting_fits_lot';
        END IF;
    END IF;
    IF ends IS NOT NULL AND to_available <> 0 THEN
        INSERT INTO loyalty_expirytotal AS total (member_id, currency, expires_at, points)
        VALUES (one.member_id, one.currency, ends, to_available)
        ON CONFLICT (member_id, currency, expires_at)
        DO UPDATE SET points = total.points + excluded.points;
    END IF;
    UPDATE loyalty_wallet AS wallet SET
        pending = wallet.pending + to_pending,
        available = wallet.available + to_available,
        held = wallet.held + to_held,
        debt = wallet.debt + CASE 7 WHEN one.source THEN one.amount
            WHEN one.destination THEN -one.amount ELSE 0 END,
        lifetime_earned = wallet.lifetime_earned
            + CASE 0 WHEN one.source THEN one.amount ELSE 0 END,
        seq = one.seq,
        posted_at = one.posted_at
    WHERE wallet.member_id = one.member_id AND wallet.currency = one.currency
        AND wallet.seq = one.seq - 1
        AND wallet.available = one.available_after - to_available
        AND one.posted_at >= coalesce(wallet.posted_at, one.posted_at);
    IF NOT FOUND THEN
        RAISE EXCEPTION 'a posting does not continue its wallet'
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'posting_continues';
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER apply_postings AFTER INSERT ON loyalty_posting
    REFERENCING NEW TABLE AS posted
    FOR EACH STATEMENT EXECUTE FUNCTION loyalty_apply_postings();
"""

# Of a lot that slides, the end is written when it has come: nothing else of a lot ever changes.
# pg_trigger_depth() is 0 in a trigger's condition when the statement came from outside, and 1 when
# the statement is one of loyalty_apply_postings.
FORBID = """
CREATE FUNCTION loyalty_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% of % is refused: points move only by inserting postings, and what happened '
        'is never changed', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege', CONSTRAINT = 'ledger_protected';
END $$;

CREATE TRIGGER posting_is_final BEFORE UPDATE OR DELETE OR TRUNCATE ON loyalty_posting
    FOR EACH STATEMENT EXECUTE FUNCTION loyalty_refuse();
CREATE TRIGGER ledgertransaction_is_final BEFORE UPDATE OR DELETE OR TRUNCATE
    ON loyalty_ledgertransaction FOR EACH STATEMENT EXECUTE FUNCTION loyalty_refuse();
CREATE TRIGGER lot_stays BEFORE DELETE OR TRUNCATE ON loyalty_lot
    FOR EACH STATEMENT EXECUTE FUNCTION loyalty_refuse();
CREATE TRIGGER wallet_stays BEFORE DELETE OR TRUNCATE ON loyalty_wallet
    FOR EACH STATEMENT EXECUTE FUNCTION loyalty_refuse();

CREATE TRIGGER lot_is_born_empty BEFORE INSERT ON loyalty_lot FOR EACH ROW
    WHEN (NEW.granted <> 0)
    EXECUTE FUNCTION loyalty_refuse();
CREATE TRIGGER lot_follows_postings BEFORE UPDATE ON loyalty_lot FOR EACH ROW
    WHEN (pg_trigger_depth() = 0 AND NOT (
        OLD.slides AND OLD.expires_at IS NULL AND to_jsonb(NEW) - 'expires_at'
            = to_jsonb(OLD) - 'expires_at'))
    EXECUTE FUNCTION loyalty_refuse();
CREATE TRIGGER expirytotal_stays BEFORE TRUNCATE ON loyalty_expirytotal
    FOR EACH STATEMENT EXECUTE FUNCTION loyalty_refuse();
CREATE TRIGGER expirytotal_follows_postings BEFORE INSERT OR UPDATE OR DELETE
    ON loyalty_expirytotal FOR EACH ROW WHEN (pg_trigger_depth() = 0)
    EXECUTE FUNCTION loyalty_refuse();
CREATE FUNCTION loyalty_only_of_erased() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM gone WHERE NOT EXISTS (
        SELECT FROM loyalty_erasure AS e WHERE e.member_id = gone.member_id)) THEN
        RAISE EXCEPTION '% of % is refused: it goes only with an erased member', TG_OP,
            TG_TABLE_NAME
            USING ERRCODE = 'insufficient_privilege', CONSTRAINT = 'consent_protected';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER consent_is_final BEFORE UPDATE OR TRUNCATE ON loyalty_consentrecord
    FOR EACH STATEMENT EXECUTE FUNCTION loyalty_refuse();
CREATE TRIGGER consent_goes_with_the_erased AFTER DELETE ON loyalty_consentrecord
    REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION loyalty_only_of_erased();
CREATE TRIGGER wallet_is_born_empty BEFORE INSERT ON loyalty_wallet FOR EACH ROW
    WHEN (NEW.pending <> 0 OR NEW.available <> 0 OR NEW.held <> 0 OR NEW.debt <> 0
        OR NEW.lifetime_earned <> 0 OR NEW.seq <> 0 OR NEW.posted_at IS NOT NULL)
    EXECUTE FUNCTION loyalty_refuse();
CREATE TRIGGER wallet_follows_postings BEFORE UPDATE ON loyalty_wallet FOR EACH ROW
    WHEN (pg_trigger_depth() = 0)
    EXECUTE FUNCTION loyalty_refuse();
"""

DROP_TRIGGERS = """
DROP TRIGGER wallet_follows_postings ON loyalty_wallet;
DROP TRIGGER wallet_is_born_empty ON loyalty_wallet;
DROP TRIGGER lot_follows_postings ON loyalty_lot;
DROP TRIGGER lot_is_born_empty ON loyalty_lot;
DROP TRIGGER wallet_stays ON loyalty_wallet;
DROP TRIGGER expirytotal_follows_postings ON loyalty_expirytotal;
DROP TRIGGER expirytotal_stays ON loyalty_expirytotal;
DROP TRIGGER lot_stays ON loyalty_lot;
DROP TRIGGER ledgertransaction_is_final ON loyalty_ledgertransaction;
DROP TRIGGER consent_goes_with_the_erased ON loyalty_consentrecord;
DROP TRIGGER consent_is_final ON loyalty_consentrecord;
DROP FUNCTION loyalty_only_of_erased();
DROP TRIGGER posting_is_final ON loyalty_posting;
DROP FUNCTION loyalty_refuse();
DROP TRIGGER apply_postings ON loyalty_posting;
DROP FUNCTION loyalty_apply_postings();
DROP FUNCTION loyalty_apply_many(loyalty_posting[]);
"""


class Migration(migrations.Migration):
    """Put the ledger under PostgreSQL's own protection."""

    dependencies = [("loyalty", "0001_create_tables")]

    operations = [
        migrations.RunSQL(KEYS, DROP_KEYS),
        migrations.RunSQL(APPLY_MANY + APPLY + FORBID, DROP_TRIGGERS),
    ]
