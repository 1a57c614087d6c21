SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;
CREATE TYPE public.studydirection AS ENUM (
    'NOT_SET',
    'MINIMIZE',
    'MAXIMIZE'
);
CREATE TYPE public.trialintermediatevaluetype AS ENUM (
    'FINITE',
    'INF_POS',
    'INF_NEG',
    'NAN'
);
CREATE TYPE public.trialstate AS ENUM (
    'RUNNING',
    'COMPLETE',
    'PRUNED',
    'FAIL',
    'WAITING'
);
CREATE TYPE public.trialvaluetype AS ENUM (
    'FINITE',
    'INF_POS',
    'INF_NEG'
);
SET default_tablespace = '';
SET default_table_access_method = heap;
CREATE TABLE public.alembic_version (
    version_num character varying(32) NOT NULL
);
CREATE TABLE public.hps_alembic_version (
    version_num character varying(32) NOT NULL
);
CREATE TABLE public.hps_artifact (
    artifact_id integer NOT NULL,
    study_id integer,
    trial_id integer,
    kind character varying(64) NOT NULL,
    path text NOT NULL,
    sha256 character varying(64) NOT NULL,
    bytes bigint NOT NULL,
    created_at timestamp without time zone NOT NULL
);
CREATE SEQUENCE public.hps_artifact_artifact_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.hps_artifact_artifact_id_seq OWNED BY public.hps_artifact.artifact_id;
CREATE TABLE public.hps_epoch (
    epoch_id integer NOT NULL,
    trial_id integer NOT NULL,
    stage character varying(64) NOT NULL,
    epoch integer NOT NULL,
    epochs integer NOT NULL,
    train_loss double precision,
    valid_loss double precision,
    metrics text NOT NULL,
    lrs text NOT NULL,
    seconds double precision,
    recorded_at timestamp without time zone NOT NULL
);
CREATE SEQUENCE public.hps_epoch_epoch_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.hps_epoch_epoch_id_seq OWNED BY public.hps_epoch.epoch_id;
CREATE TABLE public.hps_event (
    event_id integer NOT NULL,
    study_id integer,
    trial_id integer,
    run_id integer,
    worker character varying(64),
    kind character varying(64) NOT NULL,
    message text NOT NULL,
    traceback text,
    "time" timestamp without time zone NOT NULL
);
CREATE SEQUENCE public.hps_event_event_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.hps_event_event_id_seq OWNED BY public.hps_event.event_id;
CREATE TABLE public.hps_rule (
    rule_id integer NOT NULL,
    study_id integer NOT NULL,
    param character varying(255) NOT NULL,
    kind character varying(32) NOT NULL,
    value text,
    low text,
    high text,
    level double precision,
    share double precision,
    statement text NOT NULL,
    provenance text,
    payload text,
    explained_at timestamp without time zone NOT NULL
);
CREATE SEQUENCE public.hps_rule_rule_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.hps_rule_rule_id_seq OWNED BY public.hps_rule.rule_id;
CREATE TABLE public.hps_run (
    run_id integer NOT NULL,
    study_id integer NOT NULL,
    trials integer NOT NULL,
    workers integer NOT NULL,
    engine character varying(32) NOT NULL,
    machine character varying(64) NOT NULL,
    host character varying(255) NOT NULL,
    pid integer NOT NULL,
    started_at timestamp without time zone NOT NULL,
    seen_at timestamp without time zone NOT NULL,
    ended_at timestamp without time zone,
    outcome character varying(32)
);
CREATE SEQUENCE public.hps_run_run_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.hps_run_run_id_seq OWNED BY public.hps_run.run_id;
CREATE TABLE public.hps_trial (
    trial_id integer NOT NULL,
    study_id integer NOT NULL,
    run_id integer,
    cohort character varying(32) NOT NULL,
    seed bigint NOT NULL,
    replicate_of integer,
    attempts integer DEFAULT 0 NOT NULL,
    deaths integer DEFAULT 0 NOT NULL,
    data_source text,
    data_fingerprint character varying(128),
    preset character varying(64),
    device character varying(64),
    "precision" character varying(32),
    threads integer,
    versions text,
    git_commit character varying(64),
    worker character varying(64),
    machine character varying(64),
    host character varying(255),
    pid integer,
    metrics text,
    facts text,
    seconds double precision,
    created_at timestamp without time zone NOT NULL
);
CREATE TABLE public.hps_verification (
    verification_id integer NOT NULL,
    study_id integer NOT NULL,
    rule_id integer,
    param character varying(255) NOT NULL,
    value text,
    against text,
    pairs integer NOT NULL,
    effect double precision,
    low double precision,
    high double precision,
    verdict character varying(32) NOT NULL,
    payload text,
    verified_at timestamp without time zone NOT NULL
);
CREATE SEQUENCE public.hps_verification_verification_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.hps_verification_verification_id_seq OWNED BY public.hps_verification.verification_id;
CREATE TABLE public.studies (
    study_id integer NOT NULL,
    study_name character varying(512) NOT NULL
);
CREATE SEQUENCE public.studies_study_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.studies_study_id_seq OWNED BY public.studies.study_id;
CREATE TABLE public.study_directions (
    study_direction_id integer NOT NULL,
    direction public.studydirection NOT NULL,
    study_id integer NOT NULL,
    objective integer NOT NULL
);
CREATE SEQUENCE public.study_directions_study_direction_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.study_directions_study_direction_id_seq OWNED BY public.study_directions.study_direction_id;
CREATE TABLE public.study_system_attributes (
    study_system_attribute_id integer NOT NULL,
    study_id integer,
    key character varying(512),
    value_json text
);
CREATE SEQUENCE public.study_system_attributes_study_system_attribute_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.study_system_attributes_study_system_attribute_id_seq OWNED BY public.study_system_attributes.study_system_attribute_id;
CREATE TABLE public.study_user_attributes (
    study_user_attribute_id integer NOT NULL,
    study_id integer,
    key character varying(512),
    value_json text
);
CREATE SEQUENCE public.study_user_attributes_study_user_attribute_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.study_user_attributes_study_user_attribute_id_seq OWNED BY public.study_user_attributes.study_user_attribute_id;
CREATE TABLE public.trial_heartbeats (
    trial_heartbeat_id integer NOT NULL,
    trial_id integer NOT NULL,
    heartbeat timestamp without time zone NOT NULL
);
CREATE SEQUENCE public.trial_heartbeats_trial_heartbeat_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.trial_heartbeats_trial_heartbeat_id_seq OWNED BY public.trial_heartbeats.trial_heartbeat_id;
CREATE TABLE public.trial_intermediate_values (
    trial_intermediate_value_id integer NOT NULL,
    trial_id integer NOT NULL,
    step integer NOT NULL,
    intermediate_value double precision,
    intermediate_value_type public.trialintermediatevaluetype NOT NULL
);
CREATE SEQUENCE public.trial_intermediate_values_trial_intermediate_value_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.trial_intermediate_values_trial_intermediate_value_id_seq OWNED BY public.trial_intermediate_values.trial_intermediate_value_id;
CREATE TABLE public.trial_params (
    param_id integer NOT NULL,
    trial_id integer,
    param_name character varying(512),
    param_value double precision,
    distribution_json text
);
CREATE SEQUENCE public.trial_params_param_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.trial_params_param_id_seq OWNED BY public.trial_params.param_id;
CREATE TABLE public.trial_system_attributes (
    trial_system_attribute_id integer NOT NULL,
    trial_id integer,
    key character varying(512),
    value_json text
);
CREATE SEQUENCE public.trial_system_attributes_trial_system_attribute_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.trial_system_attributes_trial_system_attribute_id_seq OWNED BY public.trial_system_attributes.trial_system_attribute_id;
CREATE TABLE public.trial_user_attributes (
    trial_user_attribute_id integer NOT NULL,
    trial_id integer,
    key character varying(512),
    value_json text
);
CREATE SEQUENCE public.trial_user_attributes_trial_user_attribute_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.trial_user_attributes_trial_user_attribute_id_seq OWNED BY public.trial_user_attributes.trial_user_attribute_id;
CREATE TABLE public.trial_values (
    trial_value_id integer NOT NULL,
    trial_id integer NOT NULL,
    objective integer NOT NULL,
    value double precision,
    value_type public.trialvaluetype NOT NULL
);
CREATE SEQUENCE public.trial_values_trial_value_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.trial_values_trial_value_id_seq OWNED BY public.trial_values.trial_value_id;
CREATE TABLE public.trials (
    trial_id integer NOT NULL,
    number integer,
    study_id integer,
    state public.trialstate NOT NULL,
    datetime_start timestamp without time zone,
    datetime_complete timestamp without time zone
);
CREATE SEQUENCE public.trials_trial_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.trials_trial_id_seq OWNED BY public.trials.trial_id;
CREATE TABLE public.version_info (
    version_info_id integer NOT NULL,
    schema_version integer,
    library_version character varying(256),
    CONSTRAINT version_info_version_info_id_check CHECK ((version_info_id = 1))
);
ALTER TABLE ONLY public.hps_artifact ALTER COLUMN artifact_id SET DEFAULT nextval('public.hps_artifact_artifact_id_seq'::regclass);
ALTER TABLE ONLY public.hps_epoch ALTER COLUMN epoch_id SET DEFAULT nextval('public.hps_epoch_epoch_id_seq'::regclass);
ALTER TABLE ONLY public.hps_event ALTER COLUMN event_id SET DEFAULT nextval('public.hps_event_event_id_seq'::regclass);
ALTER TABLE ONLY public.hps_rule ALTER COLUMN rule_id SET DEFAULT nextval('public.hps_rule_rule_id_seq'::regclass);
ALTER TABLE ONLY public.hps_run ALTER COLUMN run_id SET DEFAULT nextval('public.hps_run_run_id_seq'::regclass);
ALTER TABLE ONLY public.hps_verification ALTER COLUMN verification_id SET DEFAULT nextval('public.hps_verification_verification_id_seq'::regclass);
ALTER TABLE ONLY public.studies ALTER COLUMN study_id SET DEFAULT nextval('public.studies_study_id_seq'::regclass);
ALTER TABLE ONLY public.study_directions ALTER COLUMN study_direction_id SET DEFAULT nextval('public.study_directions_study_direction_id_seq'::regclass);
ALTER TABLE ONLY public.study_system_attributes ALTER COLUMN study_system_attribute_id SET DEFAULT nextval('public.study_system_attributes_study_system_attribute_id_seq'::regclass);
ALTER TABLE ONLY public.study_user_attributes ALTER COLUMN study_user_attribute_id SET DEFAULT nextval('public.study_user_attributes_study_user_attribute_id_seq'::regclass);
ALTER TABLE ONLY public.trial_heartbeats ALTER COLUMN trial_heartbeat_id SET DEFAULT nextval('public.trial_heartbeats_trial_heartbeat_id_seq'::regclass);
ALTER TABLE ONLY public.trial_intermediate_values ALTER COLUMN trial_intermediate_value_id SET DEFAULT nextval('public.trial_intermediate_values_trial_intermediate_value_id_seq'::regclass);
ALTER TABLE ONLY public.trial_params ALTER COLUMN param_id SET DEFAULT nextval('public.trial_params_param_id_seq'::regclass);
ALTER TABLE ONLY public.trial_system_attributes ALTER COLUMN trial_system_attribute_id SET DEFAULT nextval('public.trial_system_attributes_trial_system_attribute_id_seq'::regclass);
ALTER TABLE ONLY public.trial_user_attributes ALTER COLUMN trial_user_attribute_id SET DEFAULT nextval('public.trial_user_attributes_trial_user_attribute_id_seq'::regclass);
ALTER TABLE ONLY public.trial_values ALTER COLUMN trial_value_id SET DEFAULT nextval('public.trial_values_trial_value_id_seq'::regclass);
ALTER TABLE ONLY public.trials ALTER COLUMN trial_id SET DEFAULT nextval('public.trials_trial_id_seq'::regclass);
INSERT INTO public.alembic_version VALUES ('v3.2.0.a');
INSERT INTO public.hps_alembic_version VALUES ('0001');
INSERT INTO public.hps_artifact VALUES (1, 1, 1, 'model', '/m', '0000000000000000000000000000000000000000000000000000000000000000', 1099511627776, '2026-11-24 22:40:59.875795');
INSERT INTO public.hps_epoch VALUES (1, 1, 'head', 1, 2, 0.7, 0.6666666666666666, '{"accuracy": 0.3333333333333333}', '[0.001, 0.1]', 1.25, '2026-11-24 22:40:59.786449');
INSERT INTO public.hps_event VALUES (1, NULL, 2, NULL, NULL, 'trial-failed', 'naïve 模型', 'line
line
line
', '2026-11-24 22:40:59.811724');
INSERT INTO public.hps_event VALUES (2, 1, NULL, 1, 'w', 'look', '{}', NULL, '2026-11-24 22:40:59.827742');
INSERT INTO public.hps_rule VALUES (1, 1, 'lr', 'optimum', '0.01', NULL, NULL, NULL, NULL, 'lr near 0.01', NULL, NULL, '2026-11-24 22:40:59.836993');
INSERT INTO public.hps_rule VALUES (2, 1, 'kind', 'optimum', 'true', NULL, NULL, NULL, NULL, 'lr near 0.01', NULL, NULL, '2026-11-24 22:40:59.836993');
INSERT INTO public.hps_run VALUES (1, 1, 4, 2, 'local', 'm', 'h', 1, '2026-11-24 22:40:59.472316', '2026-11-24 22:40:59.473433', '2026-11-24 22:40:59.899891', 'finished');
INSERT INTO public.hps_trial VALUES (4, 1, 1, 'design', 7, NULL, 0, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '2026-11-24 22:40:59.523802');
INSERT INTO public.hps_trial VALUES (2, 1, 1, 'design', 7, 0, 1, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'main', 'c7330deb6d784043bb6933e2d5b09119', 'vm', 27811, NULL, NULL, NULL, '2026-11-24 22:40:59.523802');
INSERT INTO public.hps_trial VALUES (3, 1, 1, 'design', 7, NULL, 1, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'main', 'c7330deb6d784043bb6933e2d5b09119', 'vm', 27811, NULL, NULL, NULL, '2026-11-24 22:40:59.523802');
INSERT INTO public.hps_trial VALUES (1, 1, 1, 'design', 7, NULL, 1, 0, NULL, NULL, NULL, 'cpu', NULL, 2, '{"torch": "2"}', NULL, 'main', 'c7330deb6d784043bb6933e2d5b09119', 'vm', 27811, NULL, NULL, 0.1, '2026-11-24 22:40:59.523802');
INSERT INTO public.hps_verification VALUES (1, 1, 2, 'kind', 'true', NULL, 5, 0.30000000000000004, NULL, NULL, 'confirmed', NULL, '2026-11-24 22:40:59.86108');
INSERT INTO public.studies VALUES (1, 'full');
INSERT INTO public.studies VALUES (2, 'other');
INSERT INTO public.study_directions VALUES (1, 'MAXIMIZE', 1, 0);
INSERT INTO public.study_directions VALUES (2, 'MINIMIZE', 1, 1);
INSERT INTO public.study_directions VALUES (3, 'MINIMIZE', 2, 0);
INSERT INTO public.study_system_attributes VALUES (1, 1, 'study:metric_names', '["accuracy", "seconds"]');
INSERT INTO public.study_user_attributes VALUES (1, 1, 'hps_note', '{"na\u00efve \u6a21\u578b": [1, null, 0.30000000000000004]}');
INSERT INTO public.trial_heartbeats VALUES (1, 1, '2026-11-24 22:40:59.545218');
INSERT INTO public.trial_heartbeats VALUES (2, 2, '2026-11-24 22:40:59.572765');
INSERT INTO public.trial_heartbeats VALUES (3, 3, '2026-11-24 22:40:59.596054');
INSERT INTO public.trial_intermediate_values VALUES (1, 1, 0, 0.30000000000000004, 'FINITE');
INSERT INTO public.trial_intermediate_values VALUES (2, 1, 1, NULL, 'INF_POS');
INSERT INTO public.trial_intermediate_values VALUES (3, 1, 2, NULL, 'INF_NEG');
INSERT INTO public.trial_intermediate_values VALUES (4, 1, 3, NULL, 'NAN');
INSERT INTO public.trial_params VALUES (1, 1, 'lr', 0.3333333333333333, '{"name": "FloatDistribution", "attributes": {"step": null, "low": 1e-05, "high": 1.0, "log": true}}');
INSERT INTO public.trial_params VALUES (2, 1, 'n', 3, '{"name": "IntDistribution", "attributes": {"log": false, "step": 2, "low": 1, "high": 9}}');
INSERT INTO public.trial_params VALUES (3, 1, 'kind', 0, '{"name": "CategoricalDistribution", "attributes": {"choices": ["a", 1, 2.5, true, null]}}');
INSERT INTO public.trial_params VALUES (4, 1, 'tiny', 0.30000000000000004, '{"name": "FloatDistribution", "attributes": {"step": 0.1, "low": 0.1, "high": 0.3, "log": false}}');
INSERT INTO public.trial_params VALUES (5, 2, 'lr', 0.3333333333333333, '{"name": "FloatDistribution", "attributes": {"step": null, "low": 1e-05, "high": 1.0, "log": true}}');
INSERT INTO public.trial_params VALUES (6, 2, 'n', 3, '{"name": "IntDistribution", "attributes": {"log": false, "step": 2, "low": 1, "high": 9}}');
INSERT INTO public.trial_params VALUES (7, 2, 'kind', 2, '{"name": "CategoricalDistribution", "attributes": {"choices": ["a", 1, 2.5, true, null]}}');
INSERT INTO public.trial_params VALUES (8, 2, 'tiny', 0.30000000000000004, '{"name": "FloatDistribution", "attributes": {"step": 0.1, "low": 0.1, "high": 0.3, "log": false}}');
INSERT INTO public.trial_params VALUES (9, 3, 'lr', 0.3333333333333333, '{"name": "FloatDistribution", "attributes": {"step": null, "low": 1e-05, "high": 1.0, "log": true}}');
INSERT INTO public.trial_params VALUES (10, 3, 'n', 3, '{"name": "IntDistribution", "attributes": {"log": false, "step": 2, "low": 1, "high": 9}}');
INSERT INTO public.trial_params VALUES (11, 3, 'kind', 4, '{"name": "CategoricalDistribution", "attributes": {"choices": ["a", 1, 2.5, true, null]}}');
INSERT INTO public.trial_params VALUES (12, 3, 'tiny', 0.30000000000000004, '{"name": "FloatDistribution", "attributes": {"step": 0.1, "low": 0.1, "high": 0.3, "log": false}}');
INSERT INTO public.trial_params VALUES (13, 4, 'lr', 0.3333333333333333, '{"name": "FloatDistribution", "attributes": {"step": null, "low": 1e-05, "high": 1.0, "log": true}}');
INSERT INTO public.trial_params VALUES (14, 4, 'n', 3, '{"name": "IntDistribution", "attributes": {"log": false, "step": 2, "low": 1, "high": 9}}');
INSERT INTO public.trial_params VALUES (15, 4, 'kind', 1, '{"name": "CategoricalDistribution", "attributes": {"choices": ["a", 1, 2.5, true, null]}}');
INSERT INTO public.trial_params VALUES (16, 4, 'tiny', 0.30000000000000004, '{"name": "FloatDistribution", "attributes": {"step": 0.1, "low": 0.1, "high": 0.3, "log": false}}');
INSERT INTO public.trial_system_attributes VALUES (1, 1, 'constraints:memory', '-0.1');
INSERT INTO public.trial_system_attributes VALUES (2, 5, 'fixed_params', '{"lr": 1.0}');
INSERT INTO public.trial_user_attributes VALUES (1, 1, 'hps_cohort', '"design"');
INSERT INTO public.trial_user_attributes VALUES (2, 1, 'hps_seed', '7');
INSERT INTO public.trial_user_attributes VALUES (3, 2, 'hps_cohort', '"design"');
INSERT INTO public.trial_user_attributes VALUES (4, 2, 'hps_seed', '7');
INSERT INTO public.trial_user_attributes VALUES (5, 2, 'hps_replicate_of', '0');
INSERT INTO public.trial_user_attributes VALUES (6, 3, 'hps_cohort', '"design"');
INSERT INTO public.trial_user_attributes VALUES (7, 3, 'hps_seed', '7');
INSERT INTO public.trial_user_attributes VALUES (8, 4, 'hps_cohort', '"design"');
INSERT INTO public.trial_user_attributes VALUES (9, 4, 'hps_seed', '7');
INSERT INTO public.trial_user_attributes VALUES (10, 1, 'hps_metrics', '{"accuracy": 0.3, "f1": 1e-300}');
INSERT INTO public.trial_values VALUES (1, 1, 0, 0.30000000000000004, 'FINITE');
INSERT INTO public.trial_values VALUES (2, 1, 1, 1e+300, 'FINITE');
INSERT INTO public.trials VALUES (4, 3, 1, 'WAITING', NULL, NULL);
INSERT INTO public.trials VALUES (3, 2, 1, 'RUNNING', '2026-11-24 22:40:59.596745', NULL);
INSERT INTO public.trials VALUES (1, 0, 1, 'COMPLETE', '2026-11-24 22:40:59.546415', '2026-11-24 22:40:59.768082');
INSERT INTO public.trials VALUES (2, 1, 1, 'FAIL', '2026-11-24 22:40:59.573672', '2026-11-24 22:40:59.774227');
INSERT INTO public.trials VALUES (5, 0, 2, 'WAITING', NULL, NULL);
INSERT INTO public.version_info VALUES (1, 12, '5.0.0');
SELECT pg_catalog.setval('public.hps_artifact_artifact_id_seq', 1, true);
SELECT pg_catalog.setval('public.hps_epoch_epoch_id_seq', 1, true);
SELECT pg_catalog.setval('public.hps_event_event_id_seq', 2, true);
SELECT pg_catalog.setval('public.hps_rule_rule_id_seq', 2, true);
SELECT pg_catalog.setval('public.hps_run_run_id_seq', 1, true);
SELECT pg_catalog.setval('public.hps_verification_verification_id_seq', 1, true);
SELECT pg_catalog.setval('public.studies_study_id_seq', 2, true);
SELECT pg_catalog.setval('public.study_directions_study_direction_id_seq', 3, true);
SELECT pg_catalog.setval('public.study_system_attributes_study_system_attribute_id_seq', 1, true);
SELECT pg_catalog.setval('public.study_user_attributes_study_user_attribute_id_seq', 1, true);
SELECT pg_catalog.setval('public.trial_heartbeats_trial_heartbeat_id_seq', 3, true);
SELECT pg_catalog.setval('public.trial_intermediate_values_trial_intermediate_value_id_seq', 4, true);
SELECT pg_catalog.setval('public.trial_params_param_id_seq', 16, true);
SELECT pg_catalog.setval('public.trial_system_attributes_trial_system_attribute_id_seq', 2, true);
SELECT pg_catalog.setval('public.trial_user_attributes_trial_user_attribute_id_seq', 10, true);
SELECT pg_catalog.setval('public.trial_values_trial_value_id_seq', 2, true);
SELECT pg_catalog.setval('public.trials_trial_id_seq', 5, true);
ALTER TABLE ONLY public.alembic_version
    ADD CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num);
