DROP TABLE IF EXISTS `alembic_version`;
CREATE TABLE `alembic_version` (
  `version_num` varchar(32) NOT NULL,
  PRIMARY KEY (`version_num`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;
INSERT INTO `alembic_version` VALUES
('v3.2.0.a');
DROP TABLE IF EXISTS `hps_alembic_version`;
CREATE TABLE `hps_alembic_version` (
  `version_num` varchar(32) NOT NULL,
  PRIMARY KEY (`version_num`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;
INSERT INTO `hps_alembic_version` VALUES
('0001');
DROP TABLE IF EXISTS `hps_artifact`;
CREATE TABLE `hps_artifact` (
  `artifact_id` int(11) NOT NULL AUTO_INCREMENT,
  `study_id` int(11) DEFAULT NULL,
  `trial_id` int(11) DEFAULT NULL,
  `kind` varchar(64) NOT NULL,
  `path` longtext NOT NULL,
  `sha256` varchar(64) NOT NULL,
  `bytes` bigint(20) NOT NULL,
  `created_at` datetime(6) NOT NULL,
  PRIMARY KEY (`artifact_id`),
  KEY `ix_hps_artifact_study_id` (`study_id`),
  KEY `ix_hps_artifact_trial_id` (`trial_id`)
) ENGINE=InnoDB AUTO_INCREMENT=2 DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;
INSERT INTO `hps_artifact` VALUES
(1,1,1,'model','/m','0000000000000000000000000000000000000000000000000000000000000000',1099511627776,'2026-11-24 22:41:04.751885');
DROP TABLE IF EXISTS `hps_epoch`;
CREATE TABLE `hps_epoch` (
  `epoch_id` int(11) NOT NULL AUTO_INCREMENT,
  `trial_id` int(11) NOT NULL,
  `stage` varchar(64) NOT NULL,
  `epoch` int(11) NOT NULL,
  `epochs` int(11) NOT NULL,
  `train_loss` double DEFAULT NULL,
  `valid_loss` double DEFAULT NULL,
  `metrics` longtext NOT NULL,
  `lrs` longtext NOT NULL,
  `seconds` double DEFAULT NULL,
  `recorded_at` datetime(6) NOT NULL,
  PRIMARY KEY (`epoch_id`),
  UNIQUE KEY `uq_hps_epoch_trial_epoch` (`trial_id`,`epoch`)
) ENGINE=InnoDB AUTO_INCREMENT=2 DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;
INSERT INTO `hps_epoch` VALUES
(1,1,'head',1,2,0.7,0.6666666666666666,'{\"accuracy\": 0.3333333333333333}','[0.001, 0.1]',1.25,'2026-11-24 22:41:04.631699');
DROP TABLE IF EXISTS `hps_event`;
CREATE TABLE `hps_event` (
  `event_id` int(11) NOT NULL AUTO_INCREMENT,
  `study_id` int(11) DEFAULT NULL,
  `trial_id` int(11) DEFAULT NULL,
  `run_id` int(11) DEFAULT NULL,
  `worker` varchar(64) DEFAULT NULL,
  `kind` varchar(64) NOT NULL,
  `message` longtext NOT NULL,
  `traceback` longtext DEFAULT NULL,
  `time` datetime(6) NOT NULL,
  PRIMARY KEY (`event_id`),
  KEY `ix_hps_event_study_id` (`study_id`),
  KEY `ix_hps_event_trial_id` (`trial_id`)
) ENGINE=InnoDB AUTO_INCREMENT=3 DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;
INSERT INTO `hps_event` VALUES
(1,NULL,2,NULL,NULL,'trial-failed','naïve 模型','line\nline\nline\n','2026-11-24 22:41:04.663938'),
(2,1,NULL,1,'w','look','{}',NULL,'2026-11-24 22:41:04.671785');
DROP TABLE IF EXISTS `hps_rule`;
CREATE TABLE `hps_rule` (
  `rule_id` int(11) NOT NULL AUTO_INCREMENT,
  `study_id` int(11) NOT NULL,
  `param` varchar(255) NOT NULL,
  `kind` varchar(32) NOT NULL,
  `value` longtext DEFAULT NULL,
  `low` longtext DEFAULT NULL,
  `high` longtext DEFAULT NULL,
  `level` double DEFAULT NULL,
  `share` double DEFAULT NULL,
  `statement` longtext NOT NULL,
  `provenance` longtext DEFAULT NULL,
  `payload` longtext DEFAULT NULL,
  `explained_at` datetime(6) NOT NULL,
  PRIMARY KEY (`rule_id`),
  KEY `ix_hps_rule_study_id` (`study_id`)
) ENGINE=InnoDB AUTO_INCREMENT=3 DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;
INSERT INTO `hps_rule` VALUES
(1,1,'lr','optimum','0.01',NULL,NULL,NULL,NULL,'lr near 0.01',NULL,NULL,'2026-11-24 22:41:04.697100'),
(2,1,'kind','optimum','true',NULL,NULL,NULL,NULL,'lr near 0.01',NULL,NULL,'2026-11-24 22:41:04.697100');
DROP TABLE IF EXISTS `hps_run`;
CREATE TABLE `hps_run` (
  `run_id` int(11) NOT NULL AUTO_INCREMENT,
  `study_id` int(11) NOT NULL,
  `trials` int(11) NOT NULL,
  `workers` int(11) NOT NULL,
  `engine` varchar(32) NOT NULL,
  `machine` varchar(64) NOT NULL,
  `host` varchar(255) NOT NULL,
  `pid` int(11) NOT NULL,
  `started_at` datetime(6) NOT NULL,
  `seen_at` datetime(6) NOT NULL,
  `ended_at` datetime(6) DEFAULT NULL,
  `outcome` varchar(32) DEFAULT NULL,
  PRIMARY KEY (`run_id`),
  KEY `ix_hps_run_study_id` (`study_id`)
) ENGINE=InnoDB AUTO_INCREMENT=2 DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;
INSERT INTO `hps_run` VALUES
(1,1,4,2,'local','m','h',1,'2026-11-24 22:41:04.383726','2026-11-24 22:41:04.000000','2026-11-24 22:41:04.765994','finished');
DROP TABLE IF EXISTS `hps_trial`;
CREATE TABLE `hps_trial` (
  `trial_id` int(11) NOT NULL,
  `study_id` int(11) NOT NULL,
  `run_id` int(11) DEFAULT NULL,
  `cohort` varchar(32) NOT NULL,
  `seed` bigint(20) NOT NULL,
  `replicate_of` int(11) DEFAULT NULL,
  `attempts` int(11) NOT NULL DEFAULT 0,
  `deaths` int(11) NOT NULL DEFAULT 0,
  `data_source` longtext DEFAULT NULL,
  `data_fingerprint` varchar(128) DEFAULT NULL,
  `preset` varchar(64) DEFAULT NULL,
  `device` varchar(64) DEFAULT NULL,
  `precision` varchar(32) DEFAULT NULL,
  `threads` int(11) DEFAULT NULL,
  `versions` longtext DEFAULT NULL,
  `git_commit` varchar(64) DEFAULT NULL,
  `worker` varchar(64) DEFAULT NULL,
  `machine` varchar(64) DEFAULT NULL,
  `host` varchar(255) DEFAULT NULL,
  `pid` int(11) DEFAULT NULL,
  `metrics` longtext DEFAULT NULL,
  `facts` longtext DEFAULT NULL,
  `seconds` double DEFAULT NULL,
  `created_at` datetime(6) NOT NULL,
  PRIMARY KEY (`trial_id`),
  KEY `ix_hps_trial_study_id` (`study_id`),
  KEY `ix_hps_trial_run_id` (`run_id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;
INSERT INTO `hps_trial` VALUES
(1,1,1,'design',7,NULL,1,0,NULL,NULL,NULL,'cpu',NULL,2,'{\"torch\": \"2\"}',NULL,'main','c7330deb6d784043bb6933e2d5b09119','vm',27811,NULL,NULL,0.1,'2026-11-24 22:41:04.424966'),
(2,1,1,'design',7,0,1,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'main','c7330deb6d784043bb6933e2d5b09119','vm',27811,NULL,NULL,NULL,'2026-11-24 22:41:04.424966'),
(3,1,1,'design',7,NULL,1,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'main','c7330deb6d784043bb6933e2d5b09119','vm',27811,NULL,NULL,NULL,'2026-11-24 22:41:04.424966'),
(4,1,1,'design',7,NULL,0,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'2026-11-24 22:41:04.424966');
DROP TABLE IF EXISTS `hps_verification`;
CREATE TABLE `hps_verification` (
  `verification_id` int(11) NOT NULL AUTO_INCREMENT,
  `study_id` int(11) NOT NULL,
  `rule_id` int(11) DEFAULT NULL,
  `param` varchar(255) NOT NULL,
  `value` longtext DEFAULT NULL,
  `against` longtext DEFAULT NULL,
  `pairs` int(11) NOT NULL,
  `effect` double DEFAULT NULL,
  `low` double DEFAULT NULL,
  `high` double DEFAULT NULL,
  `verdict` varchar(32) NOT NULL,
  `payload` longtext DEFAULT NULL,
  `verified_at` datetime(6) NOT NULL,
  PRIMARY KEY (`verification_id`),
  KEY `ix_hps_verification_study_id` (`study_id`)
) ENGINE=InnoDB AUTO_INCREMENT=2 DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;
INSERT INTO `hps_verification` VALUES
(1,1,2,'kind','true',NULL,5,0.30000000000000004,NULL,NULL,'confirmed',NULL,'2026-11-24 22:41:04.736049');
DROP TABLE IF EXISTS `studies`;
CREATE TABLE `studies` (
  `study_id` int(11) NOT NULL AUTO_INCREMENT,
  `study_name` varchar(512) NOT NULL,
  PRIMARY KEY (`study_id`),
  UNIQUE KEY `ix_studies_study_name` (`study_name`)
) ENGINE=InnoDB AUTO_INCREMENT=3 DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;
INSERT INTO `studies` VALUES
(1,'full'),
(2,'other');
DROP TABLE IF EXISTS `study_directions`;
CREATE TABLE `study_directions` (
  `study_direction_id` int(11) NOT NULL AUTO_INCREMENT,
  `direction` enum('NOT_SET','MINIMIZE','MAXIMIZE') NOT NULL,
  `study_id` int(11) NOT NULL,
  `objective` int(11) NOT NULL,
  PRIMARY KEY (`study_direction_id`),
  UNIQUE KEY `study_id` (`study_id`,`objective`),
  CONSTRAINT `study_directions_ibfk_1` FOREIGN KEY (`study_id`) REFERENCES `studies` (`study_id`)
) ENGINE=InnoDB AUTO_INCREMENT=4 DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;
INSERT INTO `study_directions` VALUES
(1,'MAXIMIZE',1,0),
(2,'MINIMIZE',1,1),
(3,'MINIMIZE',2,0);
DROP TABLE IF EXISTS `study_system_attributes`;
CREATE TABLE `study_system_attributes` (
  `study_system_attribute_id` int(11) NOT NULL AUTO_INCREMENT,
  `study_id` int(11) DEFAULT NULL,
  `key` varchar(512) DEFAULT NULL,
  `value_json` text DEFAULT NULL,
  PRIMARY KEY (`study_system_attribute_id`),
  UNIQUE KEY `study_id` (`study_id`,`key`),
  CONSTRAINT `study_system_attributes_ibfk_1` FOREIGN KEY (`study_id`) REFERENCES `studies` (`study_id`)
) ENGINE=InnoDB AUTO_INCREMENT=2 DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;
INSERT INTO `study_system_attributes` VALUES
(1,1,'study:metric_names','[\"accuracy\", \"seconds\"]');
DROP TABLE IF EXISTS `study_user_attributes`;
CREATE TABLE `study_user_attributes` (
  `study_user_attribute_id` int(11) NOT NULL AUTO_INCREMENT,
  `study_id` int(11) DEFAULT NULL,
  `key` varchar(512) DEFAULT NULL,
  `value_json` text DEFAULT NULL,
  PRIMARY KEY (`study_user_attribute_id`),
  UNIQUE KEY `study_id` (`study_id`,`key`),
  CONSTRAINT `study_user_attributes_ibfk_1` FOREIGN KEY (`study_id`) REFERENCES `studies` (`study_id`)
) ENGINE=InnoDB AUTO_INCREMENT=2 DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;
INSERT INTO `study_user_attributes` VALUES
(1,1,'hps_note','{\"na\\u00efve \\u6a21\\u578b\": [1, null, 0.30000000000000004]}');
DROP TABLE IF EXISTS `trial_heartbeats`;
CREATE TABLE `trial_heartbeats` (
  `trial_heartbeat_id` int(11) NOT NULL AUTO_INCREMENT,
  `trial_id` int(11) NOT NULL,
  `heartbeat` datetime NOT NULL,
  PRIMARY KEY (`trial_heartbeat_id`),
  UNIQUE KEY `trial_id` (`trial_id`),
  CONSTRAINT `trial_heartbeats_ibfk_1` FOREIGN KEY (`trial_id`) REFERENCES `trials` (`trial_id`)
) ENGINE=InnoDB AUTO_INCREMENT=4 DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;
INSERT INTO `trial_heartbeats` VALUES
(1,1,'2026-11-24 22:41:04'),
(2,2,'2026-11-24 22:41:04'),
(3,3,'2026-11-24 22:41:04');
DROP TABLE IF EXISTS `trial_intermediate_values`;
CREATE TABLE `trial_intermediate_values` (
  `trial_intermediate_value_id` int(11) NOT NULL AUTO_INCREMENT,
  `trial_id` int(11) NOT NULL,
  `step` int(11) NOT NULL,
  `intermediate_value` double DEFAULT NULL,
  `intermediate_value_type` enum('FINITE','INF_POS','INF_NEG','NAN') NOT NULL,
  PRIMARY KEY (`trial_intermediate_value_id`),
  UNIQUE KEY `trial_id` (`trial_id`,`step`),
  CONSTRAINT `trial_intermediate_values_ibfk_1` FOREIGN KEY (`trial_id`) REFERENCES `trials` (`trial_id`)
) ENGINE=InnoDB AUTO_INCREMENT=5 DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;
INSERT INTO `trial_intermediate_values` VALUES
(1,1,0,0.30000000000000004,'FINITE'),
(2,1,1,NULL,'INF_POS'),
(3,1,2,NULL,'INF_NEG'),
(4,1,3,NULL,'NAN');
DROP TABLE IF EXISTS `trial_params`;
CREATE TABLE `trial_params` (
  `param_id` int(11) NOT NULL AUTO_INCREMENT,
  `trial_id` int(11) DEFAULT NULL,
  `param_name` varchar(512) DEFAULT NULL,
  `param_value` double DEFAULT NULL,
  `distribution_json` text DEFAULT NULL,
  PRIMARY KEY (`param_id`),
  UNIQUE KEY `trial_id` (`trial_id`,`param_name`),
  CONSTRAINT `trial_params_ibfk_1` FOREIGN KEY (`trial_id`) REFERENCES `trials` (`trial_id`)
) ENGINE=InnoDB AUTO_INCREMENT=17 DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;
INSERT INTO `trial_params` VALUES
(1,1,'lr',0.3333333333333333,'{\"name\": \"FloatDistribution\", \"attributes\": {\"step\": null, \"low\": 1e-05, \"high\": 1.0, \"log\": true}}'),
(2,1,'n',3,'{\"name\": \"IntDistribution\", \"attributes\": {\"log\": false, \"step\": 2, \"low\": 1, \"high\": 9}}'),
(3,1,'kind',0,'{\"name\": \"CategoricalDistribution\", \"attributes\": {\"choices\": [\"a\", 1, 2.5, true, null]}}'),
(4,1,'tiny',0.30000000000000004,'{\"name\": \"FloatDistribution\", \"attributes\": {\"step\": 0.1, \"low\": 0.1, \"high\": 0.3, \"log\": false}}'),
(5,2,'lr',0.3333333333333333,'{\"name\": \"FloatDistribution\", \"attributes\": {\"step\": null, \"low\": 1e-05, \"high\": 1.0, \"log\": true}}'),
(6,2,'n',3,'{\"name\": \"IntDistribution\", \"attributes\": {\"log\": false, \"step\": 2, \"low\": 1, \"high\": 9}}'),
(7,2,'kind',2,'{\"name\": \"CategoricalDistribution\", \"attributes\": {\"choices\": [\"a\", 1, 2.5, true, null]}}'),
(8,2,'tiny',0.30000000000000004,'{\"name\": \"FloatDistribution\", \"attributes\": {\"step\": 0.1, \"low\": 0.1, \"high\": 0.3, \"log\": false}}'),
(9,3,'lr',0.3333333333333333,'{\"name\": \"FloatDistribution\", \"attributes\": {\"step\": null, \"low\": 1e-05, \"high\": 1.0, \"log\": true}}'),
(10,3,'n',3,'{\"name\": \"IntDistribution\", \"attributes\": {\"log\": false, \"step\": 2, \"low\": 1, \"high\": 9}}'),
(11,3,'kind',4,'{\"name\": \"CategoricalDistribution\", \"attributes\": {\"choices\": [\"a\", 1, 2.5, true, null]}}'),
(12,3,'tiny',0.30000000000000004,'{\"name\": \"FloatDistribution\", \"attributes\": {\"step\": 0.1, \"low\": 0.1, \"high\": 0.3, \"log\": false}}'),
(13,4,'lr',0.3333333333333333,'{\"name\": \"FloatDistribution\", \"attributes\": {\"step\": null, \"low\": 1e-05, \"high\": 1.0, \"log\": true}}'),
(14,4,'n',3,'{\"name\": \"IntDistribution\", \"attributes\": {\"log\": false, \"step\": 2, \"low\": 1, \"high\": 9}}'),
(15,4,'kind',1,'{\"name\": \"CategoricalDistribution\", \"attributes\": {\"choices\": [\"a\", 1, 2.5, true, null]}}'),
(16,4,'tiny',0.30000000000000004,'{\"name\": \"FloatDistribution\", \"attributes\": {\"step\": 0.1, \"low\": 0.1, \"high\": 0.3, \"log\": false}}');
DROP TABLE IF EXISTS `trial_system_attributes`;
CREATE TABLE `trial_system_attributes` (
  `trial_system_attribute_id` int(11) NOT NULL AUTO_INCREMENT,
  `trial_id` int(11) DEFAULT NULL,
  `key` varchar(512) DEFAULT NULL,
  `value_json` text DEFAULT NULL,
  PRIMARY KEY (`trial_system_attribute_id`),
  UNIQUE KEY `trial_id` (`trial_id`,`key`),
  CONSTRAINT `trial_system_attributes_ibfk_1` FOREIGN KEY (`trial_id`) REFERENCES `trials` (`trial_id`)
) ENGINE=InnoDB AUTO_INCREMENT=3 DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;
INSERT INTO `trial_system_attributes` VALUES
(1,1,'constraints:memory','-0.1'),
(2,5,'fixed_params','{\"lr\": 1.0}');
DROP TABLE IF EXISTS `trial_user_attributes`;
CREATE TABLE `trial_user_attributes` (
  `trial_user_attribute_id` int(11) NOT NULL AUTO_INCREMENT,
  `trial_id` int(11) DEFAULT NULL,
  `key` varchar(512) DEFAULT NULL,
  `value_json` text DEFAULT NULL,
  PRIMARY KEY (`trial_user_attribute_id`),
  UNIQUE KEY `trial_id` (`trial_id`,`key`),
  CONSTRAINT `trial_user_attributes_ibfk_1` FOREIGN KEY (`trial_id`) REFERENCES `trials` (`trial_id`)
) ENGINE=InnoDB AUTO_INCREMENT=11 DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;
INSERT INTO `trial_user_attributes` VALUES
(1,1,'hps_cohort','\"design\"'),
(2,1,'hps_seed','7'),
(3,2,'hps_cohort','\"design\"'),
(4,2,'hps_seed','7'),
(5,2,'hps_replicate_of','0'),
(6,3,'hps_cohort','\"design\"'),
(7,3,'hps_seed','7'),
(8,4,'hps_cohort','\"design\"'),
(9,4,'hps_seed','7'),
(10,1,'hps_metrics','{\"accuracy\": 0.3, \"f1\": 1e-300}');
DROP TABLE IF EXISTS `trial_values`;
CREATE TABLE `trial_values` (
  `trial_value_id` int(11) NOT NULL AUTO_INCREMENT,
  `trial_id` int(11) NOT NULL,
  `objective` int(11) NOT NULL,
  `value` double DEFAULT NULL,
  `value_type` enum('FINITE','INF_POS','INF_NEG') NOT NULL,
  PRIMARY KEY (`trial_value_id`),
  UNIQUE KEY `trial_id` (`trial_id`,`objective`),
  CONSTRAINT `trial_values_ibfk_1` FOREIGN KEY (`trial_id`) REFERENCES `trials` (`trial_id`)
) ENGINE=InnoDB AUTO_INCREMENT=3 DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;
INSERT INTO `trial_values` VALUES
(1,1,0,0.30000000000000004,'FINITE'),
(2,1,1,1e300,'FINITE');
DROP TABLE IF EXISTS `trials`;
CREATE TABLE `trials` (
  `trial_id` int(11) NOT NULL AUTO_INCREMENT,
  `number` int(11) DEFAULT NULL,
  `study_id` int(11) DEFAULT NULL,
  `state` enum('RUNNING','COMPLETE','PRUNED','FAIL','WAITING') NOT NULL,
  `datetime_start` datetime DEFAULT NULL,
  `datetime_complete` datetime DEFAULT NULL,
  PRIMARY KEY (`trial_id`),
  KEY `ix_trials_study_id` (`study_id`),
  CONSTRAINT `trials_ibfk_1` FOREIGN KEY (`study_id`) REFERENCES `studies` (`study_id`)
) ENGINE=InnoDB AUTO_INCREMENT=6 DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;
INSERT INTO `trials` VALUES
(1,0,1,'COMPLETE','2026-11-24 22:41:04','2026-11-24 22:41:04'),
(2,1,1,'FAIL','2026-11-24 22:41:04','2026-11-24 22:41:04'),
(3,2,1,'RUNNING','2026-11-24 22:41:04',NULL),
(4,3,1,'WAITING',NULL,NULL),
(5,0,2,'WAITING',NULL,NULL);
DROP TABLE IF EXISTS `version_info`;
CREATE TABLE `version_info` (
  `version_info_id` int(11) NOT NULL,
  `schema_version` int(11) DEFAULT NULL,
  `library_version` varchar(256) DEFAULT NULL,
  PRIMARY KEY (`version_info_id`),
  CONSTRAINT `CONSTRAINT_1` CHECK (`version_info_id` = 1)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;
INSERT INTO `version_info` VALUES
(1,12,'5.0.0');
