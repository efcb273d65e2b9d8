-- The triggers of a mirror: each writes one event to fire22_outbox in the transaction of the row it tells of.
--
-- A row with a missing customer or agent is told with the raw id and the path '/', an unreadable time becomes the present.
--
-- `{...}` is replaced by statements.py:
--   {time:X}      column X as RFC 3339 UTC with milliseconds          {now}       the present, likewise
--   {changed}     NEW.updated_at if this statement wrote it, else the present
--   {wager:R}     the identity, amounts and kind of wager R as keys and values of json_object
--   {channel:R}   how and from where wager R came, likewise
--   {plan:R}      the whole of row R of commission_plans as a JSON object, with its FROM and WHERE
--   {legs:R}      the legs of wager R as a JSON array
--   {holding:R}   the revision of the settlement of wager R that holds: the latest one, NULL if that was rolled back
--   {returned:R}  what it returned as of the version of row R: a roll-back that is reported and not yet written is none
--   {gone:R}      in a DELETE trigger: when the change of wager R that is under way was reported, else the present
--   {profile:R}   what else there is to say of row R of customers, likewise
--   {market:R}    the whole of row R of markets, with its game and its selections, as a JSON object
--   {customer:R}  the codes of row R of customers and of its agent, and the agent's path, as keys and values
--   {home:R}      of these those of the agent
--   {agent:R}     the whole of row R of agents, likewise
--   {owner:R}     whose row R of wagers is, and its number, likewise
--   {payment:R}   the whole of payment R as a JSON object
--
-- They run in the mirror's file, which inserts only rows that it lacks (`sources/mirror/rows.py`): a row of the book that is
-- written again, by whatever statement, is an update here, and one that lost its place by a unique value a deletion.
--
-- A wager exists for the figures once it was accepted: 'accepted', 'settled' and 'cashed_out' below. A settlement row
-- makes wager.settled, whatever becomes of the status. A settlement is rolled back by the status (settled → accepted); its
-- row stays, and the report of changes says 'reopened' and up to which revision, so that nothing is taken back twice.
--
-- A settlement that is deleted holds no longer: the one before it holds again (wager.resettled), and without one the wager
-- is open again (wager.reopened), also while its status still says otherwise. The status that follows then tells the same
-- once more, which is passed over.
--
-- A deletion has no column that says when. The row's updated_at is the time of an earlier change: a deletion dated by it
-- would move the figures of a day that may be over. The report of changes, which is written before it, has its time.

CREATE TRIGGER fire22_agents_insert AFTER INSERT ON agents BEGIN
  INSERT INTO fire22_outbox(type, timestamp, data) VALUES('agent.created', {time:NEW.created_at}, json_object({agent:NEW}));
END;

-- An agent at another place takes its plans and its customers along; what they did stays where it was.
CREATE TRIGGER fire22_agents_change AFTER UPDATE OF code, name, path, level, status ON agents
WHEN OLD.code IS NOT NEW.code OR OLD.name IS NOT NEW.name OR OLD.path IS NOT NEW.path OR OLD.level IS NOT NEW.level
  OR OLD.status IS NOT NEW.status
BEGIN
  INSERT INTO fire22_outbox(type, timestamp, data)
    VALUES('agent.changed', {now}, json_object({agent:NEW}, 'before', json_object({agent:OLD})));
  INSERT INTO fire22_outbox(type, timestamp, data)
    SELECT 'commission.plan_set', {now}, (SELECT {plan:p}) FROM commission_plans p
    WHERE p.agent_id = NEW.id AND OLD.path IS NOT NEW.path ORDER BY p.effective_from;
  INSERT INTO fire22_outbox(type, timestamp, data)
    SELECT 'customer.moved', {now}, json_object({customer:c},
      'before', json_object('agentId', CAST(OLD.code AS TEXT), 'path', OLD.path))
    FROM customers c WHERE c.agent_id = NEW.id AND (OLD.code IS NOT NEW.code OR OLD.path IS NOT NEW.path) ORDER BY c.code;
END;