ALTER TABLE ONLY public.hps_alembic_version
    ADD CONSTRAINT hps_alembic_version_pkc PRIMARY KEY (version_num);
ALTER TABLE ONLY public.hps_artifact
    ADD CONSTRAINT hps_artifact_pkey PRIMARY KEY (artifact_id);
ALTER TABLE ONLY public.hps_epoch
    ADD CONSTRAINT hps_epoch_pkey PRIMARY KEY (epoch_id);
ALTER TABLE ONLY public.hps_event
    ADD CONSTRAINT hps_event_pkey PRIMARY KEY (event_id);
ALTER TABLE ONLY public.hps_rule
    ADD CONSTRAINT hps_rule_pkey PRIMARY KEY (rule_id);
ALTER TABLE ONLY public.hps_run
    ADD CONSTRAINT hps_run_pkey PRIMARY KEY (run_id);
ALTER TABLE ONLY public.hps_trial
    ADD CONSTRAINT hps_trial_pkey PRIMARY KEY (trial_id);
ALTER TABLE ONLY public.hps_verification
    ADD CONSTRAINT hps_verification_pkey PRIMARY KEY (verification_id);
ALTER TABLE ONLY public.studies
    ADD CONSTRAINT studies_pkey PRIMARY KEY (study_id);
ALTER TABLE ONLY public.study_directions
    ADD CONSTRAINT study_directions_pkey PRIMARY KEY (study_direction_id);
