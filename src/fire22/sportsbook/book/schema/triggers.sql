-- The triggers of the demo book: each writes one event to fire22_outbox in the transaction of the row it tells of.
--
-- They run in the SQLite of whoever writes the book, so they keep to what SQLite 3.38 knows, and they must never make the
-- book's own write fail: a row with a missing customer or agent is told with the raw id and the path '/', an unreadable
-- time becomes the present.
--
-- `{...}` is replaced by statements.py (and what a mapped book has in the place of tables and columns by translate.py):
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
-- INSERT OR REPLACE fires no delete trigger (unless recursive_triggers is on), so BEFORE INSERT keeps in fire22_replaced
-- what the insert may remove, and AFTER INSERT compares. What INSERT OR IGNORE and upserts leave there is cleared by the
-- next insert into the same table and never read. With recursive_triggers on, a replaced wager is deleted, then placed.
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

CREATE TRIGGER fire22_agents_before_insert BEFORE INSERT ON agents BEGIN
  DELETE FROM fire22_replaced WHERE source = 'agents';
  INSERT INTO fire22_replaced(source, id, data)
    SELECT 'agents', a.id, json_object({agent:a}) FROM agents a WHERE a.id = NEW.id;
END;

CREATE TRIGGER fire22_agents_insert AFTER INSERT ON agents BEGIN
  INSERT INTO fire22_outbox(type, timestamp, data)
    SELECT 'agent.created', {time:NEW.created_at}, json_object({agent:NEW})
    WHERE NOT EXISTS (SELECT 1 FROM fire22_replaced WHERE source = 'agents' AND id = NEW.id);
  INSERT INTO fire22_outbox(type, timestamp, data)
    SELECT 'agent.changed', {now}, json_object({agent:NEW}, 'before', json(r.data))
    FROM fire22_replaced r WHERE r.source = 'agents' AND r.id = NEW.id AND r.data <> json_object({agent:NEW});
  INSERT INTO fire22_outbox(type, timestamp, data)
    SELECT 'commission.plan_set', {now}, (SELECT {plan:p}) FROM commission_plans p
    JOIN fire22_replaced r ON r.source = 'agents' AND r.id = NEW.id AND r.data ->> '$.path' <> NEW.path
    WHERE p.agent_id = NEW.id ORDER BY p.effective_from;
  INSERT INTO fire22_outbox(type, timestamp, data)
    SELECT 'customer.moved', {now}, json_object({customer:c},
      'before', json_object('agentId', r.data ->> '$.agentId', 'path', r.data ->> '$.path'))
    FROM customers c JOIN fire22_replaced r ON r.source = 'agents' AND r.id = NEW.id
      AND (r.data ->> '$.path' <> NEW.path OR r.data ->> '$.agentId' <> CAST(NEW.code AS TEXT))
    WHERE c.agent_id = NEW.id ORDER BY c.code;
  DELETE FROM fire22_replaced WHERE source = 'agents';
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

CREATE TRIGGER fire22_customers_before_insert BEFORE INSERT ON customers BEGIN
  DELETE FROM fire22_replaced WHERE source = 'customers';
  INSERT INTO fire22_replaced(source, id, data) SELECT 'customers', c.id, json_object('code', CAST(c.code AS TEXT), 'currency', c.currency,
      'home', json_object({home:c}), 'nature', json_object({nature:c}), 'status', c.status, 'limits', json_object('creditLimitMinor', c.credit_limit_cents, 'maxWagerMinor', c.max_wager_cents))
    FROM customers c WHERE c.id = NEW.id;
END;

