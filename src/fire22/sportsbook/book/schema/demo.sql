-- The demo book, in SQLite. Times are RFC 3339 UTC text with milliseconds; money is integer minor units (`*_cents`);
-- prices are decimal odds with at most six decimals (the shortest text of the REAL is the price; where that is an
-- American price rounded, it means the American one). `odds_american` is how a price is shown. `position` is the place that
-- a selection finished in, and `tied` how many share it. The `terms` of a wager are a JSON object: what its type needs
-- (`wager_types.py`).
-- A row's `currency` is that of its amounts (ISO 4217), where it is another than the book's.
--
-- Order of writing inside a transaction, so that the triggers find what they tell:
--   1. a wager's legs are written BEFORE the wager (their foreign key is checked at commit);
--   2. a `wager_changes` row is written BEFORE the change or deletion of its wager (it holds the reason);
--   3. a settlement is written AFTER its wager, and BEFORE the wager's status becomes 'settled';
--   4. a market's selections are written BEFORE the market, and get their results BEFORE its status says so;
--   5. a wager is deleted BEFORE its legs and settlements. Their foreign keys are deferred and do not cascade: a cascade
--      would also delete them when INSERT OR REPLACE writes the same wager again.
-- `updated_at` is the time of the latest change; a writer that leaves it alone gets the wall clock in its events.

CREATE TABLE agents(
  id TEXT PRIMARY KEY, code TEXT NOT NULL UNIQUE, name TEXT NOT NULL, parent_id TEXT REFERENCES agents(id),
  level INTEGER NOT NULL CHECK(level BETWEEN 1 AND 8), path TEXT NOT NULL UNIQUE CHECK(path LIKE '/%'),
  status TEXT NOT NULL DEFAULT 'active', credit_limit_cents INTEGER NOT NULL DEFAULT 0,
  max_wager_cents INTEGER NOT NULL DEFAULT 0, created_at TEXT NOT NULL
) STRICT;

CREATE TABLE customers(
  id TEXT PRIMARY KEY, code TEXT NOT NULL UNIQUE, agent_id TEXT NOT NULL REFERENCES agents(id), name TEXT NOT NULL,
  status TEXT NOT NULL DEFAULT 'active', segment TEXT NOT NULL DEFAULT 'regular',
  bet_factor REAL NOT NULL DEFAULT 1.0, credit_limit_cents INTEGER NOT NULL DEFAULT 0,
  max_wager_cents INTEGER NOT NULL DEFAULT 0, settle_figure_cents INTEGER NOT NULL DEFAULT 0,
  balance_cents INTEGER NOT NULL DEFAULT 0, freeplay_cents INTEGER NOT NULL DEFAULT 0,
  created_at TEXT NOT NULL, updated_at TEXT NOT NULL, currency TEXT
) STRICT;
CREATE INDEX customers_agent ON customers(agent_id);

-- `tiers` is a JSON array of [from_cents, rate]. A plan holds from its date on, until that of the next.
CREATE TABLE commission_plans(
  agent_id TEXT NOT NULL REFERENCES agents(id), effective_from TEXT NOT NULL, type TEXT NOT NULL,
  rate REAL NOT NULL DEFAULT 0, per_head_cents INTEGER NOT NULL DEFAULT 0, tiers TEXT NOT NULL DEFAULT '[]',
  makeup_cents INTEGER NOT NULL DEFAULT 0, created_at TEXT NOT NULL, updated_at TEXT NOT NULL,
  PRIMARY KEY(agent_id, effective_from)
) STRICT, WITHOUT ROWID;

CREATE TABLE access_logs(
  id INTEGER PRIMARY KEY AUTOINCREMENT, customer_id TEXT NOT NULL REFERENCES customers(id), ip TEXT,
  action TEXT NOT NULL CHECK(action IN ('login', 'logout')), at TEXT NOT NULL
) STRICT;