ALTER TABLE ONLY public.study_directions
    ADD CONSTRAINT study_directions_study_id_objective_key UNIQUE (study_id, objective);
ALTER TABLE ONLY public.study_system_attributes
    ADD CONSTRAINT study_system_attributes_pkey PRIMARY KEY (study_system_attribute_id);
ALTER TABLE ONLY public.study_system_attributes
    ADD CONSTRAINT study_system_attributes_study_id_key_key UNIQUE (study_id, key);
ALTER TABLE ONLY public.study_user_attributes
    ADD CONSTRAINT study_user_attributes_pkey PRIMARY KEY (study_user_attribute_id);
ALTER TABLE ONLY public.study_user_attributes
    ADD CONSTRAINT study_user_attributes_study_id_key_key UNIQUE (study_id, key);
ALTER TABLE ONLY public.trial_heartbeats
    ADD CONSTRAINT trial_heartbeats_pkey PRIMARY KEY (trial_heartbeat_id);
ALTER TABLE ONLY public.trial_heartbeats
    ADD CONSTRAINT trial_heartbeats_trial_id_key UNIQUE (trial_id);
ALTER TABLE ONLY public.trial_intermediate_values
    ADD CONSTRAINT trial_intermediate_values_pkey PRIMARY KEY (trial_intermediate_value_id);