CREATE TRIGGER fire22_customers_insert AFTER INSERT ON customers BEGIN
  INSERT INTO fire22_outbox(type, timestamp, data)
    VALUES('customer.created', {time:NEW.created_at}, json_object({customer:NEW}, {profile:NEW}));
END;

-- In one trigger, for the order of several is not defined: who is renamed and moved is told first of all.
CREATE TRIGGER fire22_customers_change AFTER UPDATE OF code, agent_id, name, segment, bet_factor, status, credit_limit_cents, max_wager_cents ON customers
WHEN OLD.code IS NOT NEW.code OR OLD.agent_id IS NOT NEW.agent_id OR OLD.name IS NOT NEW.name
  OR OLD.segment IS NOT NEW.segment OR OLD.bet_factor IS NOT NEW.bet_factor OR OLD.status <> NEW.status
  OR OLD.credit_limit_cents <> NEW.credit_limit_cents OR OLD.max_wager_cents <> NEW.max_wager_cents
BEGIN
  INSERT INTO fire22_outbox(type, timestamp, data)
    SELECT 'customer.renamed', {changed}, json_object('customerId', CAST(NEW.code AS TEXT), {home:OLD},
      'before', CAST(OLD.code AS TEXT)) WHERE OLD.code IS NOT NEW.code;
  INSERT INTO fire22_outbox(type, timestamp, data)
    SELECT 'customer.moved', {changed}, json_object({customer:NEW}, 'before', json_object({home:OLD}))
    WHERE OLD.agent_id IS NOT NEW.agent_id;
  INSERT INTO fire22_outbox(type, timestamp, data)
    SELECT 'customer.changed', {changed}, json_object({customer:NEW}, {nature:NEW}, 'before', json_object({nature:OLD}))
    WHERE OLD.name IS NOT NEW.name OR OLD.segment IS NOT NEW.segment OR OLD.bet_factor IS NOT NEW.bet_factor;
  INSERT INTO fire22_outbox(type, timestamp, data)
    SELECT 'customer.status_changed', {changed},
      json_object({customer:NEW}, 'before', OLD.status, 'after', NEW.status) WHERE OLD.status <> NEW.status;
  INSERT INTO fire22_outbox(type, timestamp, data)
    SELECT 'customer.limit_changed', {changed}, json_object({customer:NEW},
      'before', json_object('creditLimitMinor', OLD.credit_limit_cents, 'maxWagerMinor', OLD.max_wager_cents),
      'after', json_object('creditLimitMinor', NEW.credit_limit_cents, 'maxWagerMinor', NEW.max_wager_cents),
      'currency', NEW.currency)
    WHERE OLD.credit_limit_cents <> NEW.credit_limit_cents OR OLD.max_wager_cents <> NEW.max_wager_cents;
END;

-- A plan that is written again for the same date is told again: each fact carries the whole plan.
CREATE TRIGGER fire22_commission_plans_insert AFTER INSERT ON commission_plans BEGIN
  INSERT INTO fire22_outbox(type, timestamp, data) SELECT 'commission.plan_set', {time:NEW.updated_at}, {plan:NEW};
END;

CREATE TRIGGER fire22_commission_plans_update AFTER UPDATE ON commission_plans BEGIN
  INSERT INTO fire22_outbox(type, timestamp, data) SELECT 'commission.plan_set', {changed}, {plan:NEW};
END;

CREATE TRIGGER fire22_access_logs_insert AFTER INSERT ON access_logs BEGIN
  INSERT INTO fire22_outbox(type, timestamp, data)
    SELECT 'session.' || NEW.action, {time:NEW.at}, json_object({customer:c}, 'ip', coalesce(NEW.ip, ''))
    FROM customers c WHERE c.id = NEW.customer_id;
END;

CREATE TRIGGER fire22_markets_insert AFTER INSERT ON markets BEGIN
  INSERT INTO fire22_outbox(type, timestamp, data) VALUES('market.created', {time:NEW.created_at}, {market:NEW});
END;

