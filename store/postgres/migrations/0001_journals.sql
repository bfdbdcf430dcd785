-- One row per endpoint: the end of its journal. An append moves it on, and that
-- is the fence between two runners.
CREATE TABLE journal (
	endpoint text PRIMARY KEY,
	last     integer NOT NULL,
	sum      text NOT NULL
) WITH (fillfactor = 50); -- room to update a row where it is

-- The records, each as the line of JSON that its checksum is of. The writer is
-- the one call of Append that made the row.
CREATE TABLE record (
	endpoint text    NOT NULL,
	seq      integer NOT NULL,
	rollout  text    NOT NULL,
	body     text    NOT NULL,
	writer   text    NOT NULL,
	PRIMARY KEY (endpoint, seq)
);

-- Documents that are replaced as a whole, and fence nothing.
CREATE TABLE heartbeat (
	endpoint text PRIMARY KEY,
	body     text NOT NULL
);

CREATE TABLE attachment (
	endpoint text  NOT NULL,
	rollout  text  NOT NULL,
	body     bytea NOT NULL,
	PRIMARY KEY (endpoint, rollout)
);