CREATE TRIGGER fire22_customers_insert AFTER INSERT ON customers BEGIN
  INSERT INTO fire22_outbox(type, timestamp, data)
    SELECT 'customer.created', {time:NEW.created_at},
      json_object({customer:NEW}, {profile:NEW})
    WHERE NOT EXISTS (SELECT 1 FROM fire22_replaced WHERE source = 'customers' AND id = NEW.id);
  INSERT INTO fire22_outbox(type, timestamp, data)
    SELECT 'row.changed', {now}, json_object('table', 'customers', 'id', CAST(NEW.id AS TEXT),
      'before', json_object('currency', r.data ->> '$.currency'), 'after', json_object('currency', NEW.currency))
    FROM fire22_replaced r
    WHERE r.source = 'customers' AND r.id = NEW.id AND r.data ->> '$.currency' IS NOT NEW.currency;
  INSERT INTO fire22_outbox(type, timestamp, data)
    SELECT 'customer.renamed', {time:NEW.updated_at}, json_object('customerId', CAST(NEW.code AS TEXT),
      'agentId', r.data ->> '$.home.agentId', 'path', r.data ->> '$.home.path', 'before', r.data ->> '$.code')
    FROM fire22_replaced r
    WHERE r.source = 'customers' AND r.id = NEW.id AND r.data ->> '$.code' <> CAST(NEW.code AS TEXT);
  INSERT INTO fire22_outbox(type, timestamp, data)
    SELECT 'customer.moved', {time:NEW.updated_at}, json_object({customer:NEW}, 'before', json(r.data -> '$.home'))
    FROM fire22_replaced r
    WHERE r.source = 'customers' AND r.id = NEW.id AND r.data -> '$.home' <> json_object({home:NEW});
  INSERT INTO fire22_outbox(type, timestamp, data)
    SELECT 'customer.changed', {time:NEW.updated_at}, json_object({customer:NEW}, {nature:NEW},
      'before', json(r.data -> '$.nature'))
    FROM fire22_replaced r
    WHERE r.source = 'customers' AND r.id = NEW.id AND r.data -> '$.nature' <> json_object({nature:NEW});
  INSERT INTO fire22_outbox(type, timestamp, data)
    SELECT 'customer.status_changed', {time:NEW.updated_at},
      json_object({customer:NEW}, 'before', r.data ->> '$.status', 'after', NEW.status)
    FROM fire22_replaced r
    WHERE r.source = 'customers' AND r.id = NEW.id AND r.data ->> '$.status' <> NEW.status;
  INSERT INTO fire22_outbox(type, timestamp, data)
    SELECT 'customer.limit_changed', {time:NEW.updated_at}, json_object({customer:NEW}, 'before', r.data -> '$.limits',
      'after', json_object('creditLimitMinor', NEW.credit_limit_cents, 'maxWagerMinor', NEW.max_wager_cents),
      'currency', NEW.currency)
    FROM fire22_replaced r
    WHERE r.source = 'customers' AND r.id = NEW.id AND (r.data ->> '$.limits.creditLimitMinor' <> NEW.credit_limit_cents
      OR r.data ->> '$.limits.maxWagerMinor' <> NEW.max_wager_cents);
  DELETE FROM fire22_replaced WHERE source = 'customers';
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

CREATE TRIGGER fire22_markets_before_insert BEFORE INSERT ON markets BEGIN
  DELETE FROM fire22_replaced WHERE source = 'markets';
  INSERT INTO fire22_replaced(source, id, data)
    SELECT 'markets', m.id, json_object('status', m.status, 'nature', json_object({kind_of:m})) FROM markets m
    WHERE m.id = NEW.id;
END;