ALTER TABLE ONLY public.trial_intermediate_values
    ADD CONSTRAINT trial_intermediate_values_trial_id_step_key UNIQUE (trial_id, step);
ALTER TABLE ONLY public.trial_params
    ADD CONSTRAINT trial_params_pkey PRIMARY KEY (param_id);
ALTER TABLE ONLY public.trial_params
    ADD CONSTRAINT trial_params_trial_id_param_name_key UNIQUE (trial_id, param_name);
ALTER TABLE ONLY public.trial_system_attributes
    ADD CONSTRAINT trial_system_attributes_pkey PRIMARY KEY (trial_system_attribute_id);
ALTER TABLE ONLY public.trial_system_attributes
    ADD CONSTRAINT trial_system_attributes_trial_id_key_key UNIQUE (trial_id, key);
ALTER TABLE ONLY public.trial_user_attributes
    ADD CONSTRAINT trial_user_attributes_pkey PRIMARY KEY (trial_user_attribute_id);
ALTER TABLE ONLY public.trial_user_attributes
    ADD CONSTRAINT trial_user_attributes_trial_id_key_key UNIQUE (trial_id, key);
ALTER TABLE ONLY public.trial_values
    ADD CONSTRAINT trial_values_pkey PRIMARY KEY (trial_value_id);