CREATE TRIGGER fire22_markets_status AFTER UPDATE OF status ON markets
WHEN OLD.status <> NEW.status BEGIN
  INSERT INTO fire22_outbox(type, timestamp, data)
    SELECT 'market.resulted', {changed}, json_object('marketId', CAST(NEW.id AS TEXT), 'results', {results:NEW})
    WHERE NEW.status IN ('resulted', 'voided');
  INSERT INTO fire22_outbox(type, timestamp, data)
    SELECT 'market.status_changed', {changed}, json_object('marketId', CAST(NEW.id AS TEXT), 'status', NEW.status)
    WHERE OLD.status <> NEW.status;
END;

-- What a market is like, in its own row, its game's, its sport's, and its selections': market.changed carries the whole of it.
CREATE TRIGGER fire22_markets_change AFTER UPDATE OF event_id, type, period, line, liability_limit_cents, closes_at ON markets
WHEN NEW.status NOT IN ('resulted', 'voided') AND (OLD.event_id IS NOT NEW.event_id OR OLD.type IS NOT NEW.type
  OR OLD.period IS NOT NEW.period OR OLD.line IS NOT NEW.line OR OLD.closes_at IS NOT NEW.closes_at
  OR OLD.liability_limit_cents IS NOT NEW.liability_limit_cents)
BEGIN
  INSERT INTO fire22_outbox(type, timestamp, data) VALUES('market.changed', {changed}, json_set({market:NEW}, '$.before', json_object({kind_of:OLD})));
END;

CREATE TRIGGER fire22_events_change AFTER UPDATE OF league_id, home, away, starts_at ON events
WHEN OLD.league_id IS NOT NEW.league_id OR OLD.home IS NOT NEW.home OR OLD.away IS NOT NEW.away
  OR OLD.starts_at IS NOT NEW.starts_at
BEGIN
  INSERT INTO fire22_outbox(type, timestamp, data)
    SELECT 'market.changed', {now}, json_set({market:m}, '$.before',
      json_object('eventName', OLD.home || coalesce(' - ' || OLD.away, ''), 'startsAt', OLD.starts_at))
    FROM markets m WHERE m.event_id = NEW.id AND m.status NOT IN ('resulted', 'voided') ORDER BY m.id;
END;

CREATE TRIGGER fire22_leagues_change AFTER UPDATE OF sport_id ON leagues WHEN OLD.sport_id IS NOT NEW.sport_id BEGIN
  INSERT INTO fire22_outbox(type, timestamp, data)
    SELECT 'market.changed', {now}, json_set({market:m}, '$.before',
      json_object('sport', (SELECT o.name FROM sports o WHERE o.id = OLD.sport_id)))
    FROM markets m JOIN events e ON e.id = m.event_id
    WHERE e.league_id = NEW.id AND m.status NOT IN ('resulted', 'voided') ORDER BY m.id;
END;

CREATE TRIGGER fire22_sports_change AFTER UPDATE OF name ON sports WHEN OLD.name IS NOT NEW.name BEGIN
  INSERT INTO fire22_outbox(type, timestamp, data)
    SELECT 'market.changed', {now}, json_set({market:m}, '$.before', json_object('sport', OLD.name))
    FROM markets m JOIN events e ON e.id = m.event_id JOIN leagues l ON l.id = e.league_id
    WHERE l.sport_id = NEW.id AND m.status NOT IN ('resulted', 'voided') ORDER BY m.id;
END;

CREATE TRIGGER fire22_selections_change AFTER UPDATE OF name ON selections WHEN OLD.name IS NOT NEW.name BEGIN
  INSERT INTO fire22_outbox(type, timestamp, data)
    SELECT 'market.changed', {changed}, json_set({market:m}, '$.before',
      json_object('selectionId', CAST(OLD.id AS TEXT), 'name', OLD.name))
    FROM markets m WHERE m.id = NEW.market_id AND m.status NOT IN ('resulted', 'voided');
END;

CREATE TRIGGER fire22_selections_delete AFTER DELETE ON selections BEGIN
  INSERT INTO fire22_outbox(type, timestamp, data)
    SELECT 'market.changed', {now}, json_set({market:m}, '$.before',
      json_object('selectionId', CAST(OLD.id AS TEXT), 'name', OLD.name))
    FROM markets m WHERE m.id = OLD.market_id AND m.status NOT IN ('resulted', 'voided');
