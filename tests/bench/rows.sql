-- Fills the database of a stopped Uptime Kuma up to :count monitors, as a person would have made them: HTTP
-- monitors with tags and notifications, on one status page, which are checked every :interval seconds. Runs again with a
-- larger :count. They ask the Uptime Kuma they belong to, so that all of them are up.
PRAGMA foreign_keys = ON;
BEGIN;

WITH n(i) AS (VALUES (1), (2), (3))
INSERT OR IGNORE INTO notification (id, name, active, user_id, is_default, config)
SELECT i, 'On call, team ' || i, 1, 1, i = 1,
    json_object('type', 'webhook', 'name', 'On call, team ' || i, 'isDefault', i = 1, 'applyExisting', 0,
        'webhookURL', 'http://127.0.0.1:9/alert/' || i, 'webhookContentType', 'json',
        'webhookAdditionalHeaders', json_object('Authorization', 'Bearer ' || i || '-0123456789abcdef'))
FROM n;

WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 12)
INSERT OR IGNORE INTO tag (id, name, color) SELECT i, 'tag ' || i, printf('#%06x', i * 1118481) FROM n;

INSERT OR IGNORE INTO status_page (id, slug, title, description, icon, theme, footer_text)
VALUES (1, 'services', 'Our services', 'What we run, and how it is.', '/icon.svg', 'auto', 'Yours, the operators');
WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 10)
INSERT OR IGNORE INTO "group" (id, name, public, active, weight, status_page_id)
SELECT i, 'Customer group ' || i, 1, 1, i, 1 FROM n;

CREATE TEMP TABLE added AS
WITH RECURSIVE n(i) AS (
    SELECT coalesce(max(id), 0) + 1 FROM monitor UNION ALL SELECT i + 1 FROM n WHERE i < :count
)
SELECT i FROM n WHERE i <= :count;

INSERT INTO monitor (
    id, name, active, user_id, interval, url, type, weight, keyword, maxretries, retry_interval, timeout, method,
    headers, body, http_body_encoding, accepted_statuscodes_json, expiry_notification, description
)
SELECT i, 'Service ' || i || ' of customer ' || (i % 97), 1, 1, :interval,
    'http://127.0.0.1:3001/api/entry-page?customer=' || (i % 97) || '&service=' || i,
    iif(i % 5 = 0, 'keyword', 'http'), 2000, iif(i % 5 = 0, 'entryPage', NULL), i % 4, min(60, :interval), 48.0, 'GET',
    iif(i % 3 = 0, json_object('X-Customer', i % 97, 'Authorization', 'Bearer ' || (i * 7919)), NULL),
    NULL, 'json', '["200-299"]', 1,
    iif(i % 2 = 0, 'Runs on node ' || (i % 41) || '. Call the team of customer ' || (i % 97) || ' first.', NULL)
FROM added;
INSERT INTO monitor_notification (monitor_id, notification_id) SELECT i, 1 + i % 3 FROM added;
INSERT INTO monitor_notification (monitor_id, notification_id) SELECT i, 1 + (i + 1) % 3 FROM added WHERE i % 2 = 0;
INSERT INTO monitor_tag (monitor_id, tag_id, value) SELECT i, 1 + i % 12, 'customer ' || (i % 97) FROM added;
INSERT INTO monitor_tag (monitor_id, tag_id, value) SELECT i, 1 + (i + 5) % 12, '' FROM added;
INSERT INTO monitor_group (monitor_id, group_id, weight) SELECT i, 1 + i % 10, 1000 FROM added;

COMMIT;