CREATE TRIGGER fire22_markets_insert AFTER INSERT ON markets BEGIN
  INSERT INTO fire22_outbox(type, timestamp, data)
    SELECT 'market.created', {time:NEW.created_at}, {market:NEW}
    WHERE NOT EXISTS (SELECT 1 FROM fire22_replaced WHERE source = 'markets' AND id = NEW.id);
  INSERT INTO fire22_outbox(type, timestamp, data)
    SELECT 'market.status_changed', {time:NEW.updated_at}, json_object('marketId', CAST(NEW.id AS TEXT), 'status', NEW.status)
    FROM fire22_replaced r WHERE r.source = 'markets' AND r.id = NEW.id AND r.data ->> '$.status' <> NEW.status;
  INSERT INTO fire22_outbox(type, timestamp, data)
    SELECT 'market.changed', {time:NEW.updated_at}, json_set({market:NEW}, '$.before', json(r.data -> '$.nature'))
    FROM fire22_replaced r WHERE r.source = 'markets' AND r.id = NEW.id AND NEW.status NOT IN ('resulted', 'voided')
      AND r.data -> '$.nature' <> json_object({kind_of:NEW});
  DELETE FROM fire22_replaced WHERE source = 'markets';
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
  -- With recursive_triggers on this is part of a REPLACE, and now told.
  DELETE FROM fire22_replaced WHERE source = 'selections' AND id = OLD.id;
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

CREATE TRIGGER fire22_selections_before_insert BEFORE INSERT ON selections BEGIN
  DELETE FROM fire22_replaced WHERE source = 'selections';
  INSERT INTO fire22_replaced(source, id, data)
    SELECT 'selections', s.id, json_object('odds', s.odds_decimal, 'name', s.name)
    FROM selections s WHERE s.id = NEW.id;
END;

CREATE TRIGGER fire22_selections_insert AFTER INSERT ON selections BEGIN
  INSERT INTO fire22_outbox(type, timestamp, data)
    SELECT 'market.price_changed', {time:NEW.updated_at}, json_object('marketId', CAST(NEW.market_id AS TEXT),
      'selectionId', CAST(NEW.id AS TEXT), 'oldOdds', r.data ->> '$.odds', 'newOdds', NEW.odds_decimal)
    FROM fire22_replaced r WHERE r.source = 'selections' AND r.id = NEW.id AND r.data ->> '$.odds' <> NEW.odds_decimal;
  -- One that comes later than its market, or comes again under another name.
  INSERT INTO fire22_outbox(type, timestamp, data)
    SELECT 'market.changed', {time:NEW.updated_at}, json_set({market:m}, '$.before', json('{}'))
    FROM markets m LEFT JOIN fire22_replaced r ON r.source = 'selections' AND r.id = NEW.id
    WHERE m.id = NEW.market_id AND m.status NOT IN ('resulted', 'voided') AND r.data ->> '$.name' IS NOT NEW.name;
  DELETE FROM fire22_replaced WHERE source = 'selections';
END;

CREATE TRIGGER fire22_wagers_before_insert BEFORE INSERT ON wagers BEGIN
  DELETE FROM fire22_replaced WHERE source = 'wagers';
  -- REPLACE removes every row that any unique column conflicts with, so there may be several.
  INSERT INTO fire22_replaced(source, id, data)
    SELECT 'wagers', w.id, json_object({wager:w}, 'status', w.status, 'settledReturnMinor', {returned:w}, 'acceptedAt', w.accepted_at,
      'terms', w.terms)
    FROM wagers w WHERE {same_wager};
END;

CREATE TRIGGER fire22_wagers_insert AFTER INSERT ON wagers
WHEN NEW.status IN ('accepted', 'settled', 'cashed_out')
  OR EXISTS (SELECT 1 FROM fire22_replaced WHERE source = 'wagers')