END;

-- A result that is corrected after its market was over: the market's status need not be written again.
CREATE TRIGGER fire22_selections_result AFTER UPDATE OF result, void_factor, dead_heat ON selections
WHEN OLD.result IS NOT NEW.result OR OLD.void_factor IS NOT NEW.void_factor OR OLD.dead_heat IS NOT NEW.dead_heat BEGIN
  INSERT INTO fire22_outbox(type, timestamp, data)
    SELECT 'market.resulted', {changed}, json_object('marketId', CAST(m.id AS TEXT), 'results', {results:m})
    FROM markets m WHERE m.id = NEW.market_id AND m.status IN ('resulted', 'voided');
END;

CREATE TRIGGER fire22_selections_price AFTER UPDATE OF odds_decimal ON selections
WHEN OLD.odds_decimal <> NEW.odds_decimal BEGIN
  INSERT INTO fire22_outbox(type, timestamp, data) VALUES('market.price_changed', {changed}, json_object(
    'marketId', CAST(NEW.market_id AS TEXT), 'selectionId', CAST(NEW.id AS TEXT), 'oldOdds', OLD.odds_decimal, 'newOdds', NEW.odds_decimal));
END;

CREATE TRIGGER fire22_selections_insert AFTER INSERT ON selections BEGIN
  -- One that comes later than its market.
  INSERT INTO fire22_outbox(type, timestamp, data)
    SELECT 'market.changed', {time:NEW.updated_at}, json_set({market:m}, '$.before', json('{}'))
    FROM markets m WHERE m.id = NEW.market_id AND m.status NOT IN ('resulted', 'voided');
END;

CREATE TRIGGER fire22_wagers_insert AFTER INSERT ON wagers
WHEN NEW.status IN ('accepted', 'settled', 'cashed_out')
BEGIN
  -- With the settlements that were written before it.
  INSERT INTO fire22_outbox(type, timestamp, data) VALUES('wager.placed', {time:NEW.accepted_at},
    json_object({wager:NEW}, {channel:NEW}, 'status', 'accepted', 'version', NEW.version, 'legs', {legs:NEW}));
  INSERT INTO fire22_outbox(type, timestamp, data)
    SELECT iif(s.revision > 1, 'wager.resettled', 'wager.settled'),
      {time:s.settled_at}, json_patch(json_object({wager:NEW}, 'revision', s.revision, 'result', s.result,
      'returnMinor', s.return_cents, 'previousReturnMinor', coalesce((SELECT p.return_cents FROM settlements p
        WHERE p.wager_id = NEW.id AND p.revision < s.revision ORDER BY p.revision DESC LIMIT 1), 0)), {in_own:s})
    FROM settlements s WHERE s.wager_id = NEW.id AND NEW.status IN ('settled', 'cashed_out')
    ORDER BY s.revision;
END;

CREATE TRIGGER fire22_wagers_request AFTER INSERT ON wagers
WHEN NEW.status IN ('requested', 'review') BEGIN
  INSERT INTO fire22_outbox(type, timestamp, data) VALUES('wager.requested', {time:NEW.accepted_at},
    json_object({wager:NEW}, {channel:NEW}, 'status', NEW.status, 'version', NEW.version, 'legs', {legs:NEW}));
END;

-- Also where what is asked for has changed meanwhile.
CREATE TRIGGER fire22_wagers_review AFTER UPDATE OF status, wager_number, customer_id, agent_id, agent_path, type, risk_cents, to_win_cents, is_freeplay, terms ON wagers
WHEN OLD.status IN ('requested', 'review') AND NEW.status IN ('requested', 'review')
  AND (OLD.status <> NEW.status OR {other_wager})
BEGIN
  INSERT INTO fire22_outbox(type, timestamp, data) VALUES('wager.requested', {changed},
    json_object({wager:NEW}, {channel:NEW}, 'status', NEW.status, 'version', NEW.version, 'legs', {legs:NEW}));
END;