ALTER TABLE ONLY public.trial_values
    ADD CONSTRAINT trial_values_trial_id_objective_key UNIQUE (trial_id, objective);
ALTER TABLE ONLY public.trials
    ADD CONSTRAINT trials_pkey PRIMARY KEY (trial_id);
ALTER TABLE ONLY public.hps_epoch
    ADD CONSTRAINT uq_hps_epoch_trial_epoch UNIQUE (trial_id, epoch);
ALTER TABLE ONLY public.version_info
    ADD CONSTRAINT version_info_pkey PRIMARY KEY (version_info_id);
CREATE INDEX ix_hps_artifact_study_id ON public.hps_artifact USING btree (study_id);
CREATE INDEX ix_hps_artifact_trial_id ON public.hps_artifact USING btree (trial_id);
CREATE INDEX ix_hps_event_study_id ON public.hps_event USING btree (study_id);
CREATE INDEX ix_hps_event_trial_id ON public.hps_event USING btree (trial_id);
CREATE INDEX ix_hps_rule_study_id ON public.hps_rule USING btree (study_id);
CREATE INDEX ix_hps_run_study_id ON public.hps_run USING btree (study_id);
CREATE INDEX ix_hps_trial_run_id ON public.hps_trial USING btree (run_id);
CREATE INDEX ix_hps_trial_study_id ON public.hps_trial USING btree (study_id);
CREATE INDEX ix_hps_verification_study_id ON public.hps_verification USING btree (study_id);
CREATE UNIQUE INDEX ix_studies_study_name ON public.studies USING btree (study_name);
CREATE INDEX ix_trials_study_id ON public.trials USING btree (study_id);
ALTER TABLE ONLY public.study_directions
    ADD CONSTRAINT study_directions_study_id_fkey FOREIGN KEY (study_id) REFERENCES public.studies(study_id);