BEGIN
  -- Other wagers that were removed because they had the same number or key.
  INSERT INTO fire22_outbox(type, timestamp, data)
    SELECT 'wager.cancelled', {time:NEW.updated_at}, json_patch('{}', json_set(json_remove(r.data, '$.acceptedAt', '$.terms'), '$.status', 'deleted'))
    FROM fire22_replaced r WHERE r.source = 'wagers' AND r.id <> NEW.id
      AND r.data ->> '$.status' IN ('accepted', 'settled', 'cashed_out');
  -- The same wager, written again.
  INSERT INTO fire22_outbox(type, timestamp, data)
    SELECT 'wager.cancelled', {time:NEW.updated_at}, json_patch('{}', json_set(json_remove(r.data, '$.acceptedAt', '$.terms'), '$.status', NEW.status, '$.reason',
      (SELECT nullif(reason, '') FROM wager_changes WHERE wager_id = NEW.id AND version = NEW.version)))
    FROM fire22_replaced r WHERE r.source = 'wagers' AND r.id = NEW.id
      AND r.data ->> '$.status' IN ('accepted', 'settled', 'cashed_out') AND NEW.status IN ('cancelled', 'voided');
  INSERT INTO fire22_outbox(type, timestamp, data)
    SELECT 'wager.cancelled', {time:NEW.updated_at}, json_patch('{}', json_set(json_remove(r.data, '$.acceptedAt', '$.terms'), '$.status', 'moved',
      '$.movedTo', json_object({owner:NEW})))
    FROM fire22_replaced r WHERE r.source = 'wagers' AND r.id = NEW.id AND {replaced};
  INSERT INTO fire22_outbox(type, timestamp, data)
    SELECT 'wager.modified', {time:NEW.updated_at}, json_object({wager:NEW}, 'version', NEW.version, 'before',
      json_object('riskMinor', r.data -> '$.riskMinor', 'toWinMinor', r.data -> '$.toWinMinor', 'type', r.data ->> '$.type',
        'freePlay', json(r.data -> '$.freePlay')), 'legs', {legs:NEW}, {terms:NEW})
    FROM fire22_replaced r WHERE r.source = 'wagers' AND r.id = NEW.id AND NOT ({replaced})
      AND r.data ->> '$.status' = 'accepted' AND NEW.status = 'accepted'
      AND (json_remove(r.data, '$.status', '$.settledReturnMinor', '$.acceptedAt', '$.terms', '$.currency')
        <> json_remove(json_object({wager:NEW}), '$.currency')
        OR r.data ->> '$.terms' IS NOT NEW.terms);
  INSERT INTO fire22_outbox(type, timestamp, data)
    SELECT 'wager.reopened', {time:NEW.updated_at}, json_patch('{}', json_object({wager:NEW}, {channel:NEW}, 'status', 'accepted',
      'version', NEW.version, 'legs', {legs:NEW}, 'settledReturnMinor', iif(r.data ->> '$.status' IN ('settled', 'cashed_out')
        AND NOT ({replaced}), r.data ->> '$.settledReturnMinor', NULL), 'movedFrom', json(iif({replaced}, json_object(
        'wagerNumber', r.data -> '$.wagerNumber', 'customerId', r.data ->> '$.customerId', 'agentId', r.data ->> '$.agentId',
        'path', r.data ->> '$.path'), NULL))))
    FROM fire22_replaced r WHERE r.source = 'wagers' AND r.id = NEW.id AND ({replaced} OR NEW.status = 'accepted'
      AND r.data ->> '$.status' IN ('settled', 'cashed_out', 'cancelled', 'voided'));
  INSERT INTO fire22_outbox(type, timestamp, data)
    SELECT 'wager.rejected', {time:NEW.updated_at}, json_patch('{}', json_object({wager:NEW}, 'status', NEW.status, 'reason',
      (SELECT nullif(reason, '') FROM wager_changes WHERE wager_id = NEW.id AND version = NEW.version)))
    FROM fire22_replaced r WHERE r.source = 'wagers' AND r.id = NEW.id
      AND r.data ->> '$.status' IN ('requested', 'review') AND NEW.status IN ('rejected', 'expired');
  INSERT INTO fire22_outbox(type, timestamp, data)
    SELECT 'row.changed', {now}, json_object('table', 'wagers', 'id', CAST(NEW.id AS TEXT),
      'before', json_object('accepted_at', r.data ->> '$.acceptedAt', 'currency', r.data ->> '$.currency'),
      'after', json_object('accepted_at', NEW.accepted_at, 'currency', NEW.currency))
    FROM fire22_replaced r WHERE r.source = 'wagers' AND r.id = NEW.id
      AND (r.data ->> '$.acceptedAt' <> NEW.accepted_at OR r.data ->> '$.currency' IS NOT NEW.currency)
      AND r.data ->> '$.status' IN ('accepted', 'settled', 'cashed_out');
  -- A wager that was not there, or never accepted; with the settlements that were written before it.
  INSERT INTO fire22_outbox(type, timestamp, data)
    SELECT 'wager.placed', {time:NEW.accepted_at}, json_object({wager:NEW}, {channel:NEW},
      'status', 'accepted', 'version', NEW.version, 'legs', {legs:NEW})
    WHERE NEW.status IN ('accepted', 'settled', 'cashed_out') AND NOT EXISTS (SELECT 1 FROM fire22_replaced r
      WHERE r.source = 'wagers' AND r.id = NEW.id
        AND r.data ->> '$.status' IN ('accepted', 'settled', 'cashed_out', 'cancelled', 'voided'));
  INSERT INTO fire22_outbox(type, timestamp, data)
    SELECT iif(s.revision > 1 OR r.data ->> '$.settledReturnMinor' IS NOT NULL, 'wager.resettled', 'wager.settled'),
      {time:s.settled_at}, json_object({wager:NEW}, 'revision', s.revision, 'result', s.result,
      'returnMinor', s.return_cents, 'previousReturnMinor', coalesce((SELECT p.return_cents FROM settlements p
        WHERE p.wager_id = NEW.id AND p.revision < s.revision ORDER BY p.revision DESC LIMIT 1),
        r.data ->> '$.settledReturnMinor', 0))
    FROM settlements s LEFT JOIN fire22_replaced r ON r.source = 'wagers' AND r.id = NEW.id
    WHERE s.wager_id = NEW.id AND NEW.status IN ('settled', 'cashed_out') AND {settlement_is_new}
      AND NOT coalesce({replaced}, 0)
    ORDER BY s.revision;
  INSERT INTO fire22_outbox(type, timestamp, data)
    SELECT 'wager.settled', {time:NEW.updated_at}, json_object({wager:NEW}, 'revision', s.revision, 'result', s.result,
      'returnMinor', s.return_cents, 'previousReturnMinor', 0)
    FROM fire22_replaced r JOIN settlements s ON s.wager_id = NEW.id AND s.revision = {holding:NEW}
    WHERE r.source = 'wagers' AND r.id = NEW.id AND {replaced} AND NEW.status IN ('settled', 'cashed_out');
  DELETE FROM fire22_replaced WHERE source = 'wagers';
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
    SELECT 'wager.settled', {changed}, json_object({wager:NEW}, 'revision', s.revision, 'result', s.result,
      'returnMinor', s.return_cents, 'previousReturnMinor', 0)
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
  -- With recursive_triggers on this is part of a REPLACE, and now told.
  DELETE FROM fire22_replaced WHERE source = 'wagers' AND id = OLD.id;
