BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('v3.2.0.a');
CREATE TABLE hps_alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT hps_alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "hps_alembic_version" VALUES('0001');
CREATE TABLE hps_artifact (
	artifact_id INTEGER NOT NULL, 
	study_id INTEGER, 
	trial_id INTEGER, 
	kind VARCHAR(64) NOT NULL, 
	path TEXT NOT NULL, 
	sha256 VARCHAR(64) NOT NULL, 
	bytes BIGINT NOT NULL, 
	created_at DATETIME NOT NULL, 
	PRIMARY KEY (artifact_id)
);
INSERT INTO "hps_artifact" VALUES(1,1,1,'model','/m','0000000000000000000000000000000000000000000000000000000000000000',1099511627776,'2026-11-24 22:40:58.139517');
CREATE TABLE hps_epoch (
	epoch_id INTEGER NOT NULL, 
	trial_id INTEGER NOT NULL, 
	stage VARCHAR(64) NOT NULL, 
	epoch INTEGER NOT NULL, 
	epochs INTEGER NOT NULL, 
	train_loss DOUBLE, 
	valid_loss DOUBLE, 
	metrics TEXT NOT NULL, 
	lrs TEXT NOT NULL, 
	seconds DOUBLE, 
	recorded_at DATETIME NOT NULL, 
	PRIMARY KEY (epoch_id), 
	CONSTRAINT uq_hps_epoch_trial_epoch UNIQUE (trial_id, epoch)
);
INSERT INTO "hps_epoch" VALUES(1,1,'head',1,2,0.7,6.66666666666666629659e-01,'{"accuracy": 0.3333333333333333}','[0.001, 0.1]',1.25,'2026-11-24 22:40:58.071892');
CREATE TABLE hps_event (
	event_id INTEGER NOT NULL, 
	study_id INTEGER, 
	trial_id INTEGER, 
	run_id INTEGER, 
	worker VARCHAR(64), 
	kind VARCHAR(64) NOT NULL, 
	message TEXT NOT NULL, 
	traceback TEXT, 
	time DATETIME NOT NULL, 
	PRIMARY KEY (event_id)
);
INSERT INTO "hps_event" VALUES(1,NULL,2,NULL,NULL,'trial-failed','naïve 模型','line
line
line
','2026-11-24 22:40:58.089562');
INSERT INTO "hps_event" VALUES(2,1,NULL,1,'w','look','{}',NULL,'2026-11-24 22:40:58.099774');
CREATE TABLE hps_rule (
	rule_id INTEGER NOT NULL, 
	study_id INTEGER NOT NULL, 
	param VARCHAR(255) NOT NULL, 
	kind VARCHAR(32) NOT NULL, 
	value TEXT, 
	low TEXT, 
	high TEXT, 
	level DOUBLE, 
	share DOUBLE, 
	statement TEXT NOT NULL, 
	provenance TEXT, 
	payload TEXT, 
	explained_at DATETIME NOT NULL, 
	PRIMARY KEY (rule_id)
);
INSERT INTO "hps_rule" VALUES(1,1,'lr','optimum','0.01',NULL,NULL,NULL,NULL,'lr near 0.01',NULL,NULL,'2026-11-24 22:40:58.107307');
INSERT INTO "hps_rule" VALUES(2,1,'kind','optimum','true',NULL,NULL,NULL,NULL,'lr near 0.01',NULL,NULL,'2026-11-24 22:40:58.107307');
CREATE TABLE hps_run (
	run_id INTEGER NOT NULL, 
	study_id INTEGER NOT NULL, 
	trials INTEGER NOT NULL, 
	workers INTEGER NOT NULL, 
	engine VARCHAR(32) NOT NULL, 
	machine VARCHAR(64) NOT NULL, 
	host VARCHAR(255) NOT NULL, 
	pid INTEGER NOT NULL, 
	started_at DATETIME NOT NULL, 
	seen_at DATETIME NOT NULL, 
	ended_at DATETIME, 
	outcome VARCHAR(32), 
	PRIMARY KEY (run_id)
);
INSERT INTO "hps_run" VALUES(1,1,4,2,'local','m','h',1,'2026-11-24 22:40:57.856211','2026-11-24 22:40:57','2026-11-24 22:40:58.155751','finished');
CREATE TABLE hps_trial (
	trial_id INTEGER NOT NULL, 
	study_id INTEGER NOT NULL, 
	run_id INTEGER, 
	cohort VARCHAR(32) NOT NULL, 
	seed BIGINT NOT NULL, 
	replicate_of INTEGER, 
	attempts INTEGER DEFAULT '0' NOT NULL, 
	deaths INTEGER DEFAULT '0' NOT NULL, 
	data_source TEXT, 
	data_fingerprint VARCHAR(128), 
	preset VARCHAR(64), 
	device VARCHAR(64), 
	precision VARCHAR(32), 
	threads INTEGER, 
	versions TEXT, 
	git_commit VARCHAR(64), 
	worker VARCHAR(64), 
	machine VARCHAR(64), 
	host VARCHAR(255), 
	pid INTEGER, 
	metrics TEXT, 
	facts TEXT, 
	seconds DOUBLE, 
	created_at DATETIME NOT NULL, 
	PRIMARY KEY (trial_id)
);
INSERT INTO "hps_trial" VALUES(1,1,1,'design',7,NULL,1,0,NULL,NULL,NULL,'cpu',NULL,2,'{"torch": "2"}',NULL,'main','c7330deb6d784043bb6933e2d5b09119','vm',27811,NULL,NULL,0.1,'2026-11-24 22:40:57.870322');
INSERT INTO "hps_trial" VALUES(2,1,1,'design',7,0,1,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'main','c7330deb6d784043bb6933e2d5b09119','vm',27811,NULL,NULL,NULL,'2026-11-24 22:40:57.870322');
INSERT INTO "hps_trial" VALUES(3,1,1,'design',7,NULL,1,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'main','c7330deb6d784043bb6933e2d5b09119','vm',27811,NULL,NULL,NULL,'2026-11-24 22:40:57.870322');
INSERT INTO "hps_trial" VALUES(4,1,1,'design',7,NULL,0,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'2026-11-24 22:40:57.870322');
CREATE TABLE hps_verification (
	verification_id INTEGER NOT NULL, 
	study_id INTEGER NOT NULL, 
	rule_id INTEGER, 
	param VARCHAR(255) NOT NULL, 
	value TEXT, 
	against TEXT, 
	pairs INTEGER NOT NULL, 
	effect DOUBLE, 
	low DOUBLE, 
	high DOUBLE, 
	verdict VARCHAR(32) NOT NULL, 
	payload TEXT, 
	verified_at DATETIME NOT NULL, 
	PRIMARY KEY (verification_id)
);
INSERT INTO "hps_verification" VALUES(1,1,2,'kind','true',NULL,5,3.00000000000000044408e-01,NULL,NULL,'confirmed',NULL,'2026-11-24 22:40:58.125745');
CREATE TABLE studies (
	study_id INTEGER NOT NULL, 
	study_name VARCHAR(512) NOT NULL, 
	PRIMARY KEY (study_id)
);
INSERT INTO "studies" VALUES(1,'full');
INSERT INTO "studies" VALUES(2,'other');
CREATE TABLE study_directions (
	study_direction_id INTEGER NOT NULL, 
	direction VARCHAR(8) NOT NULL, 
	study_id INTEGER NOT NULL, 
	objective INTEGER NOT NULL, 
	PRIMARY KEY (study_direction_id), 
	UNIQUE (study_id, objective), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
INSERT INTO "study_directions" VALUES(1,'MAXIMIZE',1,0);
INSERT INTO "study_directions" VALUES(2,'MINIMIZE',1,1);
INSERT INTO "study_directions" VALUES(3,'MINIMIZE',2,0);
CREATE TABLE study_system_attributes (
	study_system_attribute_id INTEGER NOT NULL, 
	study_id INTEGER, 
	"key" VARCHAR(512), 
	value_json TEXT, 
	PRIMARY KEY (study_system_attribute_id), 
	UNIQUE (study_id, "key"), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
INSERT INTO "study_system_attributes" VALUES(1,1,'study:metric_names','["accuracy", "seconds"]');
CREATE TABLE study_user_attributes (
	study_user_attribute_id INTEGER NOT NULL, 
	study_id INTEGER, 
	"key" VARCHAR(512), 
	value_json TEXT, 
	PRIMARY KEY (study_user_attribute_id), 
	UNIQUE (study_id, "key"), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
INSERT INTO "study_user_attributes" VALUES(1,1,'hps_note','{"na\u00efve \u6a21\u578b": [1, null, 0.30000000000000004]}');
CREATE TABLE trial_heartbeats (
	trial_heartbeat_id INTEGER NOT NULL, 
	trial_id INTEGER NOT NULL, 
	heartbeat DATETIME NOT NULL, 
	PRIMARY KEY (trial_heartbeat_id), 
	UNIQUE (trial_id), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO "trial_heartbeats" VALUES(1,1,'2026-11-24 22:40:57');
INSERT INTO "trial_heartbeats" VALUES(2,2,'2026-11-24 22:40:57');
INSERT INTO "trial_heartbeats" VALUES(3,3,'2026-11-24 22:40:57');
CREATE TABLE trial_intermediate_values (
	trial_intermediate_value_id INTEGER NOT NULL, 
	trial_id INTEGER NOT NULL, 
	step INTEGER NOT NULL, 
	intermediate_value FLOAT, 
	intermediate_value_type VARCHAR(7) NOT NULL, 
	PRIMARY KEY (trial_intermediate_value_id), 
	UNIQUE (trial_id, step), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO "trial_intermediate_values" VALUES(1,1,0,3.00000000000000044408e-01,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(2,1,1,NULL,'INF_POS');
INSERT INTO "trial_intermediate_values" VALUES(3,1,2,NULL,'INF_NEG');
INSERT INTO "trial_intermediate_values" VALUES(4,1,3,NULL,'NAN');
CREATE TABLE trial_params (
	param_id INTEGER NOT NULL, 
	trial_id INTEGER, 
	param_name VARCHAR(512), 
	param_value FLOAT, 
	distribution_json TEXT, 
	PRIMARY KEY (param_id), 
	UNIQUE (trial_id, param_name), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO "trial_params" VALUES(1,1,'lr',3.33333333333333314829e-01,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 1e-05, "high": 1.0, "log": true}}');
INSERT INTO "trial_params" VALUES(2,1,'n',3.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 2, "low": 1, "high": 9}}');
INSERT INTO "trial_params" VALUES(3,1,'kind',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["a", 1, 2.5, true, null]}}');
INSERT INTO "trial_params" VALUES(4,1,'tiny',3.00000000000000044408e-01,'{"name": "FloatDistribution", "attributes": {"step": 0.1, "low": 0.1, "high": 0.3, "log": false}}');
INSERT INTO "trial_params" VALUES(5,2,'lr',3.33333333333333314829e-01,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 1e-05, "high": 1.0, "log": true}}');
INSERT INTO "trial_params" VALUES(6,2,'n',3.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 2, "low": 1, "high": 9}}');
INSERT INTO "trial_params" VALUES(7,2,'kind',2.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["a", 1, 2.5, true, null]}}');
INSERT INTO "trial_params" VALUES(8,2,'tiny',3.00000000000000044408e-01,'{"name": "FloatDistribution", "attributes": {"step": 0.1, "low": 0.1, "high": 0.3, "log": false}}');
INSERT INTO "trial_params" VALUES(9,3,'lr',3.33333333333333314829e-01,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 1e-05, "high": 1.0, "log": true}}');
INSERT INTO "trial_params" VALUES(10,3,'n',3.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 2, "low": 1, "high": 9}}');
INSERT INTO "trial_params" VALUES(11,3,'kind',4.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["a", 1, 2.5, true, null]}}');
INSERT INTO "trial_params" VALUES(12,3,'tiny',3.00000000000000044408e-01,'{"name": "FloatDistribution", "attributes": {"step": 0.1, "low": 0.1, "high": 0.3, "log": false}}');
INSERT INTO "trial_params" VALUES(13,4,'lr',3.33333333333333314829e-01,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 1e-05, "high": 1.0, "log": true}}');
INSERT INTO "trial_params" VALUES(14,4,'n',3.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 2, "low": 1, "high": 9}}');
INSERT INTO "trial_params" VALUES(15,4,'kind',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["a", 1, 2.5, true, null]}}');
INSERT INTO "trial_params" VALUES(16,4,'tiny',3.00000000000000044408e-01,'{"name": "FloatDistribution", "attributes": {"step": 0.1, "low": 0.1, "high": 0.3, "log": false}}');
CREATE TABLE trial_system_attributes (
	trial_system_attribute_id INTEGER NOT NULL, 
	trial_id INTEGER, 
	"key" VARCHAR(512), 
	value_json TEXT, 
	PRIMARY KEY (trial_system_attribute_id), 
	UNIQUE (trial_id, "key"), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO "trial_system_attributes" VALUES(1,1,'constraints:memory','-0.1');
INSERT INTO "trial_system_attributes" VALUES(2,5,'fixed_params','{"lr": 1.0}');
CREATE TABLE trial_user_attributes (
	trial_user_attribute_id INTEGER NOT NULL, 
	trial_id INTEGER, 
	"key" VARCHAR(512), 
	value_json TEXT, 
	PRIMARY KEY (trial_user_attribute_id), 
	UNIQUE (trial_id, "key"), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO "trial_user_attributes" VALUES(1,1,'hps_cohort','"design"');
INSERT INTO "trial_user_attributes" VALUES(2,1,'hps_seed','7');
INSERT INTO "trial_user_attributes" VALUES(3,2,'hps_cohort','"design"');
INSERT INTO "trial_user_attributes" VALUES(4,2,'hps_seed','7');
INSERT INTO "trial_user_attributes" VALUES(5,2,'hps_replicate_of','0');
INSERT INTO "trial_user_attributes" VALUES(6,3,'hps_cohort','"design"');
INSERT INTO "trial_user_attributes" VALUES(7,3,'hps_seed','7');
INSERT INTO "trial_user_attributes" VALUES(8,4,'hps_cohort','"design"');
INSERT INTO "trial_user_attributes" VALUES(9,4,'hps_seed','7');
INSERT INTO "trial_user_attributes" VALUES(10,1,'hps_metrics','{"accuracy": 0.3, "f1": 1e-300}');
CREATE TABLE trial_values (
	trial_value_id INTEGER NOT NULL, 
	trial_id INTEGER NOT NULL, 
	objective INTEGER NOT NULL, 
	value FLOAT, 
	value_type VARCHAR(7) NOT NULL, 
	PRIMARY KEY (trial_value_id), 
	UNIQUE (trial_id, objective), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO "trial_values" VALUES(1,1,0,3.00000000000000044408e-01,'FINITE');
INSERT INTO "trial_values" VALUES(2,1,1,1.0e+300,'FINITE');
CREATE TABLE trials (
	trial_id INTEGER NOT NULL, 
	number INTEGER, 
	study_id INTEGER, 
	state VARCHAR(8) NOT NULL, 
	datetime_start DATETIME, 
	datetime_complete DATETIME, 
	PRIMARY KEY (trial_id), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
INSERT INTO "trials" VALUES(1,0,1,'COMPLETE','2026-11-24 22:40:57.888995','2026-11-24 22:40:58.031372');
INSERT INTO "trials" VALUES(2,1,1,'FAIL','2026-11-24 22:40:57.909092','2026-11-24 22:40:58.057079');
INSERT INTO "trials" VALUES(3,2,1,'RUNNING','2026-11-24 22:40:57.924503',NULL);
INSERT INTO "trials" VALUES(4,3,1,'WAITING',NULL,NULL);
INSERT INTO "trials" VALUES(5,0,2,'WAITING',NULL,NULL);
CREATE TABLE version_info (
	version_info_id INTEGER NOT NULL, 
	schema_version INTEGER, 
	library_version VARCHAR(256), 
	PRIMARY KEY (version_info_id), 
	CHECK (version_info_id=1)
);
INSERT INTO "version_info" VALUES(1,12,'5.0.0');
CREATE UNIQUE INDEX ix_studies_study_name ON studies (study_name);
CREATE INDEX ix_trials_study_id ON trials (study_id);
CREATE INDEX ix_hps_run_study_id ON hps_run (study_id);
CREATE INDEX ix_hps_trial_study_id ON hps_trial (study_id);
CREATE INDEX ix_hps_trial_run_id ON hps_trial (run_id);
CREATE INDEX ix_hps_event_study_id ON hps_event (study_id);
CREATE INDEX ix_hps_event_trial_id ON hps_event (trial_id);
CREATE INDEX ix_hps_rule_study_id ON hps_rule (study_id);
CREATE INDEX ix_hps_verification_study_id ON hps_verification (study_id);
CREATE INDEX ix_hps_artifact_study_id ON hps_artifact (study_id);
CREATE INDEX ix_hps_artifact_trial_id ON hps_artifact (trial_id);
COMMIT;
