-- What the outbox gets of the rows that are there when the triggers are installed, in this order. `{...}` as in
-- triggers.sql. Wagers that are over come as one sum for each path: the figures need no more of the past.

INSERT INTO fire22_outbox(type, timestamp, data)
  SELECT 'agent.imported', {time:a.created_at},
    json_object('agentId', CAST(a.code AS TEXT), 'name', a.name, 'path', a.path, 'level', a.level, 'status', a.status)
  FROM agents a ORDER BY a.level, a.path;

INSERT INTO fire22_outbox(type, timestamp, data)
  SELECT 'commission.plan_set', {time:p.updated_at}, (SELECT {plan:p}) FROM commission_plans p
  ORDER BY p.agent_id, p.effective_from;

INSERT INTO fire22_outbox(type, timestamp, data)
  -- A customer of nobody knows when was there before.
  SELECT 'customer.imported', coalesce(strftime('%Y-%m-%dT%H:%M:%fZ', c.created_at), '1970-01-01T00:00:00.000Z'), json_patch('{}', json_object({customer:c}, {profile:c},
    'lastWagerAt', (SELECT strftime('%Y-%m-%dT%H:%M:%fZ', max(w.accepted_at)) FROM wagers w
      WHERE w.customer_id = c.id AND w.status IN ('accepted', 'settled', 'cashed_out', 'cancelled', 'voided'))))
  FROM customers c ORDER BY c.code;

INSERT INTO fire22_outbox(type, timestamp, data)
  SELECT 'market.imported', {time:m.created_at},
    {market:m}
  FROM markets m WHERE m.status IN ('open', 'suspended', 'closed') ORDER BY m.created_at, m.id;

INSERT INTO fire22_outbox(type, timestamp, data)
  SELECT 'revenue.imported', {now}, json_object('path', p.path, 'revenueMinor', p.revenue) FROM (
    SELECT w.agent_path AS path, sum(iif(w.status IN ('settled', 'cashed_out') AND s.wager_id IS NOT NULL,
      iif(w.is_freeplay, 0, w.risk_cents) - s.return_cents, 0)) AS revenue
    FROM wagers w LEFT JOIN settlements s ON s.wager_id = w.id AND s.revision = {holding:w}
    WHERE w.status IN ('settled', 'cashed_out', 'cancelled', 'voided')
    GROUP BY w.agent_path) p
  ORDER BY p.path;

INSERT INTO fire22_outbox(type, timestamp, data)
  SELECT 'wager.imported', {time:w.accepted_at}, json_object({wager:w}, {channel:w}, 'status', w.status,
    'version', w.version, 'legs', {legs:w})
  FROM wagers w WHERE w.status = 'accepted' ORDER BY w.accepted_at, w.wager_number;

INSERT INTO fire22_outbox(type, timestamp, data)
  SELECT 'wager.requested', {time:w.accepted_at}, json_object({wager:w}, {channel:w}, 'status', w.status,
    'version', w.version, 'legs', {legs:w})
  FROM wagers w WHERE w.status IN ('requested', 'review') ORDER BY w.accepted_at, w.wager_number;

INSERT INTO fire22_outbox(type, timestamp, data)
  SELECT 'payment.' || iif(p.status = 'pending', 'requested', p.status), {time:p.requested_at}, {payment:p}
  FROM payments p WHERE p.status IN ('pending', 'approved') ORDER BY p.requested_at, p.id;