CREATE TRIGGER fire22_wagers_reject AFTER UPDATE OF status ON wagers
WHEN OLD.status IN ('requested', 'review') AND NEW.status IN ('rejected', 'expired') BEGIN
  INSERT INTO fire22_outbox(type, timestamp, data) VALUES('wager.rejected', {changed}, json_patch('{}', json_object(
    {wager:NEW}, 'status', NEW.status, 'reason',
    (SELECT nullif(reason, '') FROM wager_changes WHERE wager_id = NEW.id AND version = NEW.version))));
END;

CREATE TRIGGER fire22_wagers_reopen AFTER UPDATE OF status ON wagers
WHEN OLD.status IN ('settled', 'cashed_out', 'cancelled', 'voided') AND NEW.status = 'accepted' AND NOT ({moved}) BEGIN
  INSERT INTO fire22_outbox(type, timestamp, data) VALUES('wager.reopened', {changed}, json_patch('{}', json_object(
    {wager:NEW}, {channel:NEW}, 'status', NEW.status, 'version', NEW.version, 'legs', {legs:NEW},
    'settledReturnMinor', iif(OLD.status IN ('settled', 'cashed_out'), {returned:OLD}, NULL))));
END;

CREATE TRIGGER fire22_wagers_accept AFTER UPDATE OF status ON wagers
WHEN OLD.status IN ('requested', 'review') AND NEW.status IN ('accepted', 'settled', 'cashed_out') BEGIN
  INSERT INTO fire22_outbox(type, timestamp, data) VALUES('wager.placed', {time:NEW.accepted_at},
    json_object({wager:NEW}, {channel:NEW}, 'status', 'accepted', 'version', NEW.version, 'legs', {legs:NEW}));
END;

CREATE TRIGGER fire22_wagers_cancel AFTER UPDATE OF status ON wagers
WHEN OLD.status IN ('accepted', 'settled', 'cashed_out') AND NEW.status IN ('cancelled', 'voided') BEGIN
  -- The amounts are the old ones: they are what was counted.
  INSERT INTO fire22_outbox(type, timestamp, data) VALUES('wager.cancelled', {changed}, json_patch('{}', json_object(
    {wager:OLD}, 'status', NEW.status, 'settledReturnMinor', {returned:OLD}, 'reason',
    (SELECT nullif(reason, '') FROM wager_changes WHERE wager_id = NEW.id AND version = NEW.version))));
END;

CREATE TRIGGER fire22_wagers_modify AFTER UPDATE OF type, risk_cents, to_win_cents, is_freeplay, terms ON wagers
WHEN OLD.status = 'accepted' AND NEW.status = 'accepted' AND NOT ({moved}) AND ({other_terms})
BEGIN
  INSERT INTO fire22_outbox(type, timestamp, data) VALUES('wager.modified', {changed}, json_object({wager:NEW},
    'version', NEW.version, 'before', {stake:OLD}, 'legs', {legs:NEW}, {terms:NEW}));
END;

-- A wager that was counted is another one now: of another customer or agent, or, once it was settled, for other amounts.
-- What it did is taken back where it was, and done again where it is.
CREATE TRIGGER fire22_wagers_move AFTER UPDATE OF wager_number, customer_id, agent_id, agent_path, type, risk_cents, to_win_cents, is_freeplay, terms ON wagers
WHEN {moved}
BEGIN
  INSERT INTO fire22_outbox(type, timestamp, data) VALUES('wager.cancelled', {changed}, json_patch('{}', json_object(
    {wager:OLD}, 'status', 'moved', 'settledReturnMinor', {returned:OLD}, 'movedTo', json_object({owner:NEW}), 'reason',
    (SELECT nullif(reason, '') FROM wager_changes WHERE wager_id = NEW.id AND version = NEW.version))));
  INSERT INTO fire22_outbox(type, timestamp, data) VALUES('wager.reopened', {changed}, json_object({wager:NEW}, {channel:NEW},
    'status', 'accepted', 'version', NEW.version, 'legs', {legs:NEW}, 'movedFrom', json_object({owner:OLD})));
  INSERT INTO fire22_outbox(type, timestamp, data)
    SELECT 'wager.settled', {changed}, json_patch(json_object({wager:NEW}, 'revision', s.revision, 'result', s.result,
      'returnMinor', s.return_cents, 'previousReturnMinor', 0), {in_own:s})
    FROM settlements s WHERE s.wager_id = NEW.id AND s.revision = {holding:NEW} AND NEW.status IN ('settled', 'cashed_out');