CREATE TABLE sports(id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE leagues(id TEXT PRIMARY KEY, sport_id TEXT NOT NULL REFERENCES sports(id), name TEXT NOT NULL) STRICT;

CREATE TABLE events(
  id TEXT PRIMARY KEY, league_id TEXT NOT NULL REFERENCES leagues(id), home TEXT NOT NULL, away TEXT NOT NULL,
  starts_at TEXT NOT NULL, status TEXT NOT NULL CHECK(status IN ('scheduled', 'live', 'finished'))
) STRICT;
CREATE INDEX events_open ON events(starts_at) WHERE status <> 'finished';

CREATE TABLE markets(
  id TEXT PRIMARY KEY, event_id TEXT NOT NULL REFERENCES events(id), type TEXT NOT NULL, period TEXT NOT NULL,
  line REAL, status TEXT NOT NULL CHECK(status IN ('open', 'suspended', 'closed', 'resulted', 'voided')),
  liability_limit_cents INTEGER NOT NULL DEFAULT 0, closes_at TEXT NOT NULL,
  created_at TEXT NOT NULL, updated_at TEXT NOT NULL
) STRICT;
CREATE INDEX markets_event ON markets(event_id);
CREATE INDEX markets_unresulted ON markets(closes_at) WHERE status IN ('open', 'suspended', 'closed');

CREATE TABLE selections(
  id TEXT PRIMARY KEY, market_id TEXT NOT NULL REFERENCES markets(id) DEFERRABLE INITIALLY DEFERRED, name TEXT NOT NULL,
  odds_decimal REAL NOT NULL CHECK(odds_decimal >= 1), odds_american INTEGER NOT NULL,
  result INTEGER CHECK(result IN (0, 1)), void_factor REAL NOT NULL DEFAULT 0, dead_heat REAL NOT NULL DEFAULT 1,
  updated_at TEXT NOT NULL, position INTEGER CHECK(position >= 1), tied INTEGER NOT NULL DEFAULT 1 CHECK(tied >= 1)
) STRICT;
CREATE INDEX selections_market ON selections(market_id);

-- What is kept of winnings because a runner was withdrawn, of wagers that were accepted before a time, or of all.
CREATE TABLE market_deductions(
  market_id TEXT NOT NULL REFERENCES markets(id), percent REAL NOT NULL CHECK(percent >= 0 AND percent < 100),
  before_at TEXT
) STRICT;
CREATE INDEX market_deductions_market ON market_deductions(market_id);

CREATE TABLE odds_history(
  id INTEGER PRIMARY KEY AUTOINCREMENT, selection_id TEXT NOT NULL REFERENCES selections(id),
  odds_decimal REAL NOT NULL, source TEXT NOT NULL, changed_at TEXT NOT NULL
) STRICT;

CREATE TABLE wagers(
  id TEXT PRIMARY KEY, wager_number INTEGER NOT NULL UNIQUE,
  customer_id TEXT NOT NULL REFERENCES customers(id), agent_id TEXT NOT NULL REFERENCES agents(id),
  agent_path TEXT NOT NULL CHECK(agent_path LIKE '/%'), type TEXT NOT NULL,
  risk_cents INTEGER NOT NULL CHECK(risk_cents >= 0), to_win_cents INTEGER NOT NULL CHECK(to_win_cents >= 0),
  is_freeplay INTEGER NOT NULL DEFAULT 0 CHECK(is_freeplay IN (0, 1)), channel TEXT NOT NULL, ip TEXT,
  status TEXT NOT NULL CHECK(status IN ('requested', 'review', 'accepted', 'rejected', 'expired', 'settled',
                                        'cancelled', 'voided', 'cashed_out')),
  version INTEGER NOT NULL DEFAULT 1, accepted_at TEXT NOT NULL, settled_at TEXT, updated_at TEXT NOT NULL,
  idempotency_key TEXT UNIQUE, terms TEXT NOT NULL DEFAULT '{}', currency TEXT
) STRICT;
CREATE INDEX wagers_customer ON wagers(customer_id, accepted_at);
CREATE INDEX wagers_open ON wagers(accepted_at) WHERE status = 'accepted';
CREATE INDEX wagers_open_customer ON wagers(customer_id) WHERE status = 'accepted';

CREATE TABLE wager_legs(
  wager_id TEXT NOT NULL REFERENCES wagers(id) DEFERRABLE INITIALLY DEFERRED,
  leg_no INTEGER NOT NULL, selection_id TEXT NOT NULL REFERENCES selections(id), odds_decimal REAL NOT NULL,
  odds_american INTEGER NOT NULL, line REAL, result TEXT, PRIMARY KEY(wager_id, leg_no)
) STRICT, WITHOUT ROWID;
CREATE INDEX wager_legs_selection ON wager_legs(selection_id);

-- No foreign key to the wager: the report of changes outlives a deleted wager.
CREATE TABLE wager_changes(
  wager_id TEXT NOT NULL, version INTEGER NOT NULL, action TEXT NOT NULL, actor_id TEXT NOT NULL,
  "before" TEXT NOT NULL, "after" TEXT NOT NULL, reason TEXT NOT NULL, at TEXT NOT NULL, PRIMARY KEY(wager_id, version)
) STRICT, WITHOUT ROWID;

CREATE TABLE settlements(
  wager_id TEXT NOT NULL REFERENCES wagers(id) DEFERRABLE INITIALLY DEFERRED,
  revision INTEGER NOT NULL CHECK(revision >= 1),
  result TEXT NOT NULL, return_cents INTEGER NOT NULL CHECK(return_cents >= 0), profit_cents INTEGER NOT NULL,
  settled_by TEXT NOT NULL, batch_id TEXT, settled_at TEXT NOT NULL, PRIMARY KEY(wager_id, revision)
) STRICT, WITHOUT ROWID;

-- Append-only; `amount_cents` as the account's owner sees it. The sum of an account's entries is its balance. What the desk
-- moves by hand has the `ref_type` 'adjustment'.
CREATE TABLE ledger_entries(
  id INTEGER PRIMARY KEY AUTOINCREMENT, account_type TEXT NOT NULL, account_id TEXT NOT NULL, kind TEXT NOT NULL,
  amount_cents INTEGER NOT NULL, balance_after_cents INTEGER NOT NULL, ref_type TEXT NOT NULL, ref_id TEXT NOT NULL,
  created_at TEXT NOT NULL, reason TEXT NOT NULL DEFAULT '', currency TEXT
) STRICT;

CREATE TABLE payments(
  id TEXT PRIMARY KEY, customer_id TEXT NOT NULL REFERENCES customers(id),
  direction TEXT NOT NULL CHECK(direction IN ('deposit', 'withdrawal')), method TEXT NOT NULL,
  amount_cents INTEGER NOT NULL CHECK(amount_cents >= 0),
  status TEXT NOT NULL CHECK(status IN ('pending', 'approved', 'completed', 'rejected', 'failed', 'charged_back')),
  requested_at TEXT NOT NULL, updated_at TEXT NOT NULL, decided_by TEXT, currency TEXT
) STRICT;
CREATE INDEX payments_undecided ON payments(requested_at) WHERE status IN ('pending', 'approved');

-- What was done about alerts; the alerts themselves are not the book's.
CREATE TABLE alert_actions(
  id INTEGER PRIMARY KEY AUTOINCREMENT, alert_id TEXT NOT NULL,
  action TEXT NOT NULL CHECK(action IN ('acknowledged', 'closed')), actor_id TEXT NOT NULL, note TEXT NOT NULL,
  at TEXT NOT NULL
) STRICT;
CREATE INDEX alert_actions_alert ON alert_actions(alert_id, id);

-- The commands that were performed, by their keys, with what they were answered. Old ones are forgotten.
CREATE TABLE commands(
  principal TEXT NOT NULL, key TEXT NOT NULL, digest TEXT NOT NULL, answer TEXT NOT NULL, at TEXT NOT NULL,
  PRIMARY KEY(principal, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX commands_at ON commands(at);

CREATE TABLE audit_log(
  id INTEGER PRIMARY KEY AUTOINCREMENT, actor_id TEXT NOT NULL, action TEXT NOT NULL, entity TEXT NOT NULL,
  "before" TEXT NOT NULL, "after" TEXT NOT NULL, at TEXT NOT NULL
) STRICT;
CREATE INDEX audit_log_entity ON audit_log(entity, id);