END;

CREATE TRIGGER fire22_settlements_before_insert BEFORE INSERT ON settlements BEGIN
  DELETE FROM fire22_replaced WHERE source = 'settlements';
  INSERT INTO fire22_replaced(source, id, data)
    SELECT 'settlements', s.wager_id, json_object('returnMinor', s.return_cents)
    FROM settlements s WHERE s.wager_id = NEW.wager_id AND s.revision = NEW.revision;
END;

CREATE TRIGGER fire22_settlements_insert AFTER INSERT ON settlements BEGIN
  -- A settlement written before its wager is told with the wager.
  INSERT INTO fire22_outbox(type, timestamp, data)
    SELECT iif(NEW.revision > 1 OR r.id IS NOT NULL, 'wager.resettled', 'wager.settled'), {time:NEW.settled_at},
      json_object({wager:w}, 'revision', NEW.revision, 'result', NEW.result, 'returnMinor', NEW.return_cents,
      'previousReturnMinor', coalesce(r.data ->> '$.returnMinor', (SELECT p.return_cents FROM settlements p
        WHERE p.wager_id = NEW.wager_id AND p.revision < NEW.revision ORDER BY p.revision DESC LIMIT 1), 0))
    FROM wagers w LEFT JOIN fire22_replaced r ON r.source = 'settlements' AND r.id = w.id
    WHERE w.id = NEW.wager_id;
  DELETE FROM fire22_replaced WHERE source = 'settlements';