END;

-- The legs of a wager that is there already: of one that is open, a change of it; of one that waits, it is asked for anew.
CREATE TRIGGER fire22_wager_legs_insert AFTER INSERT ON wager_legs BEGIN
  INSERT INTO fire22_outbox(type, timestamp, data)
    SELECT 'wager.modified', {now}, json_object({wager:w}, 'version', w.version, 'before', {stake:w}, 'legs', {legs:w})
    FROM wagers w WHERE w.id = NEW.wager_id AND w.status = 'accepted';
  INSERT INTO fire22_outbox(type, timestamp, data)
    SELECT 'wager.requested', {now}, json_object({wager:w}, {channel:w}, 'status', w.status, 'version', w.version,
      'legs', {legs:w})
    FROM wagers w WHERE w.id = NEW.wager_id AND w.status IN ('requested', 'review');
END;

CREATE TRIGGER fire22_wager_legs_update AFTER UPDATE OF selection_id, odds_decimal ON wager_legs
WHEN OLD.selection_id IS NOT NEW.selection_id OR OLD.odds_decimal IS NOT NEW.odds_decimal
BEGIN
  INSERT INTO fire22_outbox(type, timestamp, data)
    SELECT 'wager.modified', {now}, json_object({wager:w}, 'version', w.version, 'before',
      json_set({stake:w}, '$.leg', {leg:OLD}), 'legs', {legs:w})
    FROM wagers w WHERE w.id = NEW.wager_id AND w.status = 'accepted';
  INSERT INTO fire22_outbox(type, timestamp, data)
    SELECT 'wager.requested', {now}, json_object({wager:w}, {channel:w}, 'status', w.status, 'version', w.version,
      'legs', {legs:w})
    FROM wagers w WHERE w.id = NEW.wager_id AND w.status IN ('requested', 'review');
  INSERT INTO fire22_outbox(type, timestamp, data)
    SELECT 'row.changed', {now}, json_object('table', 'wager_legs', 'id', OLD.wager_id || '|' || OLD.leg_no,
      'before', json({leg:OLD}), 'after', json({leg:NEW}))
    FROM wagers w WHERE w.id = NEW.wager_id AND w.status IN ('settled', 'cashed_out');
END;

CREATE TRIGGER fire22_wager_legs_delete AFTER DELETE ON wager_legs BEGIN
  INSERT INTO fire22_outbox(type, timestamp, data)
    SELECT 'wager.modified', {now}, json_object({wager:w}, 'version', w.version, 'before',
      json_set({stake:w}, '$.leg', {leg:OLD}), 'legs', {legs:w})
    FROM wagers w WHERE w.id = OLD.wager_id AND w.status = 'accepted';
END;

CREATE TRIGGER fire22_wagers_delete BEFORE DELETE ON wagers
WHEN OLD.status IN ('accepted', 'settled', 'cashed_out') BEGIN
  INSERT INTO fire22_outbox(type, timestamp, data) VALUES('wager.cancelled', {gone:OLD}, json_patch('{}', json_object(
    {wager:OLD}, 'status', 'deleted', 'settledReturnMinor', {returned:OLD}, 'reason', (SELECT nullif(reason, '')
      FROM wager_changes WHERE wager_id = OLD.id AND version = OLD.version + 1 AND action = 'deleted'))));
END;

CREATE TRIGGER fire22_settlements_insert AFTER INSERT ON settlements BEGIN
  -- A settlement written before its wager is told with the wager.
  INSERT INTO fire22_outbox(type, timestamp, data)
    SELECT iif(NEW.revision > 1, 'wager.resettled', 'wager.settled'), {time:NEW.settled_at},
      json_patch(json_object({wager:w}, 'revision', NEW.revision, 'result', NEW.result, 'returnMinor', NEW.return_cents,
      'previousReturnMinor', coalesce((SELECT p.return_cents FROM settlements p
        WHERE p.wager_id = NEW.wager_id AND p.revision < NEW.revision ORDER BY p.revision DESC LIMIT 1), 0)), {in_own:NEW})
    FROM wagers w WHERE w.id = NEW.wager_id;