ALTER TABLE ONLY public.study_system_attributes
    ADD CONSTRAINT study_system_attributes_study_id_fkey FOREIGN KEY (study_id) REFERENCES public.studies(study_id);
ALTER TABLE ONLY public.study_user_attributes
    ADD CONSTRAINT study_user_attributes_study_id_fkey FOREIGN KEY (study_id) REFERENCES public.studies(study_id);
ALTER TABLE ONLY public.trial_heartbeats
    ADD CONSTRAINT trial_heartbeats_trial_id_fkey FOREIGN KEY (trial_id) REFERENCES public.trials(trial_id);
ALTER TABLE ONLY public.trial_intermediate_values
    ADD CONSTRAINT trial_intermediate_values_trial_id_fkey FOREIGN KEY (trial_id) REFERENCES public.trials(trial_id);
ALTER TABLE ONLY public.trial_params
    ADD CONSTRAINT trial_params_trial_id_fkey FOREIGN KEY (trial_id) REFERENCES public.trials(trial_id);
ALTER TABLE ONLY public.trial_system_attributes
    ADD CONSTRAINT trial_system_attributes_trial_id_fkey FOREIGN KEY (trial_id) REFERENCES public.trials(trial_id);
ALTER TABLE ONLY public.trial_user_attributes
    ADD CONSTRAINT trial_user_attributes_trial_id_fkey FOREIGN KEY (trial_id) REFERENCES public.trials(trial_id);
ALTER TABLE ONLY public.trial_values
    ADD CONSTRAINT trial_values_trial_id_fkey FOREIGN KEY (trial_id) REFERENCES public.trials(trial_id);
ALTER TABLE ONLY public.trials
    ADD CONSTRAINT trials_study_id_fkey FOREIGN KEY (study_id) REFERENCES public.studies(study_id);