END;

CREATE TRIGGER fire22_settlements_update AFTER UPDATE OF return_cents, result ON settlements
WHEN OLD.return_cents <> NEW.return_cents OR OLD.result IS NOT NEW.result BEGIN
  INSERT INTO fire22_outbox(type, timestamp, data)
    SELECT 'wager.resettled', {time:NEW.settled_at}, json_object({wager:w}, 'revision', NEW.revision, 'result', NEW.result,
      'returnMinor', NEW.return_cents, 'previousReturnMinor', OLD.return_cents)
    FROM wagers w WHERE w.id = NEW.wager_id AND NEW.revision = {holding:w};
END;

CREATE TRIGGER fire22_settlements_delete AFTER DELETE ON settlements BEGIN
  INSERT INTO fire22_outbox(type, timestamp, data)
    SELECT 'wager.resettled', {gone:w}, json_object({wager:w}, 'revision', s.revision, 'result', s.result,
      'returnMinor', s.return_cents, 'previousReturnMinor', OLD.return_cents)
    FROM wagers w JOIN settlements s ON s.wager_id = w.id AND s.revision = {holding:w}
    WHERE w.id = OLD.wager_id AND w.status IN ('settled', 'cashed_out') AND s.revision < OLD.revision;
  INSERT INTO fire22_outbox(type, timestamp, data)
    SELECT 'wager.reopened', {gone:w}, json_object({wager:w}, {channel:w}, 'status', 'accepted', 'version', w.version,
      'legs', {legs:w}, 'settledReturnMinor', OLD.return_cents)
    FROM wagers w WHERE w.id = OLD.wager_id AND {may_lose_it} AND (w.status = 'accepted' OR {holding:w} IS NULL)
      AND NOT EXISTS (SELECT 1 FROM settlements s WHERE s.wager_id = w.id AND s.revision > OLD.revision);
  -- With recursive_triggers on this is part of a REPLACE, and now told.
  DELETE FROM fire22_replaced WHERE source = 'settlements' AND id = OLD.wager_id;
END;

CREATE TRIGGER fire22_payments_before_insert BEFORE INSERT ON payments BEGIN
  DELETE FROM fire22_replaced WHERE source = 'payments';
  INSERT INTO fire22_replaced(source, id, data)
    SELECT 'payments', p.id, json_object('status', p.status, 'fixed', json_object({fixed_payment:p}))
    FROM payments p WHERE p.id = NEW.id;
END;

CREATE TRIGGER fire22_payments_insert AFTER INSERT ON payments BEGIN
  INSERT INTO fire22_outbox(type, timestamp, data)
    SELECT 'payment.' || iif(NEW.status = 'pending', 'requested', NEW.status),
      iif(NEW.status = 'pending', {time:NEW.requested_at}, {time:NEW.updated_at}), {payment:NEW}
    WHERE NOT EXISTS (SELECT 1 FROM fire22_replaced r
      WHERE r.source = 'payments' AND r.id = NEW.id AND r.data ->> '$.status' = NEW.status);
  INSERT INTO fire22_outbox(type, timestamp, data)
    SELECT 'row.changed', {now}, json_object('table', 'payments', 'id', CAST(NEW.id AS TEXT), 'before', json(r.data -> '$.fixed'),
      'after', json_object({fixed_payment:NEW}))
    FROM fire22_replaced r WHERE r.source = 'payments' AND r.id = NEW.id
      AND r.data -> '$.fixed' <> json_object({fixed_payment:NEW});
  DELETE FROM fire22_replaced WHERE source = 'payments';
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