END;

CREATE TRIGGER fire22_settlements_update AFTER UPDATE OF return_cents, result, currency ON settlements
WHEN OLD.return_cents <> NEW.return_cents OR OLD.result IS NOT NEW.result OR OLD.currency IS NOT NEW.currency BEGIN
  INSERT INTO fire22_outbox(type, timestamp, data)
    SELECT 'wager.resettled', {time:NEW.settled_at}, json_patch(json_object({wager:w}, 'revision', NEW.revision, 'result', NEW.result,
      'returnMinor', NEW.return_cents, 'previousReturnMinor', OLD.return_cents), {in_own:NEW})
    FROM wagers w WHERE w.id = NEW.wager_id AND NEW.revision = {holding:w};
END;

CREATE TRIGGER fire22_settlements_delete AFTER DELETE ON settlements BEGIN
  INSERT INTO fire22_outbox(type, timestamp, data)
    SELECT 'wager.resettled', {gone:w}, json_patch(json_object({wager:w}, 'revision', s.revision, 'result', s.result,
      'returnMinor', s.return_cents, 'previousReturnMinor', OLD.return_cents), {in_own:s})
    FROM wagers w JOIN settlements s ON s.wager_id = w.id AND s.revision = {holding:w}
    WHERE w.id = OLD.wager_id AND w.status IN ('settled', 'cashed_out') AND s.revision < OLD.revision;
  INSERT INTO fire22_outbox(type, timestamp, data)
    SELECT 'wager.reopened', {gone:w}, json_object({wager:w}, {channel:w}, 'status', 'accepted', 'version', w.version,
      'legs', {legs:w}, 'settledReturnMinor', OLD.return_cents)
    FROM wagers w WHERE w.id = OLD.wager_id AND {may_lose_it} AND (w.status = 'accepted' OR {holding:w} IS NULL)
      AND NOT EXISTS (SELECT 1 FROM settlements s WHERE s.wager_id = w.id AND s.revision > OLD.revision);
END;

CREATE TRIGGER fire22_payments_insert AFTER INSERT ON payments BEGIN
  INSERT INTO fire22_outbox(type, timestamp, data)
    VALUES('payment.' || iif(NEW.status = 'pending', 'requested', NEW.status),
      iif(NEW.status = 'pending', {time:NEW.requested_at}, {time:NEW.updated_at}), {payment:NEW});
END;

CREATE TRIGGER fire22_payments_status AFTER UPDATE OF status ON payments WHEN OLD.status <> NEW.status BEGIN
  INSERT INTO fire22_outbox(type, timestamp, data)
    VALUES('payment.' || iif(NEW.status = 'pending', 'requested', NEW.status), {changed}, {payment:NEW});
END;

CREATE TRIGGER fire22_ledger_adjust AFTER INSERT ON ledger_entries
WHEN NEW.ref_type = 'adjustment' AND NEW.account_type = 'customer' BEGIN
  INSERT INTO fire22_outbox(type, timestamp, data)
    SELECT 'balance.adjusted', {time:NEW.created_at}, json_patch('{}', json_object('entryId', CAST(NEW.id AS TEXT),
      {customer:c}, 'kind', NEW.kind, 'amountMinor', NEW.amount_cents, 'currency', NEW.currency, 'reason', nullif(NEW.reason, '')))
    FROM customers c WHERE c.id = NEW.account_id;
END;

CREATE TRIGGER fire22_alert_actions_insert AFTER INSERT ON alert_actions BEGIN
  INSERT INTO fire22_outbox(type, timestamp, data) VALUES('alert.' || NEW.action, {time:NEW.at}, json_patch('{}',
    json_object('alertId', NEW.alert_id, 'actor', NEW.actor_id, 'note', nullif(NEW.note, ''))));
END;
